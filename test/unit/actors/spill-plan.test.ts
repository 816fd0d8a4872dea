import { expect, it } from 'vitest';
import { type LaidSlab, type Layout, planSpill } from '../../../src/actors/spill-plan.js';
import { randomFrom } from '../../support/random.js';

/** Blocks one after another, in units of 64 bytes; `null` is a hole. Numbers count through all slabs. */
function laid(capacity: number, ...slabs: (readonly [number | null, number][])[]): Layout {
  return {
    capacity: capacity * 64,
    slabs: slabs.map((pieces) => {
      let at = 0;
      const blocks = pieces.flatMap(([number, units]) => {
        const offset = at * 64;
        at += units;
        return number === null ? [] : [{ number, offset, size: units * 64 }];
      });
      return { size: at * 64, blocks };
    }),
  };
}
const one = laid(10, [
  [0, 2],
  [1, 3],
  [2, 2],
  [3, 3],
]);

it('nobody leaves while there is room, in a hole or for a new slab', () => {
  expect(
    planSpill(
      64,
      laid(3, [
        [0, 2],
        [null, 1],
      ]),
      [0],
    ),
  ).toEqual([]); // prettier-ignore
  expect(planSpill(64, laid(3, [[0, 2]]), [0])).toEqual([]);
});

it('those who were used longest ago leave, and no more than it takes', () => {
  expect(planSpill(64, one, [3, 2, 1, 0])).toEqual([3]);
  expect(planSpill(2 * 64, one, [2, 3, 1, 0])).toEqual([2]);
  // 3 went first, but leaves no hole that is large enough before its neighbours go; 0 is of no use.
  expect(planSpill(4 * 64, one, [3, 0, 1, 2])).toEqual([0, 1]);
  expect(planSpill(5 * 64, one, [0, 3, 2, 1])).toEqual([2, 3]);
});

it('nobody leaves for what would not fit without all of them', () => {
  expect(planSpill(6 * 64, one, [0, 1, 3])).toBeNull();
  expect(planSpill(11 * 64, one, [0, 1, 2, 3])).toBeNull();
  expect(planSpill(10 * 64, one, [0, 1, 2, 3])).toEqual([0, 1, 2, 3]);
});

it('slabs are emptied for what none of them can hold', () => {
  const three = laid(
    30,
    [[0, 10]],
    [
      [1, 5],
      [2, 5],
    ],
    [[3, 10]],
  ); // prettier-ignore
  expect(planSpill(20 * 64, three, [3, 1, 0, 2])).toEqual([3, 0]);
  expect(planSpill(20 * 64, three, [3, 1])).toBeNull();
  expect(planSpill(12 * 64, laid(12, [[null, 10]], [[0, 2]]), [0])).toEqual([0]); // an empty one counts
});

it('blocks that are not there are passed over', () => {
  expect(planSpill(64, one, [77, 0])).toEqual([0]);
});

it('is right about random layouts: what it frees makes room, and without any of it there would be none', () => {
  const random = randomFrom(5);
  const upTo = (most: number): number => Math.floor(random() * most);
  const seen = { none: 0, now: 0, some: 0 };
  for (let round = 0; round < 3000; round++) {
    let number = 0;
    const slabs = Array.from({ length: 1 + upTo(4) }, () =>
      Array.from({ length: 1 + upTo(6) }, (): [number | null, number] => [
        random() < 0.2 ? null : number++,
        1 + upTo(5),
      ]),
    );
    const sizes = slabs.reduce((sum, pieces) => sum + pieces.reduce((units, [, size]) => units + size, 0), 0);
    const layout = laid(sizes + upTo(4), ...slabs);
    const leaving = Array.from({ length: number }, (_, at) => at)
      .filter(() => random() < 0.7)
      .sort(() => random() - 0.5);
    const bytes = (1 + upTo(sizes)) * 64;
    const plan = planSpill(bytes, layout, leaving);
    if (plan === null) {
      seen.none++;
      expect(hasRoom(bytes, layout, new Set(leaving))).toBe(false);
      continue;
    }
    seen[plan.length === 0 ? 'now' : 'some']++;
    expect(plan.every((one) => leaving.includes(one)) && new Set(plan).size === plan.length).toBe(true);
    expect(hasRoom(bytes, layout, new Set(plan))).toBe(true);
    if (plan.length > 0) expect(hasRoom(bytes, layout, new Set())).toBe(false);
  }
  expect(Math.min(...Object.values(seen))).toBeGreaterThan(200);
});

/** By looking at every 64 bytes. */
function hasRoom(bytes: number, { slabs, capacity }: Layout, without: ReadonlySet<number>): boolean {
  const kept = slabs.map(({ size, blocks }): LaidSlab => {
    return { size, blocks: blocks.filter(({ number }) => !without.has(number)) };
  });
  const taken = kept.reduce((sum, { size, blocks }) => sum + (blocks.length > 0 ? size : 0), 0);
  if (capacity - taken >= bytes) return true;
  return kept.some(({ size, blocks }) => {
    let hole = 0;
    for (let at = 0; at < size; at += 64) {
      hole = blocks.some(({ offset, size: own }) => offset <= at && at < offset + own) ? 0 : hole + 64;
      if (hole >= bytes) return true;
    }
    return false;
  });
}
