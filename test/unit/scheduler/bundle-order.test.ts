import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bundleOrder } from '../../../src/scheduler/bundle-order.js';
import { toResources } from '../../../src/scheduler/resources.js';

const order = (...bundles: Record<string, number>[]): number[] => bundleOrder(bundles.map(toResources));

describe('bundleOrder', () => {
  it('looks at GPUs before anything else', () => {
    expect(order({ NPU: 8, CPU: 64, memory: 1e9 }, { GPU: 0.5 }, { GPU: 1 })).toEqual([2, 1, 0]);
  });

  it('looks at custom resources by name, then object store memory, memory, CPU', () => {
    expect(order({ CPU: 9 }, { memory: 1 }, { object_store_memory: 1 }, { zeta: 1 }, { alpha: 1 })).toEqual([
      4, 3, 2, 1, 0,
    ]);
  });

  it('counts NPU and accelerator types among the custom ones', () => {
    expect(order({ 'accelerator_type:A': 0.001 }, { NPU: 1 }, { memory: 1e9 })).toEqual([1, 0, 2]);
  });

  it('compares level by level, not by sums', () => {
    expect(order({ GPU: 1, CPU: 1 }, { GPU: 1, CPU: 2 }, { GPU: 2 })).toEqual([2, 1, 0]);
  });

  it('keeps equal bundles in index order, also beyond 16', () => {
    const equal = Array.from({ length: 40 }, () => ({ GPU: 1 }));
    expect(order(...equal)).toEqual(equal.map((_, index) => index));
  });

  it('puts bundles of nothing last', () => {
    expect(order({}, { CPU: 0.001 })).toEqual([1, 0]);
  });

  it('is the same order whatever order the bundles come in', () => {
    const amount = fc.constantFrom(0, 0, 1, 2);
    const bundle = fc.record({ GPU: amount, a: amount, b: amount, memory: amount, CPU: amount });
    fc.assert(
      fc.property(fc.array(bundle, { maxLength: 8 }), (bundles) => {
        const sorted = (list: typeof bundles) => order(...list).map((index) => list[index]);
        expect(sorted([...bundles].reverse())).toEqual(sorted(bundles));
      }),
      { numRuns: 300 },
    );
  });
});
