/** `serve --config` with `llm_configs`, as users of Ray Serve LLM write them, through the built CLI. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CliServer, MAIN, runCli } from '../support/cli.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinkle-llm-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const write = (text: string): string => {
  const file = join(folder, 'serve.yaml');
  writeFileSync(file, text);
  return file;
};

const MODELS = `
llm_configs:
  - model_loading_config: {model_id: small}
    llm_engine: mock
    deployment_config:
      autoscaling_config: {min_replicas: 1, max_replicas: 4}
  - model_loading_config: {model_id: wide, model_source: some/where}
    llm_engine: mock
    engine_kwargs: {tensor_parallel_size: 2}
    placement_group_config:
      bundle_per_worker: {CPU: 0.5}
    runtime_env: {env_vars: {REGION: west, HF_TOKEN: geheim}}
`;

describe('llm_configs', () => {
  it('are served together, and status says how many replicas there are', async () => {
    await using server = await CliServer.ready(['--config', write(MODELS)]);
    const models = await (await fetch(`${server.url}/v1/models`)).json();
    expect(models).toMatchObject({ data: [{ id: 'small' }, { id: 'wide', root: 'some/where' }] });
    for (const model of ['small', 'wide']) {
      const answer = await fetch(`${server.url}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model, prompt: 'go', max_tokens: 3 }),
      });
      expect(await answer.json()).toMatchObject({ model, usage: { completion_tokens: 3 } });
    }
    const { stdout } = await runCli(['status'], { TWINKLE_HOME: server.home });
    expect(stdout).toMatch(/small +small\/0 +ready .* 1 of 1 replica ready, from 1 to 4/);
    expect(stdout).toMatch(/wide +wide\/0 +ready +1 /);
    expect(stdout).not.toContain('small/1');
  });

  it('are planned: the replicas of the start, with what each rank gets', async () => {
    const { stdout, code } = await runCli(['serve', '--config', write(MODELS), '--dry-run'], { TWINKLE_HOME: folder });
    expect(code).toBe(0);
    expect(stdout).toContain('engine mock, tp 1 × pp 1 × 1 to 4 replicas');
    expect(stdout.match(/^group .*/gm)).toEqual(['group small/0, PACK: placed', 'group wide/0, PACK: placed']);
    expect(stdout.match(/ {2}REGION=west/g)).toHaveLength(2);
    expect(stdout).not.toContain('geheim');
  });

  it('come from standard input, too, and say where something is wrong', async () => {
    const env = { ...process.env, TWINKLE_HOME: folder };
    const child = spawn(process.execPath, [MAIN, 'serve', '--dry-run', '--config', '-'], { env });
    let said = '';
    child.stderr.on('data', (chunk) => {
      said += chunk;
    });
    child.stdin.end(MODELS.replace('tensor_parallel_size', 'tensor_paralel_size'));
    expect(await once(child, 'close')).toEqual([2, null]);
    expect(said).toContain('stdin:9:21');
    expect(said).toContain('llm_configs[1].engine_kwargs.tensor_paralel_size');
    expect(said).toContain('did you mean `tensor-parallel-size`?');
  });
});
