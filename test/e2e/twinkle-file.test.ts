/** `serve --config` with the file of a Twinkle Server: the Tinker SDK, unmodified, trains and samples; processes are killed on the way. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { HeadStatus } from '../../src/runtime/types.js';
import { CliServer, runCli } from '../support/cli.js';
import { isAlive, killProcess } from '../support/gang-kit.js';
import { tinkerClient } from '../support/tinker-client.js';

const MOCK = readFileSync(new URL('../fixtures/twinkle/tests-mock.yaml', import.meta.url), 'utf8').replace(
  /mode: file\n *file_path: .*/,
  'mode: memory',
);
const DEMO = `
applications:
  - name: model
    import_path: model
    args:
      backend: transformers
      model_id: demo
      max_loras: 2
      device_group: {name: m, ranks: 1, device_type: cpu}
      device_mesh: {device_type: cpu, dp_size: 1}
`;

let folder: string;
let server: CliServer;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinkle-by-file-'));
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

async function serve(yaml: string): Promise<void> {
  const file = join(folder, 's.yaml');
  writeFileSync(file, yaml);
  server = await CliServer.ready(['--config', file]);
}

async function status(): Promise<HeadStatus> {
  const { stdout } = await runCli(['status', '--json'], { TWINKLE_HOME: server.home });
  return JSON.parse(stdout.split('\n')[0] ?? '') as HeadStatus;
}

const trainers = ({ training = [] }: HeadStatus) => training.map(({ model, state, epoch }) => [model, state, epoch]);

/** Every rank: those that serve, and those that train. */
function pidsOf({ models, training = [] }: HeadStatus): { readonly serve: number[]; readonly train: number[] } {
  const there = (pids: readonly (number | null)[]): number[] => pids.filter((pid) => pid !== null);
  return {
    serve: there(models.flatMap(({ replicas }) => replicas.flatMap(({ ranks }) => ranks.map(({ pid }) => pid)))),
    train: there(training.flatMap(({ pids }) => pids)),
  };
}

interface Seen {
  readonly losses: readonly number[];
  readonly [what: string]: unknown;
}

/** A client's words and what it saw; `act` does something at each word. */
async function client(model: string, served: 'yes' | 'no', act: (word: string) => Promise<void>): Promise<Seen> {
  const { child, ended } = await tinkerClient('tinker_by_file.py', server.url, model, served);
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    if (line.startsWith('{')) continue;
    await act(line);
    child.stdin.write('\n');
  }
  expect(await ended).toEqual([0, null]);
  return JSON.parse(lines.at(-1) ?? '') as Seen;
}

const complete = async (): Promise<number> => {
  const body = JSON.stringify({ model: 'mock-model', prompt: 'x', max_tokens: 2 });
  const headers = { 'content-type': 'application/json' };
  return (await fetch(`${server.url}/v1/completions`, { method: 'POST', headers, body })).status;
};

it('serves and trains; a killed rank that trains comes back without its runs, and serving hears nothing of it', async () => {
  await serve(MOCK);
  const before = await status();
  expect(before.models.map(({ names, state }) => [names, state])).toEqual([[['mock-model'], 'ready']]);
  expect(trainers(before)).toEqual([['mock-model', 'ready', 1]]);
  const pids = pidsOf(before);
  const seen = await client('mock-model', 'yes', async (word) => {
    if (word !== 'kill') return;
    killProcess(pids.train[0], 'SIGKILL');
    await server.event('failed');
    expect(await complete()).toBe(200);
    await server.event('recovered');
  });
  expect(seen).toEqual({
    supported: ['mock-model'],
    losses: new Array(6).fill(expect.any(Number)),
    'trained sample': 4,
    sample: 4,
    lost: ['RequestFailedError', expect.stringMatching(/ended by SIGKILL|lost its weights/)],
    serves: 4,
    again: 2,
  });
  const after = await status();
  expect(trainers(after)).toEqual([['mock-model', 'ready', 2]]);
  expect(pidsOf(after).serve).toEqual(pids.serve);
  expect(after.models[0]?.replicas.map(({ epoch, restarts }) => [epoch, restarts])).toEqual([[1, 0]]);
  expect(server.events.find(({ event }) => event === 'failed')).toMatchObject({
    model: 'mock-model/train',
    reason: expect.stringContaining('SIGKILL') as string,
  });
  server.child.kill('SIGTERM');
  expect(await server.ended).toMatchObject({ code: 0 });
  expect([...pidsOf(after).serve, ...pidsOf(after).train].filter(isAlive)).toEqual([]);
});

it('leaves no process when the server is killed', async () => {
  await serve(MOCK);
  const { serve: served, train } = pidsOf(await status());
  expect([served.length, train.length]).toEqual([1, 1]);
  killProcess(server.pid, 'SIGKILL');
  await server.ended;
  await vi.waitUntil(() => ![...served, ...train].some(isAlive), { timeout: 5000 });
});

it('trains a model that it does not serve, says that nothing samples from it, and ends with all its ranks', async () => {
  await serve(DEMO);
  expect(server.events.find(({ event }) => event === 'ready')).toMatchObject({ model: null });
  const refused = (kind: string) => [
    kind,
    expect.stringContaining('model `demo` is trained here, and nothing samples from it'),
  ];
  const { losses, ...seen } = await client('demo', 'no', async () => {
    const now = await status();
    expect([now.models, trainers(now)]).toEqual([[], [['demo', 'ready', 1]]]);
    expect(now.training?.[0]).toMatchObject({ devices: ['cpu'], runs: 1 });
  });
  expect(seen).toEqual({
    supported: ['demo'],
    base: refused('BadRequestError'),
    weights: refused('BadRequestError'),
    'lives on': 1,
  });
  expect(losses.at(-1)).toBeLessThan((losses[0] ?? 0) / 2);
  const { train } = pidsOf(await status());
  server.child.kill('SIGTERM');
  expect(await server.ended).toMatchObject({ code: 0 });
  expect(train).toHaveLength(1);
  expect(train.filter(isAlive)).toEqual([]);
});
