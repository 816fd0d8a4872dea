import { describe, expect, it } from 'vitest';
import { ClusterState } from '../../../src/scheduler/cluster-state.js';
import { parseSelector } from '../../../src/scheduler/labels.js';
import { placeGroup } from '../../../src/scheduler/place-group.js';
import { toResources } from '../../../src/scheduler/resources.js';
import type { GroupPlacement, GroupRequest } from '../../../src/scheduler/types.js';
import { islands, outcomeOf } from './arbitrary.js';

type Wanted = Partial<Omit<GroupRequest, 'bundles' | 'selectors'>> & { selectors?: Record<string, string>[] };

const bundlesOf = (...bundles: Record<string, number>[]) => bundles;
const times = (count: number, bundle: Record<string, number>) => Array.from({ length: count }, () => bundle);

function request(bundles: Record<string, number>[], { selectors, ...rest }: Wanted = {}): GroupRequest {
  return {
    strategy: 'PACK',
    bundles: bundles.map(toResources),
    selectors: selectors?.map((one) => parseSelector(one, 'labels')) ?? null,
    softTarget: null,
    domain: null,
    occupied: new Set(),
    tensorParallel: 1,
    ...rest,
  };
}

/** n0, n1, …: totals and labels; GPUs in two islands when there are several and `linked`. */
function cluster(
  totals: Record<string, number>[],
  labels: Record<string, string>[] = [],
  linked = false,
): ClusterState {
  const state = new ClusterState();
  for (const [index, total] of totals.entries()) {
    const devices = new Map(linked ? [['GPU', islands(total.GPU ?? 0, ['nvlink', 'sys'])] as const] : []);
    const spec = { id: `n${index}`, total: toResources(total), devices };
    state.addNode({ ...spec, labels: new Map(Object.entries(labels[index] ?? {})) });
  }
  return state;
}

const gpusOf = (placement: GroupPlacement): (number[] | undefined)[] | null =>
  placement.outcome === 'placed'
    ? placement.bundles.map(({ grant }) => grant.instances.get('GPU')?.map(([instance]) => instance))
    : null;

/** Holds single devices of a node. */
function hold(state: ClusterState, node: string, ...instances: number[]): void {
  const pieces = instances.map((instance) => [instance, 10_000] as const);
  const grant = { resources: toResources({ GPU: instances.length }), instances: new Map([['GPU', pieces]]) };
  expect(state.claim(node, grant)).toBe(true);
}

