/** `list …` and `status` as commands: instances of this very process behind real admin sockets. */
import { rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runCli } from '../../../src/cli/run.js';
import { startAdminServer } from '../../../src/gateway/admin/admin-server.js';
import { createFakeNative } from '../../../src/native/fake.js';
import { fakeDeviceReport } from '../../../src/native/fake-devices.js';
import { describeInstance, instancesFolder, writeInstance } from '../../../src/runtime/instance-file.js';
import type { InstanceFile, ListedTasks, RunDetail } from '../../../src/runtime/types.js';
import { actor, cluster, group, model, node, object, replica, run, server, task } from './list/fixtures.js';
import { Session } from './support.js';

let session: Session;
const admins: FastifyInstance[] = [];
const raw: Server[] = [];
beforeEach(() => {
  session = new Session();
});
afterEach(async () => {
  await Promise.all(admins.splice(0).map((admin) => admin.close()));
  for (const one of raw.splice(0)) await new Promise((resolve) => one.close(resolve));
  rmSync(session.folder, { recursive: true });
});

let born = 0;
function register(instance: string, kind: InstanceFile['kind'] = 'serve'): string {
  const adminSocket = join(session.folder, `${instance}.sock`);
  born += 1;
  writeInstance(
    session.home,
    describeInstance({
      kind,
      instance,
      startedAt: Date.now() - 61_000 + born,
      url: null,
      address: null,
      adminSocket,
      logs: '/none',
    }),
  );
  return adminSocket;
}

/** An instance whose admin socket answers so. */
async function play(
  instance: string,
  answers: { status?: unknown; cluster?: () => Promise<unknown>; runs?: readonly RunDetail[]; work?: Work },
  kind: InstanceFile['kind'] = 'serve',
): Promise<void> {
  const socketPath = register(instance, kind);
  const status = answers.status ?? server({ instance });
  admins.push(
    await startAdminServer({
      socketPath,
      status: () => status,
      ...(answers.cluster === undefined ? {} : { cluster: answers.cluster }),
      ...(answers.work === undefined ? {} : { work: playedWork(answers.work) }),
      ...(answers.runs === undefined ? {} : { runs: playedRuns(answers.runs) }),
    }),
  );
}

type Work = Readonly<Record<'actors' | 'tasks' | 'objects', readonly object[]>> & Partial<Pick<ListedTasks, 'silent'>>;

function playedWork({ actors, tasks, objects, silent = [] }: Work) {
  return {
    actors: () => ({ actors }),
    tasks: async () => ({ tasks, silent, untold: [] }),
    objects: () => ({ objects, store: {} }),
  };
}

function playedRuns(details: readonly RunDetail[]) {
  return {
    runs: () => details.map(({ curve: _, ...status }) => status),
    run: (id: string) => details.find((one) => one.id === id) ?? null,
  };
}

/** An instance that answers every request with these words. */
async function mumble(instance: string, code: number, body: string): Promise<void> {
  const socketPath = register(instance);
  const one = createServer((_, response) => {
    response.statusCode = code;
    response.end(body);
  });
  raw.push(one);
  await new Promise<void>((resolve) => one.listen(socketPath, resolve));
}

const OWN = cluster({ cluster: 'own-1' }).snapshot;
const HEADS = cluster({
  cluster: 'shared',
  nodes: [node({ id: 'n-a', name: 'a' }), node({ id: 'n-b', name: 'b' })],
}).snapshot;
const json = async (...argv: string[]): Promise<Record<string, unknown>[]> => {
  session.stdout = '';
  expect(await session.run(...argv, '--json')).toBe(0);
  expect(session.stdout.trimEnd().split('\n')).toHaveLength(1);
  return JSON.parse(session.stdout) as Record<string, unknown>[];
};

