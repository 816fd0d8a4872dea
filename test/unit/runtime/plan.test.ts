import { describe, expect, it } from 'vitest';
import { type Plan, planPlacement } from '../../../src/runtime/plan.js';
import { parseNodes } from '../../../src/scheduler/node-spec.js';
import { trainedModel } from '../../support/trained-model.js';
import { compile } from '../config/support.js';

/** Two boxes with four L4 each, and one with only CPUs. */
const CLUSTER = [
  { id: 'a', resources: { CPU: 8, GPU: 4, 'accelerator_type:L4': 1 } },
  { id: 'b', resources: { CPU: 8, GPU: 4, 'accelerator_type:L4': 1 } },
  { id: 'c', resources: { CPU: 8 } },
];

async function plan(flags: Record<string, unknown>, nodes: unknown = CLUSTER, env = {}): Promise<Plan> {
  const { config } = await compile({ flags, cluster: new Set(['GPU']) });
  const ground = { nodes: parseNodes(nodes, 'nodes'), cpus: null, env, pythonPath: '/p' };
  return planPlacement(config, ground);
}

const L4 = { 'accelerator-type': 'L4' };
const ranks = ({ ranks: all }: Plan): string[] =>
  all.map(({ replica, rank, node, localRank, device }) => `${replica}.${rank} ${node}:${localRank} ${device?.index}`);
const nodesOf = (made: Plan, group = 0): (string | null)[] => made.groups[group]?.bundles.map(({ node }) => node) ?? [];

describe('the cases of Ray Serve LLM on paper', () => {
  it('TP=2: one node, two devices, the CPU in bundle 0', async () => {
    const made = await plan({ ...L4, 'tensor-parallel-size': '2' });
    expect(made.refusal).toBeNull();
    expect(made.groups).toMatchObject([
      {
        name: 'mock/0',
        strategy: 'PACK',
        outcome: 'placed',
        bundles: [
          { resources: { GPU: 1, CPU: 1, 'accelerator_type:L4': 0.001 }, node: 'a', devices: [{ instance: 0 }] },
          { resources: { GPU: 1, 'accelerator_type:L4': 0.001 }, node: 'a', devices: [{ instance: 1 }] },
        ],
      },
    ]);
    expect(ranks(made)).toEqual(['0.0 a:0 0', '0.1 a:1 1']);
  });

  it('PP=2: one node when it fits', async () => {
    const made = await plan({ ...L4, 'pipeline-parallel-size': '2' });
    expect(ranks(made)).toEqual(['0.0 a:0 0', '0.1 a:1 1']);
  });

  it('TP=2 × PP=2 over two nodes: stages cross, pairs do not', async () => {
    const small = [
      { id: 'a', resources: { CPU: 1, GPU: 2, 'accelerator_type:L4': 1 } },
      { id: 'b', resources: { CPU: 1, GPU: 2, 'accelerator_type:L4': 1 } },
    ];
    const made = await plan({ ...L4, 'tensor-parallel-size': '2', 'pipeline-parallel-size': '2' }, small);
    expect(made.ranks.map(({ node }) => node)).toEqual(['a', 'a', 'b', 'b']);
    expect(made.ranks.map(({ environment }) => environment.LOCAL_RANK)).toEqual(['0', '1', '0', '1']);
    // No loopback address where ranks of a replica are on two machines.
    expect(made.ranks[3]?.environment).toMatchObject({ RANK: '3', MASTER_ADDR: '(of node a)' });
    expect(made.ranks[3]?.environment).not.toHaveProperty('GLOO_SOCKET_IFNAME');
  });

  it('four bundles SPREAD: on as many nodes as can take them', async () => {
    const made = await plan({
      ...L4,
      'tensor-parallel-size': '4',
      'placement-group-config': { bundles: new Array(4).fill({ GPU: 1 }), strategy: 'SPREAD' },
    });
    expect([...nodesOf(made)].sort()).toEqual(['a', 'a', 'b', 'b']);
    expect(made.ranks.map(({ node }) => node)).toEqual(['a', 'a', 'b', 'b'].sort());
  });

  it('data parallelism: each replica on one node, or all of them in one packed group', async () => {
    const shape = { ...L4, 'tensor-parallel-size': '3', 'data-parallel-size': '2' };
    const each = await plan(shape);
    expect(each.groups.map(({ name, strategy }) => [name, strategy])).toEqual([
      ['mock/0', 'STRICT_PACK'],
      ['mock/1', 'STRICT_PACK'],
    ]);
    expect([new Set(nodesOf(each, 0)).size, new Set(nodesOf(each, 1)).size]).toEqual([1, 1]);
    expect(ranks(each)).toEqual(['0.0 a:0 0', '0.1 a:1 1', '0.2 a:2 2', '1.0 b:0 0', '1.1 b:1 1', '1.2 b:2 2']);
    const gang = await plan({ ...shape, 'data-parallel-placement': 'gang' });
    expect(gang.groups).toMatchObject([{ name: 'mock', strategy: 'PACK', outcome: 'placed' }]);
    expect(nodesOf(gang)).toHaveLength(6);
    // The first node is filled before the second: the replica of the middle has ranks on both.
    expect(gang.ranks.map(({ replica, node }) => `${replica}${node}`)).toEqual(['0a', '0a', '0a', '1a', '1b', '1b']);
  });
});

