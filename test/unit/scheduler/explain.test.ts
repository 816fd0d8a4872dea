import { beforeEach, describe, expect, it } from 'vitest';
import { ClusterState } from '../../../src/scheduler/cluster-state.js';
import { explainGroup } from '../../../src/scheduler/explain.js';
import { take } from '../../../src/scheduler/free.js';
import { parseSelector } from '../../../src/scheduler/labels.js';
import { toResources } from '../../../src/scheduler/resources.js';
import type { GroupRequest } from '../../../src/scheduler/types.js';

describe('explainGroup', () => {
  let state: ClusterState;

  const want = (bundles: Record<string, number>[], rest: Partial<GroupRequest> = {}): GroupRequest => ({
    strategy: 'PACK',
    bundles: bundles.map(toResources),
    selectors: null,
    softTarget: null,
    domain: null,
    occupied: new Set(),
    tensorParallel: 1,
    ...rest,
  });
  const hold = (node: string, amounts: Record<string, number>): void => {
    const view = state.node(node);
    const taken = view === null ? null : take(view.free, toResources(amounts));
    if (taken === null || !state.claim(node, taken.grant)) throw new Error('not free');
  };
  const told = (request: GroupRequest, focus?: number): string[] =>
    explainGroup(state, request, focus).map(({ node, kind, reason }) => `${node} ${kind}: ${reason}`);

  beforeEach(() => {
    state = new ClusterState();
    for (const [id, gpus, zone] of [
      ['a', 4, 'z1'],
      ['b', 2, 'z2'],
      ['c', 0, 'z1'],
    ] as const) {
      const total = toResources(gpus === 0 ? { CPU: 8 } : { CPU: 8, GPU: gpus });
      state.addNode({ id, total, labels: new Map([['zone', zone]]), devices: new Map() });
    }
  });

  it('tells busy from too small', () => {
    hold('a', { GPU: 3 });
    expect(told(want([{ GPU: 2, CPU: 1 }, { GPU: 4 }]))).toEqual([
      'a busy: GPU 1 free of 4, needed 4',
      'b infeasible: has only GPU 2 of the 4 needed, even when empty',
      'c infeasible: has only GPU 0 of the 4 needed, even when empty',
    ]);
  });

  it('tells of nodes that take no work', () => {
    state.setSchedulable('a', false);
    expect(told(want([{ GPU: 4 }]))[0]).toMatch(/^a not-schedulable: takes no new work/);
  });

  it('tells which label is wrong', () => {
    const selectors = [parseSelector({ zone: 'z2', rack: 'r1' }, 'labels')];
    expect(told(want([{ GPU: 1 }], { selectors })).slice(0, 2)).toEqual([
      'a infeasible: has zone = z1, no rack; asked is zone = z2, rack = r1',
      'b infeasible: has no rack; asked is rack = r1',
    ]);
  });

  it('tells of fractions that no two whole devices are left of', () => {
    state.removeNode('a');
    hold('b', { GPU: 0.3 });
    expect(told(want([{ GPU: 1.8 }]))[0]).toBe('b busy: GPU 1.7 free of 2, needed 1.8');
    hold('b', { GPU: 0.8 });
    expect(told(want([{ GPU: 0.8 }]))[0]).toBe(
      'b busy: GPU 0.9 is free in sum, but its devices have 0.7, 0.2 free, which does not hold 0.8 of a device: a fraction stays on one device',
    );
    expect(told(want([{ GPU: 0.5 }, { GPU: 0.4 }], { strategy: 'STRICT_PACK' }))[0]).toMatch(
      /does not hold the 2 bundles one by one/,
    );
  });

  it('tells what other bundles of the group took', () => {
    expect(told(want(Array.from({ length: 7 }, () => ({ GPU: 1 }))))).toEqual([
      'a busy: could take it alone, but by then has taken bundles 0, 1, 2, 3 of this group: GPU 0 free of 4, needed 1',
      'b busy: could take it alone, but by then has taken bundles 4, 5 of this group: GPU 0 free of 2, needed 1',
      'c infeasible: has only GPU 0 of the 1 needed, even when empty',
    ]);
  });

  it('tells of too few nodes', () => {
    const spread = { strategy: 'STRICT_SPREAD' } as const;
    expect(
      told(
        want(
          Array.from({ length: 4 }, () => ({ CPU: 1 })),
          spread,
        ),
      )[2],
    ).toBe('c available: can take one of the 4 bundles; STRICT_SPREAD wants as many nodes');
    expect(
      told(
        want(
          Array.from({ length: 3 }, () => ({ GPU: 1 })),
          spread,
        ),
      ),
    ).toEqual([
      'a busy: could take it alone, but by then has taken bundle 0 of this group, and STRICT_SPREAD wants one per node',
      'b busy: could take it alone, but by then has taken bundle 1 of this group, and STRICT_SPREAD wants one per node',
      'c infeasible: has only GPU 0 of the 1 needed, even when empty',
    ]);
    const moved = want([{ GPU: 4 }], { ...spread, occupied: new Set(['a']) });
    expect(told(moved)[0]).toBe('a busy: holds another bundle of this group, and STRICT_SPREAD wants one per node');
  });

  it('judges all bundles of STRICT_PACK at once', () => {
    hold('a', { CPU: 7 });
    expect(told(want([{ CPU: 1 }, { CPU: 1, GPU: 3 }], { strategy: 'STRICT_PACK' }))).toEqual([
      'a busy: CPU 1 free of 8, needed 2',
      'b infeasible: has only GPU 2 of the 3 needed, even when empty',
      'c infeasible: has only GPU 0 of the 3 needed, even when empty',
    ]);
  });

  it('judges each domain by its own attempt', () => {
    const domain = { label: 'zone', value: null };
    expect(told(want([{ GPU: 2 }, { GPU: 2 }, { CPU: 1, GPU: 1 }], { domain }))).toEqual([
      'a busy: could take it alone, but by then has taken bundles 0, 1 of this group: GPU 0 free of 4, needed 1',
      'b busy: could take it alone, but by then has taken bundle 0 of this group: GPU 0 free of 2, needed 2',
      'c infeasible: has only GPU 0 of the 1 needed, even when empty',
    ]);
    expect(told(want([{ GPU: 9 }], { domain: { label: 'zone', value: 'z2' } }))[0]).toBe(
      'a infeasible: has zone = z1, and the group wants nodes with z2',
    );
    expect(told(want([{ GPU: 9 }], { domain: { label: 'rack', value: null } }))[0]).toBe(
      'a infeasible: has no rack, and the group wants nodes that share a value of it',
    );
  });

  it('answers about another bundle when asked', () => {
    hold('a', { GPU: 4 });
    const group = want([{ GPU: 2 }, { GPU: 3 }]);
    expect(told(group)[1]).toMatch(/^b infeasible/);
    expect(told(group, 0)).toEqual([
      'a busy: GPU 0 free of 4, needed 2',
      'b available: has room for GPU 2',
      'c infeasible: has only GPU 0 of the 2 needed, even when empty',
    ]);
  });

  it('says where a group that fits has room', () => {
    expect(told(want([{ GPU: 4 }]))[0]).toBe('a available: has room for GPU 4');
  });
});
