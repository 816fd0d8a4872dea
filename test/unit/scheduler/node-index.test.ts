import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ClusterState } from '../../../src/scheduler/cluster-state.js';
import { take } from '../../../src/scheduler/free.js';
import { placeGroup } from '../../../src/scheduler/place-group.js';
import { toResources } from '../../../src/scheduler/resources.js';
import type { Grant, GroupRequest, NodeSpec, NodeView, PlacedBundle, Resources } from '../../../src/scheduler/types.js';
import { groupRequest, nodeSpec, outcomeOf } from './arbitrary.js';
import { naiveOutcome } from './naive-placement.js';

const NODES = 12;

const PLAIN: GroupRequest = {
  strategy: 'PACK',
  bundles: [],
  selectors: null,
  softTarget: null,
  domain: null,
  occupied: new Set(),
  tensorParallel: 1,
};

type Step =
  | { readonly do: 'join'; readonly spec: NodeSpec; readonly on: boolean }
  | { readonly do: 'move'; readonly how: 'leave' | 'pause' | 'resume'; readonly node: number }
  | { readonly do: 'create'; readonly request: GroupRequest }
  | { readonly do: 'remove'; readonly group: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('join' as const),
      spec: fc.nat(NODES).chain((id) => nodeSpec(`n${id}`, true)),
      on: fc.constantFrom(true, true, false),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('move' as const),
      how: fc.constantFrom('leave' as const, 'pause' as const, 'resume' as const),
      node: fc.nat(NODES),
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('create' as const), request: groupRequest(NODES, 6, 3) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('remove' as const), group: fc.nat(20) }) },
);

/** Places as the steps say, comparing each answer with the scan of all nodes. */
function play(steps: readonly Step[], state = new ClusterState()): void {
  const groups: (readonly PlacedBundle[])[] = [];
  for (const one of steps) {
    if (one.do === 'join') {
      if (state.node(one.spec.id) === null) state.addNode(one.spec, one.on);
    } else if (one.do === 'move' && one.how === 'leave') {
      const id = `n${one.node}`;
      state.removeNode(id);
      for (const [at, bundles] of groups.entries()) groups[at] = bundles.filter(({ node }) => node !== id);
    } else if (one.do === 'move') {
      state.setSchedulable(`n${one.node}`, one.how === 'resume');
    } else if (one.do === 'create') {
      const placement = placeGroup(state, one.request);
      expect(outcomeOf(placement)).toBe(naiveOutcome([...state.nodes()], one.request));
      if (placement.outcome !== 'placed') continue;
      for (const { node, grant } of placement.bundles) expect(state.claim(node, grant)).toBe(true);
      groups.push(placement.bundles);
    } else {
      const [bundles] = groups.splice(one.group % Math.max(1, groups.length), 1);
      for (const { node, grant } of bundles ?? []) state.giveBack(node, grant);
    }
  }
}

describe('indexes', () => {
  it('choose as a scan of all nodes does, whatever happened before', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 60 }), (steps) => play(steps)),
      { numRuns: 100 },
    );
  });

  it('choose as a scan does when there are more demands than indexes are kept', () => {
    const state = new ClusterState();
    const names = Array.from({ length: 40 }, (_, index) => `custom${index}`);
    for (const node of [0, 1, 2]) {
      const total = toResources(Object.fromEntries(names.map((name, index) => [name, 1 + ((index + node) % 3)])));
      state.addNode({ id: `n${node}`, total, labels: new Map(), devices: new Map() });
    }
    const wanting = (name: string): Step => ({
      do: 'create',
      request: { ...PLAIN, strategy: 'SPREAD', bundles: [toResources({ [name]: 1 })] },
    });
    play([...names, ...names].map(wanting), state);
  });

  it('choose as a scan does after thousands of changes', () => {
    const state = new ClusterState();
    for (let node = 0; node < 12; node++) {
      const total = toResources({ CPU: 4, GPU: 4, memory: 4 });
      state.addNode({ id: `n${node}`, total, labels: new Map(), devices: new Map() });
    }
    const wants = [{ GPU: 1 }, { CPU: 1, memory: 1 }].map(toResources);
    let seed = 7;
    const below = (limit: number): number => {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((seed / 2 ** 32) * limit);
    };
    const held: { readonly node: string; readonly grant: Grant }[] = [];
    for (let change = 0; change < 4300; change++) {
      const node = `n${below(12)}`;
      const taken = take(
        (state.node(node) as NodeView).free,
        [toResources({ CPU: 1 }), ...wants][below(3)] as Resources,
      );
      const [back] = held.length > 36 || taken === null ? held.splice(below(held.length), 1) : [];
      if (back !== undefined) state.giveBack(back.node, back.grant);
      else if (taken !== null && state.claim(node, taken.grant)) held.push({ node, grant: taken.grant });
      // The log is cut once it has 4096 changes; what an index had not looked at by then must not be lost.
      if (change % 9 > 0 || (change > 0 && change < 4000)) continue;
      for (const want of wants) {
        const request = { ...PLAIN, strategy: 'STRICT_SPREAD' as const, bundles: [want, want, want] };
        expect(outcomeOf(placeGroup(state, request))).toBe(naiveOutcome([...state.nodes()], request));
      }
    }
  });

  it('notice a change of any amount that they order by', () => {
    const state = new ClusterState();
    for (const id of ['n0', 'n1']) {
      state.addNode({ id, total: toResources({ CPU: 8, memory: 64 }), labels: new Map(), devices: new Map() });
    }
    const wanted: GroupRequest = { ...PLAIN, bundles: [toResources({ CPU: 1, memory: 1 })] };
    expect(outcomeOf(placeGroup(state, wanted))).toBe('n0');
    state.claim('n0', { resources: toResources({ CPU: 4 }), instances: new Map() });
    expect(outcomeOf(placeGroup(state, wanted))).toBe('n1');
    state.claim('n1', { resources: toResources({ CPU: 4, memory: 1 }), instances: new Map() });
    expect(outcomeOf(placeGroup(state, wanted))).toBe('n0');
  });

  it('break ties that only rounding makes by joining order', () => {
    const state = new ClusterState();
    const GIB = 2 ** 30;
    // One byte of these is less than a score can tell apart, so all of them tie.
    for (const [index, extra] of [2, 9, 4, 9].entries()) {
      const total = toResources({ memory: 4096 * GIB + extra });
      state.addNode({ id: `n${index}`, total, labels: new Map(), devices: new Map() });
    }
    const one: GroupRequest = {
      ...PLAIN,
      strategy: 'STRICT_SPREAD',
      bundles: [toResources({ memory: 1 }), toResources({ memory: 1 }), toResources({ memory: 2000 * GIB })],
    };
    const placement = placeGroup(state, one);
    expect(outcomeOf(placement)).toBe('n0,n2,n1');
    expect(outcomeOf(placement)).toBe(naiveOutcome([...state.nodes()], one));
  });
});
