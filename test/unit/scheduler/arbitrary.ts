/** Random clusters and requests, small enough that everything collides with everything. */
import fc from 'fast-check';
import { ClusterState } from '../../../src/scheduler/cluster-state.js';
import { take } from '../../../src/scheduler/free.js';
import { toResources } from '../../../src/scheduler/resources.js';
import type {
  GroupPlacement,
  GroupRequest,
  LabelSelector,
  Labels,
  LinkKind,
  NodeDevices,
  NodeSpec,
  Resources,
  Strategy,
} from '../../../src/scheduler/types.js';

const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined, freq: 2 });

const resources = (amounts: Record<string, number | undefined>): Resources =>
  toResources(
    Object.fromEntries(Object.entries(amounts).filter((entry): entry is [string, number] => entry[1] !== undefined)),
  );

const total = fc
  .record({
    CPU: fc.constantFrom(1, 2, 4, 4, 8),
    GPU: fc.constantFrom(undefined, 1, 2, 2, 4),
    NPU: maybe(fc.constant(2)),
    memory: fc.constantFrom(undefined, 1000, 1001, 2000),
    ssd: maybe(fc.constantFrom(1, 2)),
    nic: maybe(fc.constant(2)),
  })
  .map(resources);

/** Two islands, or nothing known. */
export function islands(count: number, kinds: readonly [LinkKind, LinkKind]): NodeDevices {
  const at = Array.from({ length: count }, (_, index) => index);
  const half = Math.ceil(count / 2);
  return {
    ids: at.map((index) => `GPU-${index}`),
    numa: at.map((index) => (index < half ? 0 : 1)),
    links: at.flatMap((a) =>
      at
        .filter((b) => b > a)
        .map((b) => ({ a, b, kind: a < half === b < half ? kinds[0] : kinds[1], lanes: a < half ? 1 : 2 })),
    ),
  };
}

const labels: fc.Arbitrary<Labels> = fc
  .record({
    zone: fc.constantFrom<string | undefined>(undefined, 'a', 'b'),
    rack: fc.constantFrom<string | undefined>(undefined, 'r1', 'r2'),
  })
  .map(
    (values) => new Map(Object.entries(values).filter((entry): entry is [string, string] => entry[1] !== undefined)),
  );

export function nodeSpec(id: string, linked = false): fc.Arbitrary<NodeSpec> {
  const kinds = fc.constantFrom<readonly [LinkKind, LinkKind] | null>(null, ['nvlink', 'sys'], ['phb', 'sys']);
  return fc.record({ total, labels, kinds }).map((one) => {
    const count = (one.total.get('GPU') ?? 0) / 10_000;
    const devices = new Map(
      linked && one.kinds !== null && count > 0 ? [['GPU', islands(count, one.kinds)] as const] : [],
    );
    return { id, total: one.total, labels: one.labels, devices };
  });
}

const demanded = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      GPU: fc.constantFrom(undefined, 0.3, 0.4, 0.5, 0.6, 1, 1, 1.5, 2),
      CPU: fc.constantFrom(undefined, 0.5, 1, 1, 2),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      GPU: maybe(fc.constantFrom(0.5, 1)),
      NPU: maybe(fc.constantFrom(0.5, 1)),
      memory: maybe(fc.constantFrom(1, 500, 1001)),
      ssd: maybe(fc.constantFrom(0.001, 1)),
      nic: maybe(fc.constant(1)),
      CPU: maybe(fc.constantFrom(1, 3)),
    }),
  },
);

const selector = (nodes: number): fc.Arbitrary<LabelSelector> =>
  fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    {
      weight: 2,
      arbitrary: fc
        .tuple(
          fc.constantFrom('zone', 'rack'),
          fc.boolean(),
          fc.constantFrom(['a'], ['b'], ['a', 'b'], ['r1'], ['r2', 'a']),
        )
        .map(([key, not, values]) => [{ key, not, values }]),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(fc.boolean(), fc.uniqueArray(fc.nat(nodes), { minLength: 1, maxLength: 3 }))
        .map(([not, ids]) => [{ key: 'ray.io/node-id', not, values: ids.map((id) => `n${id}`) }]),
    },
  );

/** @param nodes that ids are drawn from: n0, n1, … and one more than there are */
export function groupRequest(nodes: number, mostBundles: number, mostParallel = 1): fc.Arbitrary<GroupRequest> {
  const shapes = fc.array(demanded.map(resources), { minLength: 1, maxLength: 2 });
  // Few different shapes per group: groups of equal bundles are what people ask for, and they tie.
  const bundles = fc
    .tuple(shapes, fc.array(fc.nat(1), { minLength: 1, maxLength: mostBundles }))
    .map(([some, picks]) => picks.map((pick) => some[pick % some.length] as Resources));
  return fc
    .record({
      bundles,
      strategy: fc.constantFrom<Strategy>('PACK', 'SPREAD', 'STRICT_PACK', 'STRICT_SPREAD'),
      selectors: fc.option(fc.array(selector(nodes), { minLength: mostBundles, maxLength: mostBundles }), { freq: 2 }),
      target: fc.option(fc.nat(nodes)),
      occupied: fc.oneof(fc.constant<number[]>([]), fc.uniqueArray(fc.nat(nodes), { maxLength: 2 })),
      domain: fc.constantFrom<GroupRequest['domain']>(
        null,
        null,
        null,
        { label: 'zone', value: null },
        { label: 'zone', value: 'b' },
      ),
      tensorParallel: fc.integer({ min: 1, max: mostParallel }),
    })
    .map(({ target, occupied, selectors, ...one }) => ({
      ...one,
      selectors: selectors?.slice(0, one.bundles.length) ?? null,
      softTarget: one.strategy === 'STRICT_PACK' && target !== null ? `n${target}` : null,
      occupied: new Set(occupied.map((id) => `n${id}`)),
    }));
}

/** A state with some of it taken: `taken[i]` is tried on node i, as often as it fits. */
export function clusterOf(
  specs: readonly NodeSpec[],
  taken: readonly (readonly Resources[])[],
  idle: readonly boolean[] = [],
): ClusterState {
  const state = new ClusterState();
  for (const [index, spec] of specs.entries()) {
    state.addNode(spec, idle[index] !== true);
    for (const want of taken[index] ?? []) {
      const view = state.node(spec.id);
      const grant = view === null ? null : take(view.free, want)?.grant;
      if (grant) state.claim(spec.id, grant);
    }
  }
  return state;
}

/** Up to `most` nodes, partly taken, some not schedulable. */
export function cluster(most: number, linked = false): fc.Arbitrary<ClusterState> {
  return fc
    .integer({ min: 1, max: most })
    .chain((count) =>
      fc
        .tuple(
          fc.tuple(...Array.from({ length: count }, (_, index) => nodeSpec(`n${index}`, linked))),
          fc.array(fc.array(demanded.map(resources), { maxLength: 3 }), { maxLength: count }),
          fc.array(fc.constantFrom(false, false, false, true), { maxLength: count }),
        )
        .map(([specs, taken, idle]) => clusterOf(specs, taken, idle)),
    );
}

/** `pending`, `infeasible`, or the node of each bundle: the oracle's form. */
export function outcomeOf(placement: GroupPlacement): string {
  return placement.outcome === 'placed' ? placement.bundles.map(({ node }) => node).join() : placement.outcome;
}
