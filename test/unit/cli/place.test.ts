import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runCli } from '../../../src/cli/run.js';
import { createFakeNative } from '../../../src/native/fake.js';
import { Session } from './support.js';

let session: Session;
beforeEach(() => {
  session = new Session();
  writeFileSync(
    join(session.folder, 'nodes.yaml'),
    [
      'nodes:',
      '  - {id: gpu, count: 2, resources: {CPU: 8, GPU: 4}, labels: {zone: a}, links: [[0, 1], [2, 3]]}',
      '  - {id: cpu, resources: {CPU: 64}}',
    ].join('\n'),
  );
});
afterEach(() => rmSync(session.folder, { recursive: true }));

const place = (...args: string[]) => session.run('place', '--nodes', 'nodes.yaml', ...args);

/** On a terminal of that width. */
function onTerminal(columns: number, ...args: string[]): Promise<number> {
  const io = session.io(true);
  return runCli(
    ['place', '--nodes', 'nodes.yaml', ...args],
    { ...io, stdout: { ...io.stdout, columns } },
    session.parts,
  );
}

describe('place --bundles', () => {
  test('prints where each bundle goes', async () => {
    expect(await place('--bundles', '[{"GPU":1,"CPU":2}]*3')).toBe(0);
    expect(session.stdout).toBe(
      `placed  PACK, 3 bundles on 1 of 3 nodes
BUNDLE  NODE   DEVICES  ASKS FOR
0       gpu-0  GPU 0    GPU 1, CPU 2
1       gpu-0  GPU 1    GPU 1, CPU 2
2       gpu-0  GPU 2    GPU 1, CPU 2
`,
    );
  });

  test('shows parts of devices, none, and bundles that round to nothing', async () => {
    expect(await place('--bundles', '[{"GPU":1.5},{"CPU":1},{"GPU":0.00001}]', '--strategy', 'STRICT_PACK')).toBe(0);
    expect(session.stdout).toContain('0       gpu-0  GPU 0, GPU 1 (0.5)  GPU 1.5\n');
    expect(session.stdout).toContain('1       gpu-0  -                   CPU 1\n');
    expect(session.stdout).toContain('2       gpu-0  -                   nothing (it rounds to zero)\n');
  });

  test('says of every node why a group waits, and ends with 3', async () => {
    const busy = ['--busy', 'gpu-0={"GPU":1}', '--busy', 'gpu-1={"GPU":4}', '--busy', 'gpu-0={"CPU":1}'];
    expect(await place('--bundles', '[{"GPU":4}]', ...busy)).toBe(3);
    expect(session.stdout).toMatch(/^pending {2}PACK, 1 bundle: bundle 0 needs GPU 4/);
    expect(session.stdout).toMatch(/^gpu-0 +busy +\S.*3/m);
    expect(session.stdout).toMatch(/^gpu-1 +busy +\S/m);
    expect(session.stdout).toMatch(/^cpu +infeasible +\S/m);
    expect(session.stdout).toContain('It waits: it is placed when enough is given back.');
  });

  test('tells waiting that will never end from waiting that may', async () => {
    expect(await place('--bundles', '[{"GPU":1}]*9')).toBe(3);
    expect(session.stdout).toMatch(/^pending/);
    expect(session.stdout).toContain('could not hold it even if nothing were in use');
  });

  test('says of every node why a group can never fit; nodes with the same reason share a line', async () => {
    expect(await place('--bundles', '[{"GPU":5}]', '--strategy', 'SPREAD')).toBe(3);
    expect(session.stdout).toMatch(/^infeasible {2}SPREAD, 1 bundle: /);
    expect(session.stdout).toMatch(/^gpu-0, gpu-1 +infeasible/m);
    session.stdout = '';
    expect(await place('--bundles', '[{"GPU":5}]', '--strategy', 'SPREAD', '--explain')).toBe(3);
    expect(session.stdout).toMatch(/^gpu-0 +infeasible.*\ngpu-1 +infeasible/m);
  });

  test('explains the choices and the links', async () => {
    expect(await place('--bundles', '[{"GPU":1}]*4', '--tensor-parallel', '2', '--explain')).toBe(0);
    expect(session.stdout.slice(session.stdout.indexOf('Choices'))).toBe(
      `Choices, in the order in which they were made
  1. bundle 0 (GPU 1) → gpu-0: the first to join of those with the highest score, 0.750; beside it bundles 1-3
     next: gpu-1 0.750; 1 node does not take it

Links of devices that work together
  bundles 0-1 on gpu-0 GPU 0-1: 1 pair by NVLink
  bundles 2-3 on gpu-0 GPU 2-3: 1 pair by NVLink
`,
    );
  });

  test('is some dozens of lines for groups of any size', async () => {
    expect(await place('--bundles', '[{"CPU":0.01}]*2000', '--strategy', 'SPREAD', '--explain')).toBe(0);
    expect(session.stdout.split('\n').length).toBeLessThan(110);
    expect(session.stdout).toContain('… and 1936 more rows: see --json');
    expect(session.stdout).toContain('… more choices follow: see --json');
  });

  test('prints everything as JSON', async () => {
    expect(
      await place(
        '--bundles',
        '[{"GPU":2}]',
        '--soft-target',
        'gpu-1',
        '--strategy',
        'STRICT_PACK',
        '--json',
        '--explain',
      ),
    ).toBe(0);
    expect(session.lines()).toEqual([
      {
        outcome: 'placed',
        strategy: 'STRICT_PACK',
        nodes: 3,
        bundles: [
          {
            bundle: 0,
            resources: { GPU: 2 },
            node: 'gpu-1',
            devices: [
              { resource: 'GPU', instance: 0, uuid: 'gpu-1/GPU-0', quantity: 1 },
              { resource: 'GPU', instance: 1, uuid: 'gpu-1/GPU-1', quantity: 1 },
            ],
          },
        ],
        fitsWhenEmpty: true,
        reason: null,
        reasons: [],
        choices: [expect.objectContaining({ bundle: null, node: 'gpu-1', why: 'soft-target', resources: { GPU: 2 } })],
        links: [],
      },
    ]);
    session.stdout = '';
    expect(await place('--bundles', '[{"GPU":2}]', '--labels', '[{"zone":"b"}]', '--json')).toBe(3);
    expect(session.lines()).toEqual([
      expect.objectContaining({
        outcome: 'infeasible',
        bundles: [{ bundle: 0, resources: { GPU: 2 }, node: null, devices: [] }],
        reasons: ['gpu-0', 'gpu-1', 'cpu'].map((node) => expect.objectContaining({ node, kind: 'infeasible' })),
      }),
    ]);
  });

  test('takes a topology strategy', async () => {
    expect(
      await place('--bundles', '[{"CPU":1}]*2', '--topology', '{"zone":"STRICT_PACK","ray.io/node-id":"SPREAD"}'),
    ).toBe(0);
    expect(session.stdout).toMatch(/^0 +gpu-0/m);
    expect(session.stdout).toMatch(/^1 +gpu-1/m);
  });

  test('takes this machine when no nodes are named', async () => {
    session.parts = { ...session.parts, native: async () => createFakeNative({ devices: 'gpu:2' }) };
    expect(await session.run('place', '--bundles', '[{"GPU":1}]*2')).toBe(0);
    expect(session.stdout).toMatch(/^1 +this-machine +GPU 1/m);
  });

  test('fits the terminal it is shown on, in colours', async () => {
    const bundles = ['--bundles', '[{"GPU":1,"CPU":1,"accelerator_type:H100":0.001}]*2', '--strategy', 'STRICT_SPREAD'];
    for (const columns of [40, 60, 120]) {
      session.stdout = '';
      expect(await onTerminal(columns, ...bundles, '--explain')).toBe(3);
      expect(session.stdout).toContain('\u001b[31minfeasible\u001b[39m');
      // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one
      const lines = session.stdout.replace(/\u001b\[\d+m/g, '').split('\n');
      expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(columns);
    }
    session.stdout = '';
    expect(await onTerminal(30, '--bundles', '[{"GPU":1,"CPU":1}]')).toBe(0);
    expect(session.stdout).toContain('not shown for lack of width: ASKS FOR');
  });
});

describe('place --actor', () => {
  test.each([
    ['{"GPU":0.5}', [], 0, /^placed {2}actor \(GPU 0.5, CPU 1\) on gpu-0, devices: GPU 0 \(0.5\)$/m],
    ['{}', [], 0, /^placed {2}actor \(CPU 1, keeps nothing\) on cpu, devices: none$/m],
    ['{"CPU":1}', ['--strategy', 'SPREAD'], 0, /on cpu,/],
    ['{"GPU":1}', ['--strategy', 'node:gpu-1'], 0, /on gpu-1, devices: GPU 0$/m],
    ['{"GPU":1}', ['--strategy', 'node:cpu'], 3, /^refused {2}actor/],
    ['{"GPU":4}', ['--busy', 'gpu-0={"GPU":1}', '--busy', 'gpu-1={"GPU":1}'], 3, /^pending {2}actor/],
    ['{"ssd":1}', [], 3, /^infeasible {2}actor \(ssd 1, CPU 1\): none of 3 nodes has/],
  ])('%s %j', async (actor, more, code, words) => {
    expect(await place('--actor', actor, ...more)).toBe(code);
    expect(session.stdout).toMatch(words);
  });

  test('as JSON', async () => {
    expect(await place('--actor', '{"GPU":1,"CPU":0}', '--json')).toBe(0);
    expect(session.lines()).toEqual([
      {
        outcome: 'placed',
        resources: { GPU: 1 },
        held: { GPU: 1 },
        node: 'gpu-0',
        devices: [{ resource: 'GPU', instance: 0, uuid: 'gpu-0/GPU-0', quantity: 1 }],
        reason: null,
      },
    ]);
  });
});

test.each([
  [[], /expected `--bundles`/],
  [['--bundles', '[]', '--actor', '{}'], /`--bundles` or `--actor`, not both/],
  [['--actor', '{}', '--tensor-parallel', '2'], /`--tensor-parallel` says nothing about `--actor`/],
  [['--replay', 'x'], /`--nodes` says nothing about `--replay`/],
  [['--bundles', '[{"GPU":1}'], /column 11/],
  [['--bundles', '[{}]'], /`bundles\[0\]` asks for nothing/],
  [['--bundles', '[{"GPU":1}]', '--labels', '{'], /JSON for `--labels`/],
  [['--bundles', '[{"GPU":1}]', '--topology', 'PACK'], /JSON for `--topology`/],
  [
    ['--bundles', '[{"GPU":1}]', '--tensor-parallel', '1.5'],
    /a whole number for `--tensor-parallel` but received "1.5"/,
  ],
  [
    ['--bundles', '[{"GPU":1}]', '--tensor-parallel', 'abc'],
    /a whole number for `--tensor-parallel` but received "abc"/,
  ],
  [['--bundles', '[{"GPU":1}]', '--tensor-parallel', ''], /a whole number for `--tensor-parallel`/],
  [['--bundles', '[{"GPU":1}]', '--tensor-parallel', '9'], /from 1 to 1, .* for `--tensor-parallel` but received 9/],
  [['--bundles', '[{"GPU":1}]', '--strategy', 'NEAR'], /for `--strategy` but received "NEAR"/],
  [['--bundles', '[{"GPU":1}]', '--labels', '[{"zone":1}]'], /of `--labels\[0\]`/],
  [['--bundles', '[{"GPU":1}]', '--topology', '{"rack":"PACK"}'], /STRICT_PACK for `--topology\["rack"\]`/],
  [
    ['--bundles', '[{"GPU":1}]', '--topology', '{"rack":"STRICT_PACK"}', '--strategy', 'PACK'],
    /`--strategy` and `--topology` exclude each other/,
  ],
  [['--bundles', '[{"GPU":1}]', '--soft-target', 'gpu-0'], /`--soft-target` works with STRICT_PACK only/],
  [
    ['--bundles', '[{"GPU":1}]', '--strategy', 'STRICT_PACK', '--soft-target', 'moon'],
    /no node "moon"; known: gpu-0, gpu-1, cpu/,
  ],
  [['--bundles', '[{"GPU":1}]', '--busy', 'gpu-0'], /NODE=JSON/],
  [['--bundles', '[{"GPU":1}]', '--busy', 'moon={}'], /no node "moon"/],
  [['--bundles', '[{"GPU":1}]', '--busy', 'gpu-0={"GPU":5}'], /gpu-0 does not have GPU 5 free/],
  [['--bundles', '[{"GPU":1}]', '--busy', 'gpu-0={"GPU":-5}'], /0 or more/],
  [['--bundles', '[{"GPU":1}]', '--nodes', 'nothing.yaml'], /there is no nothing.yaml/],
  [['--bundles', '[{"GPU":1}]', '--nodes', '.'], /cannot read \.: EISDIR/],
  [['--actor', '{"GPU":1.5}'], /whole number/],
  [['--actor', '[]'], /`--actor`/],
  [['--actor', '{}', '--strategy', 'STRICT_PACK'], /DEFAULT, SPREAD or node:ID for `--strategy`/],
])('refuses %j', async (args, words) => {
  expect(await place(...args)).toBe(2);
  expect(session.stderr).toMatch(words);
  expect(session.stdout).toBe('');
});

test.each([
  ['- {resources: {CPU: 1}', /nodes.yaml:1:\d+: /],
  ['- a: &a [*a]', /nodes.yaml/],
  ['- {resources: {GPU: 0.5}}', /`nodes.yaml\[0\].resources.GPU`/],
  ['', /list of nodes/],
])('refuses a file of nodes such as %j', async (text, words) => {
  writeFileSync(join(session.folder, 'nodes.yaml'), text);
  expect(await place('--bundles', '[{"GPU":1}]')).toBe(2);
  expect(session.stderr).toMatch(words);
});

test('replays a file, and says what is wrong with it', async () => {
  const one = {
    case: 'a',
    nodes: [{ res: { CPU: 1 } }],
    ops: ['p', '1'].map((id) => ({ op: 'create', id, strategy: 'PACK', bundles: [{ CPU: 1 }] })),
  };
  writeFileSync(join(session.folder, 'ops.jsonl'), `${JSON.stringify(one)}\r\n\n{"case":"b"}\n`);
  expect(await session.run('place', '--replay', 'ops.jsonl')).toBe(2);
  expect(session.lines()).toEqual([
    { case: 'a', result: { p: { m: [0], s: 'created' }, 1: { s: 'pending', why: 'NO_RESOURCES' } } },
  ]);
  expect(session.stdout).toMatch(/"p":.*"1":/);
  expect(session.stderr).toMatch(/ops.jsonl:3: expected a list of nodes/);
  expect(await session.run('place', '--replay', 'none.jsonl')).toBe(2);
  expect(session.stderr).toMatch(/there is no none.jsonl/);
  expect(await session.run('place', '--replay', '.')).toBe(2);
});
