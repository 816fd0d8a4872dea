/** The example of docs/twinkle.md as it stands there: the real client trains the demo model and samples from what it trained. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { CliServer } from '../support/cli.js';
import { twinklePython } from '../support/layered-python.js';

const FILE = `
applications:
  - name: model
    import_path: model
    args: {backend: transformers, model_id: demo, device_group: {name: m, ranks: 1, device_type: cpu}, device_mesh: {device_type: cpu}}
  - name: sampler
    import_path: sampler
    args: {sampler_type: torch, model_id: demo, device_group: {name: s, ranks: 1, device_type: cpu}, device_mesh: {device_type: cpu}}
`;

let folder: string;
let server: CliServer;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinkle-training-'));
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

it('the documented example teaches the demo model a sentence', async () => {
  const file = join(folder, 's.yaml');
  writeFileSync(file, FILE);
  server = await CliServer.ready(['--config', file]);
  const page = readFileSync(new URL('../../docs/twinkle.md', import.meta.url), 'utf8');
  const [, example = ''] = /```python\n(.*?)```/s.exec(page) ?? [];
  const saved = `\nprint(model.save("kept", save_optimizer=True).checkpoint_dir)\n`;
  const program = example
    .replace('http://127.0.0.1:8000', server.url)
    .replace('lora_alpha=32)', `lora_alpha=32), save_dir=${JSON.stringify(join(folder, 'out'))}`);
  expect(program).not.toContain(':8000');
  const { stdout } = await promisify(execFile)(await twinklePython(), ['-c', `${program}${saved}`]);
  const said = stdout.trim().split('\n');
  const [loss, answer, copy] = said.slice(-3);
  expect(Number(loss)).toBeLessThan(2);
  expect(answer).toBe('I am a small red bird.');
  // A copy that peft can load.
  expect(readdirSync(copy ?? '')).toEqual(expect.arrayContaining(['adapter_config.json', 'adapter_model.safetensors']));
  expect(copy?.startsWith(join(folder, 'out'))).toBe(true);
});
