/** The Tinker SDK, unmodified, trains LoRA adapters of the built-in model; with a rank killed on the way. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { DEMO_MODEL, PACKAGE_ROOT } from '../../src/config/package-root.js';
import type { HeadStatus } from '../../src/runtime/types.js';
import { CliServer, runCli } from '../support/cli.js';
import { testPython } from '../support/pythons.js';

let server: CliServer;
beforeAll(async () => {
  server = await CliServer.ready(['--cpu']);
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

it('learns, alone and beside others, refuses what is wrong, and says when its weights are lost', async () => {
  const script = join(PACKAGE_ROOT, 'test', 'e2e', 'clients', 'tinker_training.py');
  const env = { ...process.env, TINKER_API_KEY: 'tml-0123456789abcdef', HF_HUB_OFFLINE: '1' };
  const client = spawn(await testPython(), [script, server.url, DEMO_MODEL], {
    env,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(client, 'exit');
  const lines: string[] = [];
  for await (const line of createInterface({ input: client.stdout })) {
    lines.push(line);
    if (line !== 'kill') continue;
    process.kill(await trainerPid(), 'SIGKILL');
    client.stdin.write('\n');
  }
  expect((await ended)[0]).toBe(0);
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
