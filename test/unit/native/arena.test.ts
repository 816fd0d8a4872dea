/** The arena, real and fake against one model: blocks never overlap, references decide, a dead holder holds nothing. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { TwinkleError } from '../../../src/errors.js';
import { createFakeNative } from '../../../src/native/fake.js';
import type { Native } from '../../../src/native/types.js';
import { native } from './support.js';

const SIZE = 64 * 1024;

type Step =
  | { readonly kind: 'alloc'; readonly bytes: number; readonly holder: number }
  | { readonly kind: 'retain' | 'release'; readonly pick: number; readonly holder: number }
  | { readonly kind: 'dead'; readonly holder: number };

const holder = fc.integer({ min: 0, max: 3 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('alloc' as const), bytes: fc.integer({ min: 1, max: 9000 }), holder }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constantFrom('retain' as const, 'release' as const), pick: fc.nat(), holder }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('dead' as const), holder }) },
);

interface Model {
  readonly bytes: number;
  readonly references: Map<number, number>;
}

function total(references: ReadonlyMap<number, number>): number {
  return [...references.values()].reduce((sum, count) => sum + count, 0);
}

function replay(host: Native, steps: readonly Step[]): void {
  const segment = host.segmentCreate({ name: 'arena', size: SIZE, lock: false, register: 'none' });
  const arena = host.arena(segment);
  const model = new Map<number, Model>();
  for (const action of steps) {
    const offsets = [...model.keys()];
    if (action.kind === 'alloc') {
      const { largestFreeBytes } = arena.stats();
      if (action.bytes > largestFreeBytes) {
        expect(() => arena.alloc(action.bytes, action.holder)).toThrow(TwinkleError);
        continue;
      }
      const offset = arena.alloc(action.bytes, action.holder);
      expect(offset % 64).toBe(0);
      expect(offset + action.bytes).toBeLessThanOrEqual(arena.size);
      for (const [other, { bytes }] of model)
        expect(offset + action.bytes <= other || other + bytes <= offset).toBe(true);
      model.set(offset, { bytes: action.bytes, references: new Map([[action.holder, 1]]) });
    } else if (action.kind === 'dead') {
      let freed = 0;
      for (const [offset, block] of model) {
        if (!block.references.delete(action.holder) || total(block.references) > 0) continue;
        model.delete(offset);
        freed += 1;
      }
      expect(arena.releaseHolder(action.holder)).toBe(freed);
    } else {
      const offset = offsets[action.pick % Math.max(1, offsets.length)];
      const block = offset === undefined ? undefined : model.get(offset);
      if (offset === undefined || block === undefined) continue;
      const count = block.references.get(action.holder) ?? 0;
      if (action.kind === 'retain') {
        arena.retain(offset, action.holder);
        block.references.set(action.holder, count + 1);
      } else if (count === 0) {
        expect(() => arena.release(offset, action.holder)).toThrow('has no reference');
      } else {
        arena.release(offset, action.holder);
        if (count > 1) block.references.set(action.holder, count - 1);
        else block.references.delete(action.holder);
        if (total(block.references) === 0) model.delete(offset);
      }
    }
    const stats = arena.stats();
    expect(stats.blocks).toBe(model.size);
    expect(stats.usedBytes + stats.freeBytes).toBe(arena.size);
    expect(stats.usedBytes).toBe([...model.values()].reduce((sum, { bytes }) => sum + Math.ceil(bytes / 64) * 64, 0));
  }
  for (const dead of [0, 1, 2, 3]) arena.releaseHolder(dead);
  expect(arena.stats()).toEqual({ usedBytes: 0, freeBytes: SIZE, largestFreeBytes: SIZE, blocks: 0 });
  segment.close();
}

describe.each([
  ['addon', native],
  ['fake', createFakeNative()],
] as const)('the arena of the %s', (_name, host) => {
  it('agrees with a model over random histories', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => replay(host, steps)),
      { numRuns: 150 },
    );
  });

  it('says what is free when it is full, and refuses nonsense', () => {
    const segment = host.segmentCreate({ name: 'arena', size: 4096, lock: false, register: 'none' });
    const arena = host.arena(segment);
    arena.alloc(4000, 1);
    try {
      arena.alloc(100, 1);
      expect.unreachable();
    } catch (thrown) {
      expect(thrown).toMatchObject({
        code: 'SHM_FULL',
        details: { needBytes: 100, freeBytes: 64, largestFreeBytes: 64 },
      });
    }
    expect(() => arena.alloc(0, 1)).toThrow(TwinkleError);
    expect(() => arena.alloc(Number.NaN, 1)).toThrow(TwinkleError);
    expect(() => arena.retain(64, 1)).toThrow('no block begins at offset 64');
    segment.close();
    expect(() => arena.alloc(1, 1)).toThrow(expect.objectContaining({ code: 'SEGMENT_CLOSED' }));
    arena.release(0, 1);
    expect(arena.stats().blocks).toBe(0);
  });

  it('is made only over segments of the same addon', () => {
    const other = host === native ? createFakeNative() : native;
    const segment = other.segmentCreate({ name: 'other', size: 4096, lock: false, register: 'none' });
    expect(() => host.arena(segment)).toThrow('expected a segment of this addon');
    segment.close();
  });
});
