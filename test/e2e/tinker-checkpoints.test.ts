/** The Tinker SDK saves a run; the server is killed; another one resumes it, bit for bit. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { RunStatus } from '../../src/runtime/types.js';
import { CliServer, runCli } from '../support/cli.js';
import { tinkerClient } from '../support/tinker-client.js';

let home: string;
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'twinkle-checkpoints-'));
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

async function run(url: string, half: 'save' | 'resume', input = ''): Promise<Record<string, unknown>> {
  const { child, ended } = await tinkerClient('tinker_checkpoints.py', url, half);
  child.stdin.end(`${input}\n`);
  const said = await text(child.stdout);
  expect((await ended)[0]).toBe(0);
  return JSON.parse(said) as Record<string, unknown>;
}

it('what was saved is there after kill -9, and goes on as if nothing had been', async () => {
  // One run at a time: what is trained in turns is parked and loaded with each step.
  await using first = await CliServer.ready(['--cpu', '--max-training-runs', '1'], { TWINKLE_HOME: home });
  const saved = await run(first.url, 'save');
  expect(saved).toEqual({
    path: expect.stringMatching(/^tinker:\/\/[0-9a-f-]{36}:train:0\/weights\/half-way$/),
    further: [expect.any(Number), expect.any(Number), expect.any(Number)],
    twice: ['RequestFailedError', expect.stringContaining('exists: take another name')],
    nowhere: ['BadRequestError', expect.stringContaining('../up')],
    listed: [
      ['weights/half-way', 'training', true, false],
      ['weights/half-way-too', 'training', true, false],
      ['weights/short', 'training', true, true],
    ],
    info: [true, true, 4],
    public: [true],
    gone: ['NotFoundError', expect.stringContaining('half-way-too')],
    stranger: ['NotFoundError', expect.stringContaining('no checkpoint')],
    last: 'weights/short',
    in_turns: Array.from({ length: 4 }, () => [expect.any(Number), expect.any(Number)]),
  });
  process.kill(first.pid, 'SIGKILL');
  await first.ended;
  await using second = await CliServer.ready(['--cpu'], { TWINKLE_HOME: home });
  const states = JSON.parse((await runCli(['runs', '--json'], { TWINKLE_HOME: home })).stdout) as RunStatus[];
  const shown = states.map(({ loss, state, steps }) => [state, steps > 0, loss !== null]);
  expect(shown).toEqual([
    ['parked', true, true],
    ['parked', true, true],
    ['lost', false, false],
  ]);
  const resumed = await run(second.url, 'resume', JSON.stringify(saved));
  expect(resumed).toEqual({
    same: true,
    without_optimizer: true,
    run: [true, false, { who: 'e2e' }],
    loaded_in_place: true,
    in_turns: true,
    missing: ['NotFoundError', expect.stringContaining('nothing')],
  });
  const logs = readdirSync(home, { recursive: true }).map(String);
  const said = logs.filter((path) => path.endsWith('head.log')).map((path) => readFileSync(join(home, path), 'utf8'));
  expect(said.join('').match(/training_run_loaded/g)?.length).toBeGreaterThan(6);
  // Neither what was deleted, nor what lived for a second, nor anything half written.
  const kept = readdirSync(join(home, 'checkpoints'), { recursive: true }).map(String);
  const names = kept.flatMap((path) => /weights\/([^/]+)$/.exec(path)?.[1] ?? []);
  expect(names.filter((name) => !name.startsWith('short')).sort()).toEqual([
    'half-way.json',
    expect.stringMatching(/^half-way@[0-9a-f]{12}$/),
  ]);
});