describe('placeGroup', () => {
  it('gives ties to the node that joined first', () => {
    const four = cluster(times(4, { GPU: 2 }));
    expect(outcomeOf(placeGroup(four, request(times(3, { GPU: 1 }))))).toBe('n0,n0,n1');
    expect(outcomeOf(placeGroup(four, request(times(3, { GPU: 1 }), { strategy: 'SPREAD' })))).toBe('n0,n1,n2');
  });

  it('packs equal bundles so that those of a node follow each other, however many there are', () => {
    const placement = placeGroup(cluster(times(4, { GPU: 8 })), request(times(32, { GPU: 1 })));
    const nodes = Array.from({ length: 32 }, (_, index) => `n${Math.floor(index / 8)}`);
    expect(outcomeOf(placement)).toBe(nodes.join());
    expect(gpusOf(placement)).toEqual(nodes.map((_, index) => [index % 8]));
  });

  it('takes the node that keeps the largest share free, not the best fit', () => {
    expect(outcomeOf(placeGroup(cluster([{ GPU: 2 }, { GPU: 8 }]), request([{ GPU: 2 }])))).toBe('n1');
  });

  it('gives bundle 0 the lowest devices, whichever bundle chose the node', () => {
    const placement = placeGroup(cluster([{ GPU: 4 }]), request(bundlesOf({ GPU: 1 }, { GPU: 2 })));
    expect(gpusOf(placement)).toEqual([[0], [1, 2]]);
  });

  it('keeps the order of the walk where fractions fit in no other', () => {
    const state = cluster([{ GPU: 2 }]);
    const some = bundlesOf({ GPU: 0.3 }, { GPU: 0.3 }, { GPU: 0.7 }, { GPU: 0.7 });
    for (const strategy of ['PACK', 'STRICT_PACK'] as const) {
      expect(gpusOf(placeGroup(state, request(some, { strategy })))).toEqual([[0], [1], [0], [1]]);
    }
  });

  it('finds room in index order where the walk finds none', () => {
    const some = bundlesOf({ GPU: 0.4 }, { GPU: 0.3 }, { GPU: 0.3 }, { GPU: 0.4 }, { GPU: 0.3 }, { GPU: 0.3 });
    const placement = placeGroup(cluster([{ GPU: 2 }]), request(some, { strategy: 'STRICT_PACK' }));
    expect(gpusOf(placement)).toEqual([[0], [0], [0], [1], [1], [1]]);
  });

  it('waits where sums fit and no devices do', () => {
    const state = cluster([{ GPU: 2 }]);
    const three = times(3, { GPU: 0.6 });
    for (const strategy of ['PACK', 'SPREAD', 'STRICT_PACK'] as const) {
      expect(placeGroup(state, request(three, { strategy })).outcome).toBe('pending');
    }
  });

  it('tells a whole free device from two halves', () => {
    const state = cluster(times(3, { GPU: 2 }));
    const part = (instance: number) => [instance, 5000] as const;
    const halves = { resources: toResources({ GPU: 1 }), instances: new Map([['GPU', [part(0), part(1)]]]) };
    for (const node of ['n0', 'n2']) expect(state.claim(node, halves)).toBe(true);
    hold(state, 'n1', 0);
    expect(outcomeOf(placeGroup(state, request([{ GPU: 1 }])))).toBe('n1');
    expect(outcomeOf(placeGroup(state, request([{ GPU: 0.5 }])))).toBe('n0');
  });

  it('puts all on the soft target while it has room, else where there is most', () => {
    const state = cluster([{ GPU: 8 }, { GPU: 2 }, { GPU: 4 }]);
    const soft: Wanted = { strategy: 'STRICT_PACK', softTarget: 'n1' };
    expect(outcomeOf(placeGroup(state, request(times(2, { GPU: 1 }), soft)))).toBe('n1,n1');
    expect(outcomeOf(placeGroup(state, request(times(3, { GPU: 1 }), soft)))).toBe('n0,n0,n0');
    expect(outcomeOf(placeGroup(state, request([{ GPU: 1 }], { ...soft, softTarget: 'gone' })))).toBe('n0');
    state.setSchedulable('n1', false);
    expect(outcomeOf(placeGroup(state, request([{ GPU: 1 }], soft)))).toBe('n0');
  });

  it('honours selectors on node ids, also where thousands of nodes are alike', () => {
    const state = cluster(times(2000, { GPU: 1 }));
    const id = (value: string) => ({ selectors: [{ 'ray.io/node-id': value }] });
    expect(outcomeOf(placeGroup(state, request([{ GPU: 1 }], id('n1234'))))).toBe('n1234');
    expect(outcomeOf(placeGroup(state, request([{ GPU: 1 }], id('!in(n0,n1,n2)'))))).toBe('n3');
    expect(placeGroup(state, request([{ GPU: 1 }], id('in(x,y)'))).outcome).toBe('infeasible');
  });

  describe('in one domain', () => {
    const racks = [{ rack: 'r2' }, { rack: 'r1' }, {}, { rack: 'r2' }, { rack: 'r1' }];
    const inRack = (value: string | null): Wanted => ({ domain: { label: 'rack', value } });

    it('takes the first value that places everything', () => {
      const state = cluster(times(5, { GPU: 2 }), racks);
      expect(outcomeOf(placeGroup(state, request(times(4, { GPU: 1 }), inRack(null))))).toBe('n1,n1,n4,n4');
      hold(state, 'n4', 0);
      expect(outcomeOf(placeGroup(state, request(times(4, { GPU: 1 }), inRack(null))))).toBe('n0,n0,n3,n3');
    });

    it('keeps to the value that bundles which stay have fixed', () => {
      const state = cluster(times(5, { GPU: 2 }), racks);
      expect(outcomeOf(placeGroup(state, request([{ GPU: 1 }], inRack('r2'))))).toBe('n0');
      expect(placeGroup(state, request([{ GPU: 1 }], inRack('r9')))).toMatchObject({ outcome: 'infeasible' });
    });

    it('waits while any value could ever do', () => {
      const state = cluster([{ GPU: 1 }, { GPU: 2 }], [{ rack: 'a' }, { rack: 'b' }]);
      hold(state, 'n1', 0);
      expect(placeGroup(state, request([{ GPU: 2 }], inRack(null)))).toMatchObject({
        outcome: 'pending',
        bundle: 0,
        reason: expect.stringContaining('where rack = b: bundle 0 needs GPU 2'),
      });
      expect(placeGroup(state, request([{ GPU: 3 }], inRack(null)))).toMatchObject({ outcome: 'infeasible' });
    });

    it('refuses where no node has the label', () => {
      const refused = placeGroup(cluster([{ GPU: 1 }]), request([{ GPU: 1 }], inRack(null)));
      expect(refused).toMatchObject({
        outcome: 'infeasible',
        bundle: null,
        reason: expect.stringContaining('label rack'),
      });
    });
  });

  describe('with tensor parallelism', () => {
    it('gives a block linked devices', () => {
      const state = cluster([{ GPU: 8 }], [], true);
      hold(state, 'n0', 1, 2);
      const two = placeGroup(state, request(times(2, { GPU: 1 }), { tensorParallel: 2 }));
      expect(gpusOf(two)).toEqual([[4], [5]]);
      const four = placeGroup(state, request(times(4, { GPU: 1 }), { tensorParallel: 4 }));
      expect(gpusOf(four)).toEqual([[4], [5], [6], [7]]);
      const plain = placeGroup(state, request(times(2, { GPU: 1 })));
      expect(gpusOf(plain)).toEqual([[0], [3]]);
    });

    it('gives each of several blocks linked devices', () => {
      const state = cluster([{ GPU: 8 }], [], true);
      hold(state, 'n0', 0, 4);
      const placement = placeGroup(state, request(times(4, { GPU: 1 }), { tensorParallel: 2 }));
      expect(gpusOf(placement)).toEqual([[5], [6], [1], [2]]);
    });

    it.each(['PACK', 'STRICT_PACK'] as const)(
      '%s: prefers, among nodes of equal score, the one that links them',
      (strategy) => {
        const state = cluster(times(3, { GPU: 8 }), [], true);
        hold(state, 'n0', 0, 1, 2, 4, 5, 6);
        hold(state, 'n1', 0, 1, 2, 3, 4, 6);
        hold(state, 'n2', 0, 1, 4, 5, 6, 7);
        const pair = placeGroup(state, request(times(2, { GPU: 1 }), { strategy, tensorParallel: 2 }));
        expect([outcomeOf(pair), gpusOf(pair)]).toEqual(['n1,n1', [[5], [7]]]);
        const plain = placeGroup(state, request(times(2, { GPU: 1 }), { strategy }));
        expect(outcomeOf(plain)).toBe('n0,n0');
      },
    );

    it('notices that other devices are free, as many as before', () => {
      const state = cluster(times(2, { GPU: 8 }), [], true);
      for (const node of ['n0', 'n1']) hold(state, node, 0, 1, 2, 5, 6, 7);
      const pair = request(times(2, { GPU: 1 }), { tensorParallel: 2 });
      expect(outcomeOf(placeGroup(state, pair))).toBe('n0,n0');
      const five = new Map([['GPU', [[5, 10_000] as const]]]);
      state.giveBack('n1', { resources: toResources({ GPU: 1 }), instances: five });
      hold(state, 'n1', 3);
      expect([outcomeOf(placeGroup(state, pair)), gpusOf(placeGroup(state, pair))]).toEqual(['n1,n1', [[4], [5]]]);
    });

    it('does not take a worse score for better links', () => {
      const state = cluster(times(2, { GPU: 8 }), [], true);
      hold(state, 'n0', 0, 1, 2, 3, 4);
      hold(state, 'n1', 1, 2, 5, 6);
      const pair = placeGroup(state, request(times(3, { GPU: 1 }), { tensorParallel: 3 }));
      expect(outcomeOf(pair)).toBe('n1,n1,n1');
    });

    it('knows the devices of nodes that have very many', () => {
      const state = cluster(times(2, { GPU: 32 }), [], true);
      hold(
        state,
        'n0',
        ...Array.from({ length: 32 }, (_, index) => index).filter((index) => index !== 3 && index !== 20),
      );
      hold(
        state,
        'n1',
        ...Array.from({ length: 32 }, (_, index) => index).filter((index) => index !== 3 && index !== 7),
      );
      const pair = placeGroup(state, request(times(2, { GPU: 1 }), { tensorParallel: 2 }));
      expect([outcomeOf(pair), gpusOf(pair)]).toEqual(['n1,n1', [[3], [7]]]);
    });
  });

  describe('says why not', () => {
    const state = cluster([{ GPU: 2, CPU: 4 }, { CPU: 8 }], [{ zone: 'a' }, { zone: 'b' }]);
    const reason = (wanted: GroupRequest): string => {
      const placement = placeGroup(state, wanted);
      return placement.outcome === 'placed'
        ? 'placed'
        : `${placement.outcome} ${placement.bundle}: ${placement.reason}`;
    };

    it.each<[string, GroupRequest, RegExp]>([
      [
        'too large',
        request(bundlesOf({ CPU: 1 }, { GPU: 3 })),
        /^infeasible 1: bundle 1 needs GPU 3, .*even when empty; closest is n0: has only GPU 2/,
      ],
      [
        'wrong label',
        request([{ GPU: 1 }], { selectors: [{ zone: 'c' }] }),
        /^infeasible 0: bundle 0 needs GPU 1 where zone = c/,
      ],
      [
        'too many',
        request(times(3, { GPU: 1 })),
        /^pending 2: bundle 2 needs GPU 1, .* closest is n0 with the other bundles of this group: GPU 0 free of 2/,
      ],
      [
        'too many together',
        request(times(3, { GPU: 1 }), { strategy: 'STRICT_PACK' }),
        /^infeasible null: the 3 bundles together need GPU 3/,
      ],
      [
        'too few nodes',
        request(times(3, { CPU: 1 }), { strategy: 'STRICT_SPREAD' }),
        /^infeasible null: STRICT_SPREAD wants a node for each of 3 bundles, and there are only 2/,
      ],
      [
        'one of too few',
        request(times(2, { CPU: 1 }), { strategy: 'STRICT_SPREAD', occupied: new Set(['n1']) }),
        /there is only 1 without/,
      ],
      [
        'fractions',
        request(times(3, { GPU: 0.6 })),
        /^pending 2: .* GPU 0.8 is free in sum, but its devices have 0.4, 0.4 free/,
      ],
    ])('%s', (_, wanted, expected) => expect(reason(wanted)).toMatch(expected));

    it('no nodes at all', () => {
      expect(placeGroup(new ClusterState(), request([{ CPU: 1 }]))).toEqual({
        outcome: 'infeasible',
        bundle: null,
        reason: 'no node takes new work',
      });
    });
  });

  it('places 40,000 bundles without trying each on each node', () => {
    const state = cluster(times(200, { CPU: 100 }));
    for (const strategy of ['PACK', 'SPREAD'] as const) {
      const all = { ...request([], { strategy }), bundles: times(20_000, { CPU: 1 }).map(toResources) };
      expect(placeGroup(state, all).outcome).toBe('placed');
      const more = { ...all, bundles: [...all.bundles, ...all.bundles] };
      expect(placeGroup(state, more)).toMatchObject({ outcome: 'pending', bundle: 20_000 });
    }
    expect(placeGroup(state, { ...request([]), bundles: [] })).toEqual({ outcome: 'placed', bundles: [] });
  });
});
