import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SortedList } from '../../../src/scheduler/sorted-list.js';

const numbers = (): SortedList<number> => new SortedList<number>((a, b) => a - b);

function walk(list: SortedList<number>): number[] {
  const found: number[] = [];
  for (let at = list.after(null); at !== null; at = list.after(at)) found.push(at);
  return found;
}

describe('SortedList', () => {
  it('is a sorted set, whatever is added and removed', () => {
    const steps = fc.array(fc.tuple(fc.boolean(), fc.nat(400)), { maxLength: 800 });
    const property = fc.property(steps, fc.nat(400), (changes, bound) => {
      const list = numbers();
      const model = new Set<number>();
      for (const [add, value] of changes) {
        if (!add) list.delete(value);
        else if (!model.has(value)) list.add(value);
        if (add) model.add(value);
        else model.delete(value);
      }
      const sorted = [...model].sort((a, b) => a - b);
      expect(walk(list)).toEqual(sorted);
      expect(list.first).toBe(sorted[0] ?? null);
      expect(list.after(bound)).toBe(sorted.find((value) => value > bound) ?? null);
    });
    fc.assert(property, { numRuns: 150 });
  });

  it('keeps thousands in order, added from either end', () => {
    const list = numbers();
    for (let value = 0; value < 1000; value++) list.add(value);
    for (let value = 2999; value >= 1000; value--) list.add(value);
    for (let value = 0; value < 3000; value += 2) list.delete(value);
    expect(walk(list)).toEqual(Array.from({ length: 1500 }, (_, index) => 2 * index + 1));
  });
});
