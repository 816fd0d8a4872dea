/** Real torch process groups over descriptors that the addon bound, while Node's event loop is busy beside them. */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { PACKAGE_ROOT, PYTHON_WORKERS } from '../../src/config/package-root.js';
import { loadNative } from '../../src/native/load.js';
import type { BoundSocket, ProcessExit } from '../../src/native/types.js';
import type { LaunchSpec } from '../../src/protocol/launch.js';
import { ProcessWatcher } from '../../src/supervisor/process-watcher.js';
import { pythonFor } from '../support/pythons.js';

const SCRIPT = join(PACKAGE_ROOT, 'test', 'integration', 'fixtures', 'all_reduce.py');
const FIRST_FD = 10;

/** Ranks of each gang; all gangs form at once. */
const GANGS = [2, 4, 4, 4, 4, 2];

const native = loadNative();
const watcher = ProcessWatcher.of(native);
let folder: string;
let log: number;
let sockets: BoundSocket[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinkle-rendezvous-'));
  log = openSync(join(folder, 'out'), 'a');
  sockets = GANGS.map(() => native.listenSocket('127.0.0.1', 0, 64));
});
afterEach(() => {
  for (const { fd } of sockets) native.closeFd(fd);
  closeSync(log);
  rmSync(folder, { recursive: true, force: true });
});

/** The launch of a rank as `launch-ranks.ts` makes it; there is no channel in this test. */
function launchSpec(gang: number, rank: number): LaunchSpec {
  return {
    instance: 'rendezvous',
    gang: `g${gang}`,
    epoch: gang + 1,
    rank,
    local_rank: rank,
    role: 'whole',
    link_fds: [],
    world_size: GANGS[gang] ?? 0,
    endpoint: '',
    curve: null,
    identity: '',
    engine: 'none',
    env: {},
    death_fd: -1,
    pass_fd: -1,
    listen_fd: rank === 0 ? FIRST_FD + gang : -1,
    master_addr: '127.0.0.1',
    master_port: sockets[gang]?.port ?? 0,
  };
}

/** A process that imports torch once and forks these ranks. */
function spawnRanks(python: string, launches: readonly LaunchSpec[]): Promise<ProcessExit> {
  const listening = sockets.map(({ fd }, gang) => [FIRST_FD + gang, fd] as const);
  const pid = native.spawn({
    file: python,
    args: [SCRIPT],
    env: [
      `PATH=${process.env.PATH}`,
      `HOME=${process.env.HOME}`,
      `PYTHONPATH=${PYTHON_WORKERS}`,
      'OMP_NUM_THREADS=1',
      'GLOO_SOCKET_IFNAME=lo',
      `TWINKLE_LAUNCHES=${JSON.stringify(launches)}`,
    ],
    cwd: null,
    fds: [[1, log], [2, log], ...(launches.some(({ rank }) => rank === 0) ? listening : [])],
    parentDeathSignal: false,
    cpus: null,
  });
  return watcher.ended(pid);
}

/** Turns the event loop without rest until stopped; tells how often. */
function busyLoop(): () => number {
  let turns = 0;
  let running = true;
  const turn = (): void => {
    turns += 1;
    if (running) setImmediate(turn);
  };
  setImmediate(turn);
  return () => {
    running = false;
    return turns;
  };
}

it('forms process groups of two and four ranks, six at once, over descriptors that Node bound', async () => {
  const python = await pythonFor('transformers');
  expect(new Set(sockets.map(({ port }) => port)).size).toBe(GANGS.length);
  const leads = GANGS.map((_, gang) => launchSpec(gang, 0));
  const others = GANGS.flatMap((ranks, gang) =>
    Array.from({ length: ranks - 1 }, (_, index) => launchSpec(gang, index + 1)),
  );
  // The descriptors stay open here all the time, and the loop polls what libuv knows: were they registered, it would accept.
  const stop = busyLoop();
  const ends = await Promise.all([spawnRanks(python, leads), spawnRanks(python, others)]);
  expect(stop()).toBeGreaterThan(1000);
  const said = readFileSync(join(folder, 'out'), 'utf8');
  expect(
    ends.map(({ code }) => code),
    said,
  ).toEqual([0, 0]);
  const facts = said
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));
  for (const [gang, ranks] of GANGS.entries()) {
    const everyone = Array.from({ length: ranks }, (_, rank) => [`g${gang}`, rank]);
    const members = facts.filter((fact) => fact.gang === `g${gang}`).sort((a, b) => a.rank - b.rank);
    expect(members.map(({ rank }) => [`g${gang}`, rank])).toEqual(everyone);
    for (const member of members) {
      expect(member).toMatchObject({ sum: [(ranks * (ranks + 1)) / 2, ranks * (gang + 1)], everyone });
    }
  }
});