describe('what has no place', () => {
  it('is infeasible, and each node says why', async () => {
    const made = await plan({ 'accelerator-type': 'H100', 'tensor-parallel-size': '2' });
    expect(made.groups[0]).toMatchObject({ outcome: 'infeasible', bundles: [{ node: null }, { node: null }] });
    expect(made.groups[0]?.nodes.map(({ node }) => node)).toEqual(['a', 'b', 'c']);
    expect(made.groups[0]?.nodes.every(({ kind, reason }) => kind === 'infeasible' && reason !== '')).toBe(true);
    expect(made.ranks).toEqual([]);
    expect(made.refusal).toMatchObject({ code: 'INFEASIBLE', exitCode: 3 });
    expect(made.refusal?.message).toContain('accelerator_type:H100');
    expect(made.refusal?.message).toMatch(/or add nodes$/);
  });

  it('would wait for groups before it: pending, while those are shown', async () => {
    const made = await plan({ ...L4, 'tensor-parallel-size': '3', 'data-parallel-size': '3' });
    expect(made.groups.map(({ outcome }) => outcome)).toEqual(['placed', 'placed', 'pending']);
    expect(made.ranks).toHaveLength(6);
    expect(made.refusal?.message).toContain('mock/2');
  });

  it('keeps off nodes that take no work', async () => {
    const nodes = [{ ...CLUSTER[0], unschedulable: true }, CLUSTER[1]];
    expect(nodesOf(await plan({ ...L4 }, nodes))).toEqual(['b']);
  });

  it('is refused when no scheduler takes the bundles', async () => {
    const config = { bundles: [{ GPU: 1, bundle: 1 }] };
    await expect(plan({ 'placement-group-config': config })).rejects.toMatchObject({ code: 'PLACEMENT_INVALID' });
  });
});

describe('the environment of the plan', () => {
  it('shares a device by fractions, and says so under NOSET too', async () => {
    const config = { bundles: [{ GPU: 0.5 }, { GPU: 0.5 }] };
    const env = { RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES: '1' };
    const made = await plan({ 'tensor-parallel-size': '2', 'placement-group-config': config }, CLUSTER, env);
    expect(ranks(made)).toEqual(['0.0 a:0 0', '0.1 a:1 0']);
    for (const { environment } of made.ranks) {
      expect(environment).not.toHaveProperty('CUDA_VISIBLE_DEVICES');
      expect(environment).toMatchObject({
        TWINKLE_DEVICE_IDS: made.ranks[0]?.device?.uuid,
        RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES: '1',
      });
    }
  });
});

describe('models with ranks of their own that train', () => {
  async function withTrained(gpus: number): Promise<Plan> {
    const { config } = await compile({ flags: L4, cluster: new Set(['GPU']) });
    const trained = [
      trainedModel({ name: 'mock', ranks: 2, placement: { accelerator: 'GPU' }, envVars: { HF_HOME: '/h' } }),
    ];
    const nodes = parseNodes([{ id: 'a', resources: { CPU: 8, GPU: gpus, 'accelerator_type:L4': 1 } }], 'nodes');
    return planPlacement({ ...config, trained }, { nodes, cpus: null, env: {}, pythonPath: '/p' });
  }

  it('have a group and ranks in the plan, behind what is served', async () => {
    const made = await withTrained(3);
    expect(made.refusal).toBeNull();
    expect(made.groups.map(({ name, model, outcome }) => [name, model, outcome])).toEqual([
      ['mock/0', 'mock', 'placed'],
      ['mock/train/0', 'mock/train', 'placed'],
    ]);
    expect(made.ranks.map(({ model, rank, device }) => [model, rank, device?.index])).toEqual([
      ['mock', 0, 0],
      ['mock/train', 0, 1],
      ['mock/train', 1, 2],
    ]);
    expect(made.ranks.map(({ environment }) => environment.HF_HOME)).toEqual([undefined, '/h', '/h']);
  });

  it('that find no room beside it are refused', async () => {
    const made = await withTrained(2);
    expect(made.groups.map(({ outcome }) => outcome)).toEqual(['placed', 'pending']);
    expect(made.refusal?.message).toContain('mock/train/0');
  });
});
