import { describe, expect, test } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import { parseNodes } from '../../../src/scheduler/node-spec.js';
import { toQuantities } from '../../../src/scheduler/resources.js';

const REFUSED: readonly (readonly [what: string, value: unknown, words: RegExp])[] = [
  ['nothing', undefined, /list of nodes for `nodes.yaml` but received nothing/],
  ['an empty file', null, /list of nodes.*null/],
  ['an object without nodes', { node: [] }, /list of nodes/],
  ['nodes that are an object', { nodes: {} }, /`nodes.yaml: nodes`.*an empty object/],
  ['no nodes', [], /one node or more/],
  ['a node that is text', ['gpu-box'], /`nodes.yaml\[0\]`.*"gpu-box"/],
  ['a node without resources', [{ id: 'a' }], /`nodes.yaml\[0\].resources`.*nothing/],
  ['a mistyped field', [{ resource: {} }], /no field "resource"; did you mean `resources`/],
  ['an unknown field', [{ resources: {}, colour: 'red' }], /known are id, resources/],
  ['both names of the resources', [{ resources: {}, res: {} }], /resources twice/],
  ['resources that are a list', [{ resources: ['CPU'] }], /`nodes.yaml\[0\].resources`/],
  ['half a CPU', [{ resources: { CPU: 0.5 } }], /a whole number for `nodes.yaml\[0\].resources.CPU` but received 0.5/],
  ['fewer than no CPUs', [{ resources: { CPU: -1 } }], /0 or more/],
  ['CPUs as text', [{ resources: { CPU: '8' } }], /a number/],
  ['more devices than a node has', [{ resources: { GPU: 1e6 } }], /at most 1024 for `nodes.yaml\[0\].resources.GPU`/],
  ['an id with a blank', [{ id: 'a b', resources: {} }], /no selector|letters/],
  ['an id like a selector', [{ id: '!a', resources: {} }], /letters, digits/],
  ['an id that is a number', [{ id: 7, resources: {} }], /letters, digits.*received 7/],
  [
    'the same id twice',
    {
      nodes: [
        { id: 'a', resources: {} },
        { id: 'a', resources: {} },
      ],
    },
    /nodes\[1\]` is a second node a/,
  ],
  [
    'the same id by counting',
    [
      { id: 'a', count: 2, resources: {} },
      { id: 'a-1', resources: {} },
    ],
    /second node a-1/,
  ],
  ['a count of nothing', [{ count: 0, resources: {} }], /whole number from 1/],
  [
    'too many nodes',
    [
      { count: 60_000, resources: {} },
      { count: 60_000, resources: {} },
    ],
    /nodes.yaml\[1\].count/,
  ],
  [
    'a label that is a number',
    [{ resources: {}, labels: { zone: 1 } }],
    /`nodes.yaml\[0\].labels\["zone"\]`.*write text/,
  ],
  ['a label that is a selector', [{ resources: {}, labels: { zone: 'in(a,b)' } }], /label value/],
  ['the label that is the id', [{ resources: {}, labels: { 'ray.io/node-id': 'x' } }], /it is the id of the node/],
  ['links without devices', [{ resources: { CPU: 1 }, links: 'nvlink' }], /but the node has none/],
  ['links of two kinds', [{ resources: { GPU: 1, NPU: 1 }, links: 'nvlink' }], /has GPU and NPU/],
  ['unknown links', [{ resources: { GPU: 2 }, links: 'infiniband' }], /nvlink, hccs or islands/],
  ['an island of a device that is not there', [{ resources: { GPU: 2 }, links: [[0, 2]] }], /from 0 to 1.*received 2/],
  ['a device on two islands', [{ resources: { GPU: 2 }, links: [[0, 1], [1]] }], /device 1 twice/],
  [
    'an island that is a number',
    [{ resources: { GPU: 2 }, links: [0, 1] }],
    /list of device numbers for `.*links\[0\]`/,
  ],
  ['too few NUMA nodes', [{ resources: { GPU: 2 }, numa: [0] }], /a list of 2 numbers/],
  ['a NUMA node that is text', [{ resources: { GPU: 1 }, numa: ['a'] }], /`nodes.yaml\[0\].numa\[0\]`/],
  ['a switch that is text', [{ resources: {}, unschedulable: 'yes' }], /true or false/],
];

describe('parseNodes', () => {
  test.each(REFUSED)('refuses %s', (_what, value, words) => {
    expect(() => parseNodes(value, 'nodes.yaml')).toThrow(TwinkleError);
    expect(() => parseNodes(value, 'nodes.yaml')).toThrow(words);
  });

  test('reads nodes with everything', () => {
    const [node, ...others] = parseNodes(
      {
        nodes: [
          {
            id: 'box',
            resources: { CPU: 8, GPU: 4, 'accelerator_type:H100': 1, ssd: 0 },
            labels: { zone: 'a' },
            links: [
              [0, 1],
              [2, 3],
            ],
            numa: [0, 0, 1, null],
            unschedulable: true,
          },
        ],
      },
      'nodes.yaml',
    );
    expect(others).toEqual([]);
    expect(node).toMatchObject({ id: 'box', schedulable: false, labels: new Map([['zone', 'a']]) });
    expect(toQuantities(node?.total ?? new Map())).toEqual({ CPU: 8, GPU: 4, 'accelerator_type:H100': 1 });
    expect(node?.devices).toEqual(
      new Map([
        [
          'GPU',
          {
            ids: ['box/GPU-0', 'box/GPU-1', 'box/GPU-2', 'box/GPU-3'],
            numa: [0, 0, 1, null],
            links: [
              { a: 0, b: 1, kind: 'nvlink', lanes: 1 },
              { a: 2, b: 3, kind: 'nvlink', lanes: 1 },
            ],
          },
        ],
      ]),
    );
  });

  test('counts, and names those without a name by their place', () => {
    const nodes = parseNodes(
      [
        { resources: { CPU: 1 } },
        { id: 'gpu', count: 2, resources: { GPU: 2 }, links: 'nvlink' },
        { count: 2, resources: {} },
        { id: 'one', count: 1, resources: {} },
      ],
      'n',
    );
    expect(nodes.map(({ id }) => id)).toEqual(['node-0', 'gpu-0', 'gpu-1', 'node-3', 'node-4', 'one-0']);
    expect(nodes[2]?.devices.get('GPU')?.ids).toEqual(['gpu-1/GPU-0', 'gpu-1/GPU-1']);
    expect(nodes.every(({ schedulable }) => schedulable)).toBe(true);
  });

  test('links NPUs by HCCS, and all with all by a word', () => {
    const links = (node: object) => {
      const [parsed] = parseNodes([node], 'n');
      return [...(parsed?.devices.values() ?? [])][0]?.links.map(({ a, b, kind }) => `${a}${b} ${kind}`);
    };
    expect(links({ resources: { NPU: 2 }, links: [[1, 0]] })).toEqual(['10 hccs']);
    expect(links({ resources: { GPU: 3 }, links: 'nvlink' })).toEqual(['01 nvlink', '02 nvlink', '12 nvlink']);
    expect(links({ resources: { GPU: 2 }, numa: [0, 1] })).toEqual([]);
  });

  test('reads the nodes of the recorded cases', () => {
    const nodes = parseNodes(
      [
        { res: { CPU: 8, GPU: 2 }, labels: {} },
        { res: { NPU: 8 }, labels: { zone: 'b' } },
      ],
      'nodes',
    );
    expect(nodes.map(({ id }) => id)).toEqual(['node-0', 'node-1']);
  });
});
