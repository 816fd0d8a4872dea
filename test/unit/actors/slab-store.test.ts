import { describe, expect, it } from 'vitest';
import { SlabStore } from '../../../src/actors/slab-store.js';
import { createFakeNative } from '../../../src/native/fake.js';

const MIB = 2 ** 20;
const full = expect.objectContaining({ code: 'SHM_FULL' });

function setUp(capacity: number, memoryAvailableBytes = 2 ** 32) {
  const native = createFakeNative({ cpu: { memoryAvailableBytes } });
  const gone: number[] = [];
  return { native, gone, store: new SlabStore(native, 'test', capacity, (slab) => gone.push(slab)) };
}

describe('slab store', () => {
  it('has no slab before it is asked, and puts small blocks into one', () => {
    const { store } = setUp(128 * MIB);
    expect(store.stats()).toEqual({ capacityBytes: 128 * MIB, usedBytes: 0, slabBytes: 0 });
    const blocks = [store.reserve(1), store.reserve(100), store.reserve(64)];
    expect(blocks).toEqual([
      { slab: 0, offset: 0, size: 1 },
      { slab: 0, offset: 64, size: 100 },
      { slab: 0, offset: 192, size: 64 },
    ]);
    expect(store.stats()).toEqual({ capacityBytes: 128 * MIB, usedBytes: 256, slabBytes: 64 * MIB });
  });

  it('uses an empty slab again before it makes another', () => {
    const { store, gone } = setUp(256 * MIB);
    const first = store.reserve(60 * MIB);
    store.reserve(60 * MIB);
    store.free(first);
    expect(store.reserve(50 * MIB)).toEqual({ ...first, size: 50 * MIB });
    expect([store.stats().slabBytes, gone]).toEqual([128 * MIB, []]);
  });

  it('gives a larger object a slab of its own, which others use after it', () => {
    const { store } = setUp(256 * MIB);
    const large = store.reserve(100 * MIB);
    expect(store.where(large.slab)).toMatchObject({ size: 100 * MIB });
    store.free(large);
    expect(store.reserve(90 * MIB).slab).toBe(large.slab);
  });

  it('gives empty slabs back for one that they have no room for: only as many as it takes', () => {
    const { store, gone, native } = setUp(192 * MIB);
    const [a, b, c] = [store.reserve(60 * MIB), store.reserve(60 * MIB), store.reserve(60 * MIB)];
    for (const block of [a, b]) store.free(block);
    expect(store.reserve(64 * MIB).slab).toBe(a.slab); // it fits
    store.free({ slab: a.slab, offset: 0 });
    store.free(c);
    expect(store.reserve(100 * MIB)).toMatchObject({ slab: 3, size: 100 * MIB });
    expect(gone).toEqual([a.slab, b.slab]);
    expect(store.where(a.slab)).toBeNull();
    expect(native.openFds.size).toBe(2);
    store.free(a); // a slab that is gone
  });

  it('is full at its capacity, whatever is asked first, and says what is used', () => {
    const { store } = setUp(MIB);
    expect(() => store.reserve(MIB + 1)).toThrow(full);
    const block = store.reserve(MIB);
    expect(() => store.reserve(1)).toThrow(
      expect.objectContaining({ details: { needed: 1, usedBytes: MIB, capacityBytes: MIB } }),
    );
    store.free(block);
    expect(store.reserve(MIB).slab).toBe(block.slab);
    expect(() => setUp(0).store.reserve(1)).toThrow(full);
  });

  it('makes a smaller slab of the room that is left, and never more than the capacity', () => {
    const { store } = setUp(100 * MIB + 5);
    store.reserve(60 * MIB);
    expect(store.where(store.reserve(30 * MIB).slab)).toMatchObject({ size: 36 * MIB });
    expect(store.stats().slabBytes).toBeLessThanOrEqual(100 * MIB + 5);
  });

  it('leaves nothing behind when the machine has no memory', () => {
    const { store, native } = setUp(256 * MIB, 32 * MIB);
    expect(() => store.reserve(1)).toThrow(full);
    expect([store.stats().slabBytes, native.openFds.size]).toEqual([0, 0]);
  });

  it.each([0, -1, 1.5, Number.NaN, 2 ** 60])('refuses room for %d bytes', (bytes) => {
    expect(() => setUp(MIB).store.reserve(bytes)).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/INVALID_REQUEST|SHM_FULL/) }),
    );
  });

  it('closes every slab at its end', () => {
    const { store, native } = setUp(256 * MIB);
    for (let at = 0; at < 3; at++) store.reserve(60 * MIB);
    store[Symbol.dispose]();
    expect(native.openFds.size).toBe(0);
    store.free({ slab: 0, offset: 0 });
  });
});
