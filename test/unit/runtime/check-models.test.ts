import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { optionsLayer, type ServeOptions } from '../../../src/config/user-options.js';
import { configure } from '../../../src/runtime/configure.js';
import { gpus, NOTHING } from '../config/support.js';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinkle-check-models-'));
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ num_attention_heads: 8, num_hidden_layers: 4 }));
  writeFileSync(join(folder, 'model.safetensors'), '');
  // Takes no room on the disk.
  truncateSync(join(folder, 'model.safetensors'), 150 * 2 ** 30);
});
afterAll(() => rmSync(folder, { recursive: true }));

const start = (options: ServeOptions, report = gpus(4)) => {
  const { layer, engineArgs } = optionsLayer({ engine: 'vllm', model: folder, ...options });
  const devices = async () => report;
  return configure({ written: layer, engineArgs, env: {}, cwd: '/', configFile: null, mayWrite: false, devices });
};

test('a model that is too big for the devices of this machine is refused with what would fit', async () => {
  await expect(start({})).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringMatching(/76\.4 GiB are missing; it fits with --tensor-parallel-size 4$/),
  });
  await expect(start({ tensorParallelSize: 4 })).resolves.toBeDefined();
  await expect(start({ tensorParallelSize: 2, pipelineParallelSize: 2 })).resolves.toBeDefined();
});

test('on CPUs nobody knows the memory, but heads are heads', async () => {
  await expect(start({ cpu: true }, NOTHING)).resolves.toBeDefined();
  await expect(start({ cpu: true, engineArgs: { tensor_parallel_size: 3 } }, NOTHING)).rejects.toThrow(
    'a size that divides 8 attention heads for `--tensor-parallel-size` but received 3',
  );
});

test('other engines judge for themselves', async () => {
  await expect(start({ engine: 'mock', tensorParallelSize: 3, cpu: true }, NOTHING)).resolves.toBeDefined();
});
