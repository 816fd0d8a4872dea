import { describe, expect, test } from 'vitest';
import { blockLinks } from '../../../src/scheduler/block-links.js';
import { ClusterState } from '../../../src/scheduler/cluster-state.js';
import { take } from '../../../src/scheduler/free.js';
import { parseNodes } from '../../../src/scheduler/node-spec.js';
import { placeGroup } from '../../../src/scheduler/place-group.js';
import { toResources } from '../../../src/scheduler/resources.js';
import { traceGroup } from '../../../src/scheduler/trace.js';
import type { NodeView } from '../../../src/scheduler/types.js';
import { compileGroup, type WrittenGroup } from '../../../src/scheduler/validate.js';

function cluster(written: readonly object[], busy: Record<string, Record<string, number>> = {}): ClusterState {
  const state = new ClusterState();
  for (const { schedulable, ...spec } of parseNodes(written, 'nodes')) state.addNode(spec, schedulable);
  for (const [id, quantities] of Object.entries(busy)) {
    const taken = take((state.node(id) as NodeView).free, toResources(quantities));
    if (taken === null || !state.claim(id, taken.grant)) throw new Error('the test asks for too much');
  }
  return state;
}

function trace(state: ClusterState, written: WrittenGroup, limit = 50) {
  const request = compileGroup(written);
  const placement = placeGroup(state, request);
  if (placement.outcome !== 'placed') throw new Error(placement.reason);
  const before = state.version;
  const steps = traceGroup(state, request, placement.bundles, limit);
  expect(state.version).toBe(before);
  return { steps, links: blockLinks(state, placement.bundles, request.tensorParallel) };
}

const FOUR = [
  { id: 'a', resources: { CPU: 8, GPU: 2 } },
  { id: 'b', resources: { CPU: 8, GPU: 4 } },
  { id: 'c', resources: { CPU: 8, GPU: 4 } },
  { id: 'd', resources: { CPU: 8 } },
];

describe('traceGroup', () => {
  test('PACK: one choice a node, what was put beside it, and what the others scored', () => {
    const { steps } = trace(cluster(FOUR), { bundles: [{ GPU: 1 }, { GPU: 2 }, { GPU: 3 }, { GPU: 2 }] });
    expect(steps).toEqual([
      {
        bundle: 2,
        resources: toResources({ GPU: 3 }),
        node: 'b',
        score: 0.25,
        why: 'first-of-equals',
        again: false,
        beside: [0],
        others: [{ node: 'c', score: 0.25 }],
        otherCount: 1,
        unfit: 2,
      },
      expect.objectContaining({
        bundle: 1,
        node: 'c',
        why: 'highest',
        beside: [3],
        others: [{ node: 'a', score: 0 }],
        unfit: 1,
      }),
    ]);
  });

  test('SPREAD: one choice a bundle, unused nodes first, then used ones again', () => {
    const { steps } = trace(cluster(FOUR), { bundles: new Array(4).fill({ GPU: 1 }), strategy: 'SPREAD' });
    expect(steps.map(({ node, again, unfit, otherCount }) => [node, again, unfit, otherCount])).toEqual([
      ['b', false, 1, 2],
      ['c', false, 1, 1],
      ['a', false, 1, 0],
      ['b', true, 0, 2],
    ]);
  });

  test('STRICT_PACK: one choice for all, and the soft target as the reason', () => {
    const bundles = [{ GPU: 1 }, { GPU: 1 }];
    const { steps } = trace(cluster(FOUR), { bundles, strategy: 'STRICT_PACK', softTarget: 'a' });
    expect(steps).toEqual([
      expect.objectContaining({ bundle: null, node: 'a', why: 'soft-target', score: 0, otherCount: 2, beside: [] }),
    ]);
    expect(trace(cluster(FOUR, { b: { GPU: 1 } }), { bundles, strategy: 'STRICT_PACK' }).steps).toEqual([
      expect.objectContaining({ node: 'c', why: 'highest', resources: toResources({ GPU: 2 }) }),
    ]);
  });

  test('looks only at nodes of the domain that was chosen, and at none that takes no work', () => {
    const nodes = FOUR.map((node, index) => ({ ...node, labels: { rack: index < 2 ? 'x' : 'y' } }));
    const written = { bundles: [{ CPU: 1 }], topologyStrategy: { rack: 'STRICT_PACK' } };
    expect(trace(cluster(nodes), written).steps[0]).toMatchObject({ node: 'a', others: [{ node: 'b' }] });
    const draining = [{ ...FOUR[1], unschedulable: true }, FOUR[2] as object];
    expect(trace(cluster(draining), { bundles: [{ GPU: 1 }] }).steps[0]).toMatchObject({
      node: 'c',
      otherCount: 0,
      unfit: 0,
    });
  });

  test('says when links decided', () => {
    const apart = { resources: { GPU: 2 }, links: [[0], [1]] };
    const nodes = [
      { id: 'apart', ...apart },
      { id: 'linked', resources: { GPU: 2 }, links: 'nvlink' },
    ];
    const { steps, links } = trace(cluster(nodes), { bundles: [{ GPU: 1 }, { GPU: 1 }], tensorParallel: 2 });
    expect(steps).toEqual([expect.objectContaining({ node: 'linked', why: 'best-linked', beside: [1] })]);
    expect(links).toEqual([
      {
        bundles: [0, 1],
        nodes: [
          {
            node: 'linked',
            devices: [
              { resource: 'GPU', instance: 0, quantity: 1 },
              { resource: 'GPU', instance: 1, quantity: 1 },
            ],
          },
        ],
        pairs: [['nvlink', 1]],
      },
    ]);
  });

  test('stops at its limit', () => {
    const written = { bundles: new Array(8).fill({ CPU: 1 }), strategy: 'SPREAD' };
    expect(trace(cluster(FOUR), written, 3).steps).toHaveLength(3);
    const many = cluster([{ id: 'n', count: 40, resources: { CPU: 1 } }]);
    const [step] = trace(many, { bundles: [{ CPU: 1 }] }).steps;
    expect(step).toMatchObject({ otherCount: 39 });
    expect(step?.others).toHaveLength(16);
  });
});

describe('blockLinks', () => {
  test('counts pairs by kind, best first, and tells blocks that are on several nodes', () => {
    const nodes = [
      { id: 'a', resources: { GPU: 3 }, links: [[0, 1]] },
      { id: 'b', resources: { GPU: 2, NPU: 1 } },
    ];
    const { links } = trace(cluster(nodes), {
      bundles: [{ GPU: 3 }, { GPU: 1 }, { GPU: 0.5 }, { CPU: 0.00001, GPU: 0.5 }],
      tensorParallel: 2,
    });
    expect(links.map(({ bundles, nodes: on, pairs }) => [bundles, on.map(({ node }) => node), pairs])).toEqual([
      [
        [0, 1],
        ['a', 'b'],
        [
          ['nvlink', 1],
          ['unknown', 2],
        ],
      ],
      [[2, 3], ['b'], []],
    ]);
  });
});
