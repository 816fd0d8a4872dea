import { readlinkSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NativeSegment } from '../../../src/native/types.js';
import type { SlabPlace } from '../../../src/protocol/work.js';
import { aligned, Slabs } from '../../../src/work/slabs.js';
import { until } from '../actors/played-client.js';
import { native, openDescriptors } from '../native/support.js';

let segment: NativeSegment;
let shared: Uint8Array;
let slabs: Slabs;
let asked: number[];
let descriptors: string[];
beforeEach(() => {
  descriptors = openDescriptors();
  segment = native.segmentCreate({ name: 'slab-test', size: 8 * 1024 * 1024, lock: false, register: 'none' });
  shared = new Uint8Array(segment.buffer());
  asked = [];
  slabs = new Slabs(native, async (slab) => {
    asked.push(slab);
    return { pid: process.pid, fd: segment.fd, size: segment.size };
  });
});
afterEach(async () => {
  slabs[Symbol.dispose]();
  segment.close();
  await until(() => String(openDescriptors()) === String(descriptors), 'no descriptor is left');
});

const patterned = (bytes: number, seed: number) =>
  Uint8Array.from({ length: bytes }, (_, at) => (at * 7 + seed) & 0xff);

describe('a block', () => {
  it('is written and read, each part at a multiple of 64', async () => {
    const parts = [patterned(1, 1), patterned(64, 2), new Uint8Array(0), patterned(65, 3), patterned(3, 4)];
    const size = parts.reduce((sum, part) => sum + aligned(part.byteLength), 0);
    const block = { slab: 5, offset: 4096 + 64, size };
    await slabs.write(block, parts);
    expect([...shared.subarray(4160, 4161)]).toEqual([...patterned(1, 1)]);
    expect(shared.subarray(4160 + 64, 4160 + 128)).toEqual(patterned(64, 2));
    expect(shared.subarray(4160 + 128, 4160 + 193)).toEqual(patterned(65, 3));
    const read = await slabs.read(block, [1, 64, 0, 65, 3]);
    expect(read.parts).toEqual(parts);
    expect(read.memory.byteLength).toBe(size);
    expect(read.parts.every(({ byteOffset }) => byteOffset % 64 === 0)).toBe(true);
    expect(asked).toEqual([5]); // opened once
  });

  it('is written beside the event loop where it is long', async () => {
    const [small, long] = [patterned(100, 1), patterned(3 * 1024 * 1024 + 1, 2)];
    const writing = slabs.write({ slab: 1, offset: 128, size: 0 }, [long, small]);
    await writing;
    expect(Buffer.compare(shared.subarray(128, 128 + long.byteLength), long)).toBe(0);
    const at = 128 + aligned(long.byteLength);
    expect(shared.subarray(at, at + 100)).toEqual(small);
  });

  it('is seen by everybody, and what is written to it here is seen by nobody', async () => {
    const { parts } = await slabs.read({ slab: 1, offset: 64, size: 64 }, [64]);
    shared[64] = 9;
    expect(parts[0]?.[0]).toBe(9);
    (parts[0] as Uint8Array)[0] = 1;
    expect(shared[64]).toBe(9);
    slabs.forget(1);
    shared[65] = 4;
    expect([...(parts[0] as Uint8Array).subarray(0, 2)]).toEqual([1, 0]);
  });

  it('outside of its slab cannot be read', async () => {
    await expect(slabs.read({ slab: 1, offset: segment.size, size: 64 }, [64])).rejects.toMatchObject({
      code: 'NATIVE',
    });
  });
});

describe('a slab', () => {
  const opened = () => openDescriptors().filter((path) => path.includes('slab-test')).length;

  it('that was given back is closed, and opened again when it is asked for', async () => {
    await slabs.read({ slab: 1, offset: 0, size: 64 }, [64]);
    expect(opened()).toBe(2); // the segment's own, and this one
    slabs.forget(1);
    slabs.forget(1);
    await until(() => opened() === 1);
    await slabs.read({ slab: 1, offset: 0, size: 64 }, [64]);
    expect([asked, opened()]).toEqual([[1, 1], 2]);
  });

  it('is opened once for all who ask at the same time', async () => {
    const block = { slab: 1, offset: 0, size: 64 };
    await Promise.all([slabs.read(block, [64]), slabs.write(block, [patterned(3, 1)]), slabs.read(block, [64])]);
    expect([asked, opened()]).toEqual([[1], 2]);
  });

  it('that was closed during a long write is written no more, nor what has its descriptor then', async () => {
    const writing = slabs.write({ slab: 1, offset: 0, size: 0 }, [patterned(2 * 1024 * 1024, 1), patterned(10, 2)]);
    await until(() => opened() === 2);
    slabs[Symbol.dispose]();
    await writing.catch((error: unknown) => expect(String(error)).toMatch(/EBADF|closed|-1/));
    await until(() => opened() === 1);
  });

  it('that is gone is lost, and asked for again the next time', async () => {
    let place: SlabPlace = { pid: process.pid, fd: 9999, size: 1 };
    const other = new Slabs(native, async () => place);
    const block = { slab: 1, offset: 0, size: 64 };
    await expect(other.read(block, [64])).rejects.toMatchObject({
      code: 'OBJECT_LOST',
      message: expect.stringContaining(`the object store of process ${process.pid} cannot be opened`),
    });
    place = { pid: process.pid, fd: segment.fd, size: segment.size };
    expect(readlinkSync(`/proc/self/fd/${segment.fd}`)).toContain('slab-test');
    expect((await other.read(block, [64])).parts).toHaveLength(1);
    other[Symbol.dispose]();
  });
});

it.each([
  [0, 0],
  [1, 64],
  [64, 64],
  [65, 128],
  [2 ** 33 + 1, 2 ** 33 + 64],
])('%i bytes take %i', (bytes, taken) => {
  expect(aligned(bytes)).toBe(taken);
});
