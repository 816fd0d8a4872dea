/** `list` and `status` on running servers and heads, as programs and people use them: over pipes, without a terminal. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CliEnd, CliServer, MAIN, runCli } from '../support/cli.js';
import { isAlive, killProcess } from '../support/gang-kit.js';

type Row = Readonly<Record<string, unknown>>;

/** The array of `list … --json`; nobody was silent. */
async function rows(home: string, ...args: string[]): Promise<Row[]> {
  const { code, stdout, stderr } = await runCli(['list', ...args, '--json'], { TWINKLE_HOME: home });
  expect([code, stderr]).toEqual([0, '']);
  expect(stdout.split('\n')).toHaveLength(2);
  return JSON.parse(stdout) as Row[];
}

/** The documents of `status --json`. */
async function statuses(home: string): Promise<Row[]> {
  const { stdout } = await runCli(['status', '--json'], { TWINKLE_HOME: home });
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Row);
}

describe('a server of two replicas over four devices', () => {
  let server: CliServer;
  let instance: string;
  beforeAll(async () => {
    const devices = { TWINKLE_FAKE_DEVICES: 'gpu:4' };
    const args = ['mock', '--engine', 'mock', '--gpus', '0-3', '-dp', '2', '-tp', '2', '--served-model-name', 'tiny'];
    server = await CliServer.ready(args, devices);
    [{ instance }] = (await statuses(server.home)) as [{ instance: string }];
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  it('is of the kind `serve`', async () => {
    expect(await statuses(server.home)).toEqual([
      expect.objectContaining({ kind: 'serve', instance, pid: server.pid }),
    ]);
  });

  it('`list gangs` has a row a replica, with pids that live and the devices of its ranks', async () => {
    const gangs = await rows(server.home, 'gangs');
    expect(gangs).toEqual([
      expect.objectContaining({
        instance,
        model: 'tiny',
        replica: 'tiny/0',
        state: 'ready',
        reason: null,
        inFlight: 0,
      }),
      expect.objectContaining({ instance, model: 'tiny', replica: 'tiny/1', state: 'ready', restarts: 0 }),
    ]);
    const ranks = gangs.flatMap((gang) => gang.ranks as { pid: number; devices: string[] }[]);
    expect(ranks.map(({ pid }) => isAlive(pid))).toEqual([true, true, true, true]);
    expect(ranks.flatMap(({ devices }) => devices).sort()).toEqual([0, 1, 2, 3].map((n) => `GPU-fake-000${n}`));
    const pid = String(ranks[3]?.pid);
    expect((await rows(server.home, 'gangs', '--filter', `ranks.pid=${pid}`)).map(({ replica }) => replica)).toEqual([
      'tiny/1',
    ]);
    const { stdout } = await runCli(['list', 'gangs', '--limit', '1'], { TWINKLE_HOME: server.home });
    expect(stdout).toMatch(/^MODEL .*\ntiny {3}tiny\/0 {3}ready .*\n… 1 more \(--limit 1\)\n$/);
  });

  it('`list gangs --watch` prints a change when a rank dies, none without, and ends with 0 on Ctrl-C', async () => {
    const child = spawn(process.execPath, [MAIN, 'list', 'gangs', '--watch', '0.2', '--json'], {
      env: { ...process.env, TWINKLE_HOME: server.home },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(child, 'close');
    const seen: Row[][] = [];
    const restarted = new Promise<void>((resolve) => {
      createInterface({ input: child.stdout }).on('line', (line) => {
        seen.push(JSON.parse(line) as Row[]);
        const all = seen.at(-1) ?? [];
        if (all.some(({ restarts }) => restarts === 1) && all.every(({ state }) => state === 'ready')) resolve();
      });
    });
    await once(child.stdout, 'data');
    const [victim = 0] = await server.rankPids();
    killProcess(victim, 'SIGKILL');
    await restarted;
    child.kill('SIGINT');
    expect(await ended).toEqual([0, null]);
    for (const [at, one] of seen.entries()) expect(JSON.stringify(one)).not.toBe(JSON.stringify(seen[at - 1]));
    expect(seen[0]?.map(({ restarts }) => restarts)).toEqual([0, 0]);
  });

  it('`list nodes` is the one node of its own cluster', async () => {
    const nodes = await rows(server.home, 'nodes');
    expect(nodes).toEqual([
      expect.objectContaining({
        id: expect.stringMatching(/./),
        name: expect.stringMatching(/./),
        address: expect.any(String),
        state: 'alive',
        version: expect.stringMatching(/^\d+\.\d+/),
        silentMs: expect.any(Number),
        pid: server.pid,
        cluster: expect.stringMatching(/./),
        labels: expect.any(Object),
        resources: expect.objectContaining({ CPU: expect.any(Number), GPU: 4 }),
      }),
    ]);
    // All four are held: an amount of zero may be left out.
    expect((nodes[0]?.available as { GPU?: number } | undefined)?.GPU ?? 0).toBe(0);
    expect(await rows(server.home, 'nodes', '--state', 'dead')).toEqual([]);
    const { stdout } = await runCli(['list', 'nodes'], { TWINKLE_HOME: server.home });
    expect(stdout).toMatch(/^NAME .* STATE .* CPU .* GPU .*\n.* alive .* 4\/4 /);
  });

  it('`list placement-groups` has the groups of its replicas, all of them placed', async () => {
    const [node] = await rows(server.home, 'nodes');
    const groups = await rows(server.home, 'placement-groups');
    expect(groups.map(({ state, scheduling }) => `${state} ${scheduling}`)).toEqual(
      groups.map(() => 'CREATED FINISHED'),
    );
    type Bundle = { node: string; devices: { uuid: string; quantity: number }[] };
    const bundles = groups.flatMap((group) => group.bundles as Bundle[]);
    expect(new Set(bundles.map((bundle) => bundle.node))).toEqual(new Set([node?.id]));
    const devices = bundles.flatMap((bundle) => bundle.devices);
    expect(devices.map(({ uuid, quantity }) => `${uuid} ${quantity}`).sort()).toEqual(
      [0, 1, 2, 3].map((n) => `GPU-fake-000${n} 1`),
    );
    const { stdout } = await runCli(['list', 'placement-groups', '--detail'], { TWINKLE_HOME: server.home });
    expect(stdout.match(/^ {4}\d+ .*GPU [0-3] \(GPU-fake-000[0-3]\)$/gm)).toHaveLength(4);
  });

  it('`list devices` says which group of which server holds each, here and by `--cluster`', async () => {
    const { stdout } = await runCli(['list', 'devices', '--json'], {
      TWINKLE_HOME: server.home,
      TWINKLE_FAKE_DEVICES: 'gpu:4',
    });
    const survey = JSON.parse(stdout) as { devices: Row[]; cpu: Row };
    const held = expect.objectContaining({ server: instance, quantity: 1, bundle: expect.any(Number) });
    expect(survey.devices).toEqual(
      [0, 1, 2, 3].map((index) => expect.objectContaining({ index, state: 'held', heldBy: [held] })),
    );
    const [node] = await rows(server.home, 'nodes');
    expect(await rows(server.home, 'devices', '--cluster', '--filter', `heldBy.server=${instance}`)).toEqual(
      [0, 1, 2, 3].map((n) =>
        expect.objectContaining({ uuid: `GPU-fake-000${n}`, node: node?.id, state: 'held', free: 0 }),
      ),
    );
  });
});

describe('a standalone head', () => {
  let home: string;
  let head: { instance: string; address: string; cluster: string; pid: number };
  const cli = (...args: string[]): Promise<CliEnd> => runCli(args, { TWINKLE_HOME: home });
  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), 'twinkle-list-'));
    const { code, stdout, stderr } = await cli('start', '--head', '--json');
    expect([code, stderr]).toEqual([0, '']);
    head = JSON.parse(stdout) as typeof head;
  });
  afterAll(async () => {
    await cli('stop', '--all');
    rmSync(home, { recursive: true, force: true });
  });

  it('is a line of `status` and a document of the kind `head`', async () => {
    const { stdout } = await cli('status');
    expect(stdout).toMatch(
      new RegExp(
        `^${head.instance}  head  ready  ${head.address}  pid ${head.pid}  since .*  nodes 1  groups 0 created, 0 pending\\n` +
          '  actors 0, tasks 0 workers, objects 0: 0 B of [0-9.]+ [KMGT]iB\\n$',
      ),
    );
    expect(await statuses(home)).toEqual([
      expect.objectContaining({
        kind: 'head',
        instance: head.instance,
        cluster: head.cluster,
        phase: 'ready',
        nodes: 1,
        groups: { created: 0, pending: 0 },
      }),
    ]);
  });

  it('has its own node and nothing else', async () => {
    expect(await rows(home, 'nodes')).toEqual([
      expect.objectContaining({ state: 'alive', pid: head.pid, cluster: head.cluster }),
    ]);
    for (const what of ['placement-groups', 'gangs', 'actors', 'tasks', 'objects']) {
      expect(await rows(home, what)).toEqual([]);
    }
    expect((await cli('list', 'gangs')).stdout).toBe(`no gangs: no server runs in ${home}\n`);
  });

  it('with a server that gets its devices there: one cluster, shown once, and each group has its server', async () => {
    // Not disposed of: the home is the head's, too.
    const server = await CliServer.ready(['mock', '--engine', 'mock', '--address', 'auto'], { TWINKLE_HOME: home });
    try {
      expect((await rows(home, 'nodes')).map(({ cluster }) => cluster)).toEqual([head.cluster]);
      const groups = await rows(home, 'placement-groups');
      expect(groups).toEqual([expect.objectContaining({ state: 'CREATED', cluster: head.cluster })]);
      expect((await rows(home, 'gangs')).map(({ group }) => group)).toEqual([groups[0]?.id]);
      const [first] = (await statuses(home)).filter(({ kind }) => kind === 'head');
      expect(first).toMatchObject({ groups: { created: 1, pending: 0 } });
    } finally {
      server.child.kill('SIGTERM');
      await server.ended;
    }
    expect(await rows(home, 'placement-groups', '--filter', 'state!=REMOVED')).toEqual([]);
  });
});
