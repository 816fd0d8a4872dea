import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nthSmallest } from '../../../src/scheduler/order-statistic.js';

test('finds what sorting finds, also among equals', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 1 }), fc.nat(), (items, at) => {
      const rank = at % items.length;
      const sorted = [...items].sort((a, b) => a - b);
      expect(nthSmallest([...items], rank, (a, b) => a - b)).toBe(sorted[rank]);
    }),
  );
});