describe('list nodes and placement-groups', () => {
  test('nothing runs: no error, an empty array', async () => {
    for (const what of ['nodes', 'placement-groups', 'gangs', 'actors', 'tasks', 'objects']) {
      session.stdout = '';
      expect(await session.run('list', what)).toBe(0);
      expect(session.stdout).toBe(`nothing runs in ${session.home}\n`);
      expect(await json('list', what)).toEqual([]);
    }
    expect(session.stderr).toBe('');
  });

  test('own clusters and shared ones, each once; one array', async () => {
    await play('serve1', { cluster: async () => OWN });
    await play('serve2', { cluster: async () => HEADS });
    await play('head1', { cluster: async () => HEADS }, 'head');
    expect((await json('list', 'nodes')).map(({ name, cluster: id }) => `${name} ${id}`)).toEqual([
      'box own-1',
      'a shared',
      'b shared',
    ]);
    const [first] = await json('list', 'nodes', '--filter', 'cluster=shared', '--limit', '1');
    expect(first).toEqual({ ...HEADS.nodes[0], cluster: 'shared' });
    expect((await json('list', 'placement-groups')).map(({ id, cluster: of }) => [id, of])).toEqual([
      ['group-1', 'own-1'],
      ['group-1', 'shared'],
    ]);
    expect(session.stderr).toBe('');
  });

  test('whoever does not answer is named with the reason on stderr, and hides nobody', async () => {
    await play('fine', { cluster: async () => OWN });
    await play('older', {});
    await play('broken', { cluster: () => Promise.reject(new Error('the ledger is on fire')) });
    await mumble('odd', 200, '{"nodes": 1}');
    await mumble('garbled', 200, 'no json');
    await mumble('scalar', 200, '7');
    register('mute');
    expect((await json('list', 'nodes')).map(({ name }) => name)).toEqual(['box']);
    const who = `(server, pid ${process.pid}): it`;
    expect(session.stderr.split('\n')).toEqual([
      `older ${who} offers no cluster: it runs an older version, or without one`,
      expect.stringMatching(/^broken .*: it answered 500: .*the ledger is on fire/),
      `odd ${who} does not answer: its answer is no cluster: it runs another version`,
      `garbled ${who} does not answer: its answer is no JSON`,
      `scalar ${who} does not answer: its answer is no object`,
      expect.stringContaining(`mute ${who} does not answer: connect ENOENT`),
      '',
    ]);
  });

  test('a cluster without groups, and servers that tell of no cluster', async () => {
    await play('older', {});
    await session.run('list', 'nodes');
    expect(session.stdout).toBe(`no nodes: nothing that runs in ${session.home} tells of any\n`);
    await play('fine', { cluster: async () => ({ ...OWN, groups: [] }) });
    session.stdout = '';
    await session.run('list', 'placement-groups');
    expect(session.stdout).toBe('no placement groups\n');
  });

  test('--detail shows bundles', async () => {
    await play('serve1', { cluster: async () => OWN });
    await session.run('list', 'placement-groups', '--detail');
    expect(session.stdout).toMatch(/^ {4}0 {7}GPU 1, CPU 1 {2}box {3}-$/m);
  });

  test('a narrow terminal leaves columns out and says which', async () => {
    await play('serve1', { cluster: async () => OWN });
    await runCli(['list', 'nodes'], { ...session.io(true), env: { ...session.env, NO_COLOR: '1' } }, session.parts);
    expect(session.stdout).toMatch(/^NAME {2}.* HEARD\nbox .* ago\nno room for VERSION \(--json has all\)\n$/);
    for (const line of session.stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  });

  test.each([
    [['list', 'nodes', '--state', 'alve'], 'did you mean `alive`?'],
    [['list', 'nodes', '--filter', 'resource.GPU=1'], 'did you mean `resources`?'],
    [['list', 'actors', '--state', 'RUNNING'], 'expected one of PENDING, ALIVE, RESTARTING, DEAD'],
    [['list', 'tasks', '--filter', 'caller=1'], 'did you mean `callerPid`?'],
    [['list', 'objects', '--filter', 'size=1'], 'there is no field `size`'],
    [['list', 'gangs', '--filter', 'pid=1'], 'there is no field `pid`'],
    [['list', 'placement-groups', '--limit', 'many'], 'expected a whole number from 1 for `--limit`'],
    [['list', 'devices', '--filter', 'resource=GPU'], 'there is no field `resource`'],
    [['list', 'nodes', '--watch', 'often'], 'expected seconds from 0.1 to 86400 for `--watch`'],
    [['status', '--watch', '0'], 'expected seconds from 0.1 to 86400 for `--watch`'],
    [['list', 'nodes', '--detail'], "unknown option '--detail'"],
  ])('%j is refused before anything is asked', async (argv, message) => {
    register('mute');
    expect(await session.run(...argv)).toBe(2);
    expect(session.stderr).toContain(message);
    expect(session.stderr).not.toContain('mute');
  });
});

describe('list gangs', () => {
  test('a head without servers: says that no server runs', async () => {
    await play('head1', { status: { kind: 'head', instance: 'head1' } }, 'head');
    expect(await session.run('list', 'gangs')).toBe(0);
    expect(session.stdout).toBe(`no gangs: no server runs in ${session.home}\n`);
    expect(await json('list', 'gangs')).toEqual([]);
  });

  test('every replica of every server, heads have none', async () => {
    await play('serve1', { status: server({ models: [model({ replicas: [replica({ group: 'group-1' })] })] }) });
    const { kind, ...older } = server({ instance: 'old' });
    expect(kind).toBe('serve');
    await play('old', { status: older });
    await play('head1', { status: { kind: 'head', instance: 'head1' } }, 'head');
    await mumble('odd', 200, '{}');
    expect((await json('list', 'gangs')).map(({ instance, replica: id, group: of }) => [instance, id, of])).toEqual([
      ['serve1', 'm/0', 'group-1'],
      ['old', 'm/0', null],
    ]);
    expect(session.stderr).toMatch(/^odd .*its answer lists no models\n$/);
    expect(await json('list', 'gangs', '--state', 'Failed')).toEqual([]);
  });
});

describe('list actors, tasks and objects', () => {
  const work: Work = { actors: [actor()], tasks: [task()], objects: [object(), object({ id: '1.10' })] };

  test('of the head; servers have none, which is no fault of theirs', async () => {
    await play('head1', { work, cluster: async () => OWN }, 'head');
    await play('serve1', { cluster: async () => OWN });
    expect(await json('list', 'actors')).toEqual(work.actors);
    expect(await json('list', 'tasks', '--filter', 'worker=3')).toEqual(work.tasks);
    expect(await json('list', 'objects', '--limit', '1')).toEqual([object()]);
    session.stdout = '';
    await session.run('list', 'actors', '--state', 'alive');
    expect(session.stdout).toMatch(/^ID .*\n1\.0 .* box .*\n$/);
    expect(session.stderr).toBe('');
  });

  test('none, and nobody who could have one', async () => {
    await play('serve1', {});
    await session.run('list', 'objects');
    expect(session.stdout).toBe(`no objects: nothing that runs in ${session.home} tells of any\n`);
    await play('head1', { work: { actors: [], tasks: [], objects: [] } }, 'head');
    session.stdout = '';
    await session.run('list', 'tasks');
    expect(session.stdout).toBe('no tasks\n');
  });

  test('a head that tells of none, and a process that does not say what it has called, are named on stderr', async () => {
    await play('older', {}, 'head');
    await play('head1', { work: { ...work, silent: [{ pid: 7, kind: 'driver' }] } }, 'head');
    expect(await json('list', 'tasks')).toEqual(work.tasks);
    expect(session.stderr.split('\n')).toEqual([
      `older (head, pid ${process.pid}): it tells of no tasks: it offers no devices, or runs an older version`,
      'pid 7 does not say what was called there: busy or stopped',
      '',
    ]);
  });
});

describe('runs', () => {
  const curve = [1, 2].map((step) => ({ step, loss: 3 - step, lossPerToken: null }));
  const other = 'other-session:train:3';

  test('of every server; who is older is named; heads have none', async () => {
    await play('serve1', { runs: [{ ...run(), curve }] });
    await play('serve2', { runs: [{ ...run({ id: other, state: 'lost' }), curve }] });
    await play('older', {});
    await play('head1', {}, 'head');
    await mumble('odd', 200, '{"runs": 7}');
    expect(await json('runs')).toEqual([
      { instance: 'serve1', ...run() },
      { instance: 'serve2', ...run({ id: other, state: 'lost' }) },
    ]);
    expect(session.stderr.split('\n')).toEqual([
      `older (server, pid ${process.pid}): it tells of no runs: it runs an older version`,
      expect.stringContaining('it answered 200'),
      '',
    ]);
    expect(await json('runs', '--state', 'lost', '--filter', 'rank=8')).toHaveLength(1);
    session.stdout = '';
    await session.run('runs', '--limit', '1');
    expect(session.stdout).toMatch(/^RUN .*\nadc4764e:0 .*\n… 1 more \(--limit 1\)\n$/);
  });

  test('none, and nothing', async () => {
    expect(await session.run('runs')).toBe(0);
    await play('serve1', { runs: [] });
    await session.run('runs');
    expect(session.stdout).toBe(`nothing runs in ${session.home}\nno runs\n`);
    expect(await json('runs')).toEqual([]);
  });

  test('one of them, with its curve', async () => {
    await play('serve1', { runs: [{ ...run(), curve }] });
    await play('serve2', { runs: [{ ...run({ id: other }), curve: [] }] });
    expect(await json('runs', 'other')).toEqual({ instance: 'serve2', ...run({ id: other }), curve: [] });
    session.stdout = '';
    await session.run('runs', 'adc4764e:0');
    expect(session.stdout).toMatch(
      /^adc4764e-.* ready\n[\s\S]*\nloss of a step, by step\n2\.00 ┤⣀?[\s\S]*└─+\n {6}1 +2\n$/,
    );
    session.stdout = '';
    session.env.TERM = 'dumb';
    await session.run('runs', 'adc');
    expect(session.stdout).toContain('2.00 +*');
    expect(await session.run('runs', 'x')).toBe(2);
    expect(session.stderr).toContain('there is no run "x"; see `twinkle-node runs`');
  });

  test('one of them is not chosen among others', async () => {
    register('mute');
    expect(await session.run('runs', 'adc', '--state', 'lost')).toBe(2);
    expect(session.stderr).toContain('`--state` chooses among runs, and "adc" names one');
    expect(session.stderr).not.toContain('mute');
  });
});

describe('list devices', () => {
  const devices = [
    {
      resource: 'GPU',
      instance: 1,
      uuid: 'GPU-fake-0001',
      numa: 0,
      free: 0.5,
      heldBy: [{ group: 'group-1', bundle: 0, quantity: 0.5 }],
    },
  ];
  beforeEach(() => {
    const native = { ...createFakeNative(), devices: () => fakeDeviceReport('gpu:2') };
    session.parts = { ...session.parts, native: async () => native };
  });

  test('without a cluster: the survey as ever, with nobody holding anything', async () => {
    const report = fakeDeviceReport('gpu:2');
    expect(await json('list', 'devices')).toMatchObject({
      devices: report.devices.map((device) => ({ ...device, state: 'free', heldBy: [] })),
      links: report.links,
      libraries: report.libraries,
      cpu: expect.any(Object),
    });
    session.stdout = '';
    await session.run('list', 'devices');
    expect(session.stdout).toMatch(/^DEVICE .* HELD BY {2}UUID\ngpu 0 .*\ngpu 1 .*\n\ncpu: /);
  });

  test('with one: a column for the holder; --state chooses devices and leaves the rest of the document', async () => {
    await play('serve1', { cluster: async () => ({ ...OWN, nodes: [node({ devices })] }) });
    await session.run('list', 'devices');
    expect(session.stdout).toMatch(/^gpu 1 .* llm bundle 0 ×0\.5 \(server serve1\) {2}GPU-fake-0001$/m);
    const document = (await json('list', 'devices', '--state', 'shared')) as unknown as {
      devices: { index: number }[];
      links: unknown[];
    };
    expect(document.devices.map(({ index }) => index)).toEqual([1]);
    expect(document.links).toHaveLength(1);
  });

  test('--cluster: the ledger’s devices as one array, without the addon', async () => {
    session.parts = { ...session.parts, native: () => Promise.reject(new Error('no addon')) };
    await play('serve1', { cluster: async () => ({ ...OWN, nodes: [node({ devices })] }) });
    expect(await json('list', 'devices', '--cluster', '--filter', 'heldBy.server=serve1')).toEqual([
      {
        ...devices[0],
        heldBy: [{ group: 'group-1', name: 'llm', bundle: 0, quantity: 0.5, cluster: 'own-1', server: 'serve1' }],
        state: 'shared',
        node: 'node-1',
        nodeName: 'box',
        nodeState: 'alive',
        cluster: 'own-1',
      },
    ]);
  });
});

describe('--watch', () => {
  test('on a pipe: an array a change, and 0 on Ctrl-C', async () => {
    let asked = 0;
    let change = false;
    const more = new Set<() => void>();
    await play('serve1', {
      cluster: async () => {
        asked += 1;
        for (const tell of more) tell();
        const groups = change ? [group(), group({ id: 'group-2' })] : [group()];
        return { ...OWN, groups, nodes: [node({ silentMs: asked })], version: asked };
      },
    });
    const askedTimes = async (count: number): Promise<void> => {
      while (asked < count) await new Promise<void>((resolve) => more.add(resolve));
    };
    const ended = session.run('list', 'placement-groups', '--watch', '0.1', '--json');
    await askedTimes(3);
    expect(session.lines()).toHaveLength(1);
    change = true;
    await session.saw('stdout', 'group-2');
    session.signals.emit('SIGINT');
    expect(await ended).toBe(0);
    expect(session.lines().map((groups) => (groups as unknown as unknown[]).length)).toEqual([1, 2]);
    expect(session.signals.listenerCount('SIGINT')).toBe(0);
  });

  test('on a terminal: its own screen, given back at the end; a file that appears is seen', async () => {
    const ended = runCli(['status', '--watch', '0.1'], session.io(true), session.parts);
    await session.saw('stdout', `nothing runs in ${session.home}`);
    expect(session.stdout.startsWith('\u001b[?1049h')).toBe(true);
    await play('serve1', {});
    await session.saw('stdout', 'm/0');
    rmSync(join(instancesFolder(session.home), 'serve1.json'));
    session.stdout = '';
    await session.saw('stdout', 'nothing runs in');
    session.signals.emit('SIGTERM');
    expect(await ended).toBe(0);
    expect(session.stdout.endsWith('\u001b[?25h\u001b[?1049l')).toBe(true);
  });
});

test('an instance file of an older version is a server', async () => {
  await play('serve1', { cluster: async () => OWN });
  const path = join(instancesFolder(session.home), 'serve1.json');
  const { kind, ...older } = describeInstance({
    kind: 'serve',
    instance: 'serve1',
    startedAt: 1,
    url: null,
    address: null,
    adminSocket: join(session.folder, 'serve1.sock'),
    logs: '/none',
  });
  expect(kind).toBe('serve');
  writeFileSync(path, JSON.stringify(older));
  expect(await json('list', 'nodes')).toHaveLength(1);
});
