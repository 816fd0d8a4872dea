import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { allFree, chooseInstances, giveBack, take, takeGrant } from '../../../src/scheduler/free.js';
import { toResources } from '../../../src/scheduler/resources.js';
import type { Free, Grant } from '../../../src/scheduler/types.js';

const free = (total: Record<string, number>): Free =>
  allFree({ id: 'n', total: toResources(total), labels: new Map(), devices: new Map() });

/** Takes GPUs one after the other from four, as a real Ray was seen to do; the devices of each. */
function gpus(...wants: number[]): (number[] | null)[] {
  let left = free({ GPU: 4 });
  return wants.map((want) => {
    const taken = take(left, toResources({ GPU: want }));
    if (taken === null) return null;
    left = taken.free;
    return (taken.grant.instances.get('GPU') ?? []).map(([instance]) => instance);
  });
}

describe('devices', () => {
  it('go as Ray was seen to give them', () => {
    expect(gpus(0.5, 0.5, 0.3, 1, 2)).toEqual([[0], [0], [1], [2], null]);
    expect(gpus(0.6, 0.6, 0.4, 0.3)).toEqual([[0], [1], [0], [1]]);
  });

  it('go whole ones first and then the rest where least is left over', () => {
    expect(chooseInstances([10_000, 4000, 10_000, 3000], 13_000)).toEqual([
      [0, 10_000],
      [3, 3000],
    ]);
    expect(chooseInstances([10_000, 10_000, 2000], 15_000)).toEqual([
      [0, 10_000],
      [1, 5000],
    ]);
    expect(chooseInstances([10_000, 2000], 15_000)).toBeNull();
    expect(chooseInstances([9000, 9000], 10_000)).toBeNull();
  });

  it('go in the order wanted, and are listed ascending', () => {
    expect(chooseInstances([10_000, 10_000, 10_000, 10_000], 20_000, [3, 1, 0, 2])).toEqual([
      [1, 10_000],
      [3, 10_000],
    ]);
  });
});

describe('take', () => {
  it('takes nothing at all when one thing is missing', () => {
    const all = free({ CPU: 2, GPU: 1 });
    expect(take(all, toResources({ CPU: 1, GPU: 2 }))).toBeNull();
    expect(take(all, toResources({ NPU: 1 }))).toBeNull();
    expect(all).toEqual(free({ CPU: 2, GPU: 1 }));
  });

  const want = fc
    .record({
      CPU: fc.constantFrom(0, 0.5, 1),
      GPU: fc.constantFrom(0, 0.3, 0.7, 1, 1.5, 2),
      NPU: fc.constantFrom(0, 0.4, 1),
    })
    .map(toResources);

  it('is undone by giving back, in whatever order', () => {
    const order = fc.array(fc.nat(100), { minLength: 8, maxLength: 8 });
    fc.assert(
      fc.property(fc.array(want, { maxLength: 8 }), order, (wants, picks) => {
        const all = free({ CPU: 4, GPU: 4, NPU: 2 });
        let left = all;
        const grants: Grant[] = [];
        for (const one of wants) {
          const taken = take(left, one);
          if (taken === null) continue;
          left = taken.free;
          grants.push(taken.grant);
          const sum = [...(left.instances.get('GPU') ?? [])].reduce((a, b) => a + b, 0);
          expect(sum).toBe(left.amounts.get('GPU'));
        }
        for (const pick of picks) {
          const [grant] = grants.splice(pick % Math.max(1, grants.length), 1);
          if (grant !== undefined) left = giveBack(left, grant);
        }
        expect(left).toEqual(all);
      }),
      { numRuns: 500 },
    );
  });

  it('gives grants that can be taken again exactly, until somebody else has them', () => {
    fc.assert(
      fc.property(want, want, (first, second) => {
        const all = free({ CPU: 4, GPU: 4, NPU: 2 });
        const taken = take(all, first);
        if (taken === null) return;
        expect(takeGrant(all, taken.grant)).toEqual(taken.free);
        const other = take(taken.free, second);
        if (other === null) return;
        expect(takeGrant(taken.free, other.grant)).toEqual(other.free);
        const used = [...taken.grant.instances.values()].some((pieces) => pieces.some(([, units]) => units === 10_000));
        if (used) expect(takeGrant(taken.free, taken.grant)).toBeNull();
      }),
      { numRuns: 500 },
    );
  });
});
