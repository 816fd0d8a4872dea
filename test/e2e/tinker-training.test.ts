/** The Tinker SDK, unmodified, trains LoRA adapters of the built-in model; with a rank killed on the way. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { DEMO_MODEL } from '../../src/config/package-root.js';
import type { HeadStatus, RunDetail, RunStatus } from '../../src/runtime/types.js';
import { CliServer, runCli } from '../support/cli.js';
import { FlagProxy } from '../support/flag-proxy.js';
import { oldTinker } from '../support/old-tinker.js';
import { testPython } from '../support/pythons.js';
import { clientScript, tinkerClient } from '../support/tinker-client.js';

let server: CliServer;
beforeAll(async () => {
  server = await CliServer.ready(['--cpu', '--train-full']);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

async function trainerPid(): Promise<number> {
  const { stdout } = await runCli(['status', '--json'], { TWINKLE_HOME: server.home });
  const [status] = stdout.split('\n').map((line) => (line === '' ? null : (JSON.parse(line) as HeadStatus)));
  const [pid] = status?.training?.[0]?.pids ?? [];
  if (pid == null) throw new Error(`nothing trains: ${stdout}`);
  return pid;
}

/** What the owner of the server sees of the runs so far. */
async function seesThemLearn(): Promise<void> {
  const env = { TWINKLE_HOME: server.home };
  const runs = JSON.parse((await runCli(['runs', '--json'], env)).stdout) as RunStatus[];
  expect(runs.map(({ model, rank, state }) => [model, rank, state])).toContainEqual(['demo', 8, 'ready']);
  const first = runs.find(({ rank }) => rank === 8);
  const shown = JSON.parse((await runCli(['runs', first?.id ?? '', '--json'], env)).stdout) as RunDetail;
  const losses = shown.curve.map(({ lossPerToken }) => lossPerToken ?? Number.NaN);
  expect(losses.length).toBeGreaterThanOrEqual(12);
  expect(Math.min(...losses)).toBeLessThan((losses[0] ?? 0) / 10);
  expect(shown).toMatchObject({ gradNorm: expect.any(Number), tokensPerSecond: expect.any(Number) });
  expect((await runCli(['status'], env)).stdout).toMatch(/demo {3}training {2}ready {2}0 {5}\d+ +cpu .* \d runs?$/m);
}

/** First: it is alone on the model, and ends with its session. */
it('trains all of a model, which transformers loads', async () => {
  const downloads = mkdtempSync(join(tmpdir(), 'twinkle-full-'));
  try {
    const { child, ended } = await tinkerClient('tinker_full.py', server.url, downloads);
    const lines: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      lines.push(line);
      if (line !== 'look') continue;
      const { stdout } = await runCli(['runs'], { TWINKLE_HOME: server.home });
      expect(stdout).toMatch(/demo\s+full\s+ready\s+14\s/);
      child.stdin.write('\n');
    }
    expect(await ended).toEqual([0, null]);
    const { 'base again': again, transformers, ...seen } = JSON.parse(lines.at(-1) ?? '') as Record<string, unknown>;
    expect(seen).toEqual({
      info: [false, null],
      alone: ['BadRequestError', expect.stringContaining('trained as a whole by a run of rank 0')],
      learned: true,
      weights: [false, null],
      resumed: true,
      sampled: Array.from({ length: 2 }, () => [
        'BadRequestError',
        expect.stringContaining('call save_weights_external, and serve the folder'),
      ]),
      files: ['config.json', 'generation_config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'],
      tokenizer: true,
    });
    expect([transformers, again].map((gap) => (gap as number) < 1e-4)).toEqual([true, true]);
  } finally {
    rmSync(downloads, { recursive: true, force: true });
  }
});

it('learns, alone and beside others, refuses what is wrong, and says when its weights are lost', async () => {
  const { child, ended } = await tinkerClient('tinker_training.py', server.url);
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    if (line !== 'kill') continue;
    await seesThemLearn();
    process.kill(await trainerPid(), 'SIGKILL');
    child.stdin.write('\n');
  }
  expect(await ended).toEqual([0, null]);
  expect(JSON.parse(lines.at(-1) ?? '')).toEqual({
    info: [true, 8, ['train', '0']],
    learned: true,
    side_by_side: true,
    own_loss: true,
    shapes: [2, { logprobs: [expect.any(Number)], elementwise_loss: [expect.any(Number)] }],
    chunks: [1500, 1500],
    importance: true,
    refused: {
      loss: ['RequestFailedError', expect.stringContaining("received 'nonsense'")],
      option: ['RequestFailedError', expect.stringContaining('beta')],
      outside: ['RequestFailedError', expect.stringContaining('received 1000000 in datum 0')],
      short: ['RequestFailedError', expect.stringContaining('target_tokens int64 [3]')],
      empty: ['BadRequestError', expect.stringContaining('datum 0: empty model_input')],
      nan: ['RequestFailedError', expect.stringContaining('NaN')],
      base: ['NotFoundError', expect.stringContaining('none')],
      rank: ['RequestFailedError', expect.stringContaining('rank of 1 to')],
    },
    lives_on: true,
    runs: 3,
    killed: ['RequestFailedError', expect.stringMatching(/ended by SIGKILL|lost its weights/)],
    corrupted: true,
    after: true,
  });
});

async function runShort(url: string, more: NodeJS.ProcessEnv): Promise<unknown> {
  const env = { ...process.env, TINKER_API_KEY: 'tml-fedcba9876543210', HF_HUB_OFFLINE: '1', ...more };
  const { stdout } = await promisify(execFile)(
    await testPython(),
    [...clientScript('tinker_short.py'), url, DEMO_MODEL],
    {
      env,
    },
  );
  return JSON.parse(stdout);
}

const SHORT = {
  learned: true,
  logprobs: [[expect.any(Number)], true],
  resumed: true,
  sampled: [4, 4, 'length', true],
  prompt: [null, true, null, 2],
  refused: true,
};

it('takes compressed passes', async () => {
  await using proxy = new FlagProxy(server.url, { proto_compress_fwdbwd: true });
  expect(await runShort(await proxy.listen(), {})).toEqual({ version: '0.38.0', ...SHORT });
  expect(proxy.encodings).toEqual(new Map([['/api/v1/forward_backward', 'zstd']]));
});

it('speaks JSON with an SDK that knows nothing else', async () => {
  const seen = await runShort(server.url, { PYTHONPATH: await oldTinker('0.16.1') });
  expect(seen).toEqual({ version: '0.16.1', ...SHORT });
});
