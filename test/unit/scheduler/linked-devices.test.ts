import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bestLinked, compareLinks } from '../../../src/scheduler/linked-devices.js';
import type { LinkKind, NodeDevices } from '../../../src/scheduler/types.js';
import { islands } from './arbitrary.js';

const links = (
  list: readonly (readonly [number, number, LinkKind, number])[],
  numa: readonly (number | null)[],
): NodeDevices => ({
  ids: numa.map((_, index) => `${index}`),
  numa,
  links: list.map(([a, b, kind, lanes]) => ({ a, b, kind, lanes })),
});
const best = (devices: NodeDevices | null, free: readonly number[], count: number) =>
  bestLinked(devices, free, count).instances;
const without = (...busy: number[]): number[] => [0, 1, 2, 3, 4, 5, 6, 7].filter((at) => !busy.includes(at));

describe('bestLinked', () => {
  const two = islands(8, ['nvlink', 'sys']);

  it('stays on an island', () => {
    const pair = best(two, without(1, 2), 2);
    expect([[0, 3].join(), [4, 5].join()]).toContain(pair.join());
    expect(best(two, without(1, 2), 4)).toEqual([4, 5, 6, 7]);
    expect(best(two, without(0, 1, 2), 2)).toEqual([4, 5]);
  });

  it('prefers more lanes', () => {
    // The second island of `islands` has twice the lanes.
    expect(best(two, without(), 2)).toEqual([4, 5]);
    const ring = links(
      [
        [0, 1, 'nvlink', 1],
        [1, 2, 'nvlink', 2],
        [0, 2, 'nvlink', 1],
      ],
      [0, 0, 0],
    );
    expect(best(ring, [0, 1, 2], 2)).toEqual([1, 2]);
  });

  it('grades nvlink and hccs alike, then pix, pxb, phb, node, sys and what is unknown', () => {
    const kinds: LinkKind[] = ['unknown', 'sys', 'node', 'phb', 'pxb', 'pix'];
    for (const [index, kind] of kinds.entries()) {
      const better = kinds[index + 1] ?? 'hccs';
      expect(
        best(
          links(
            [
              [0, 1, kind, 0],
              [2, 3, better, 0],
            ],
            [0, 0, 0, 0],
          ),
          [0, 1, 2, 3],
          2,
        ),
      ).toEqual([2, 3]);
    }
    expect(
      best(
        links(
          [
            [0, 1, 'nvlink', 1],
            [2, 3, 'hccs', 1],
          ],
          [0, 0, 0, 0],
        ),
        [0, 1, 2, 3],
        2,
      ),
    ).toEqual([0, 1]);
  });

  it('looks at the worst pair first: a collective is as fast as that', () => {
    const chain = links(
      [
        [0, 1, 'nvlink', 9],
        [1, 2, 'nvlink', 9],
        [0, 2, 'sys', 0],
        [3, 4, 'phb', 0],
        [4, 5, 'phb', 0],
        [3, 5, 'phb', 0],
      ],
      [0, 0, 0, 0, 0, 0],
    );
    expect(best(chain, [0, 1, 2, 3, 4, 5], 3)).toEqual([3, 4, 5]);
  });

  it('takes one NUMA node when links say nothing, else the lowest', () => {
    expect(best(links([], [0, 1, 0, 1]), [1, 2, 3], 2)).toEqual([1, 3]);
    expect(best(links([], [null, null, null]), [1, 2], 1)).toEqual([1]);
    expect(best(null, [2, 5, 6], 2)).toEqual([2, 5]);
  });

  it('takes all when all are wanted, and none when none is', () => {
    expect(best(two, [6, 7], 2)).toEqual([6, 7]);
    expect(best(two, [6, 7], 0)).toEqual([]);
  });

  it('keeps to islands of larger nodes too, where not every set is looked at', () => {
    const wide = islands(32, ['hccs', 'sys']);
    const free = wide.ids.map((_, index) => index).filter((index) => index !== 20);
    expect(best(wide, free, 12).every((at) => at >= 16 && at !== 20)).toBe(true);
    expect(best(wide, free, 16)).toEqual(Array.from({ length: 16 }, (_, index) => index));
  });

  it('is quick for 8 of 16 equal devices', () => {
    const mesh = islands(16, ['nvlink', 'nvlink']);
    expect(
      best(
        mesh,
        mesh.ids.map((_, index) => index),
        8,
      ),
    ).toEqual([8, 9, 10, 11, 12, 13, 14, 15]);
  });

  it('finds what looking at every set finds', () => {
    const kind = fc.constantFrom<LinkKind>('nvlink', 'hccs', 'pix', 'phb', 'sys', 'unknown');
    const node = fc.tuple(
      fc.array(fc.option(fc.tuple(kind, fc.nat(2))), { minLength: 15, maxLength: 15 }),
      fc.array(fc.constantFrom(null, 0, 1), { minLength: 6, maxLength: 6 }),
      fc.uniqueArray(fc.nat(5), { minLength: 1, maxLength: 6 }).map((free) => free.sort((a, b) => a - b)),
      fc.nat(6),
    );
    fc.assert(
      fc.property(node, ([pairs, numa, free, wanted]) => {
        const all = [0, 1, 2, 3, 4, 5].flatMap((a) =>
          [0, 1, 2, 3, 4, 5].filter((b) => b > a).map((b) => [a, b] as const),
        );
        const known = all.flatMap(([a, b], at) => {
          const pair = pairs[at];
          return pair ? [[a, b, pair[0], pair[1]] as const] : [];
        });
        const devices = links(known, numa);
        const count = Math.min(wanted, free.length);
        const found = bestLinked(devices, free, count);
        const sets: number[][] = [[]];
        for (const at of free) sets.push(...sets.map((set) => [...set, at]));
        for (const set of sets.filter(({ length }) => length === count)) {
          const other = bestLinked(devices, set, count);
          const order = compareLinks(found.linkage, other.linkage);
          expect(order).toBeLessThanOrEqual(0);
          if (order === 0) expect(found.instances.join() <= other.instances.join()).toBe(true);
        }
      }),
      { numRuns: 200 },
    );
  });
});
