import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Draw, fetchInto } from '../../../../src/actors/boxes/fetch.js';
import type { Memory } from '../../../../src/actors/slab-store.js';
import { TwinkleError } from '../../../../src/errors.js';
import { until } from '../played-client.js';
import { DoorKit, readAll } from './door-kit.js';

const MIB = 2 ** 20;

let kit: DoorKit;
let fetching: Draw;
beforeEach(async () => {
  kit = await DoorKit.make();
  fetching = (...what) => kit.draw(...what);
});
afterEach(() => kit[Symbol.asyncDispose]());

/** An object; `closes` counts. */
function object(id: string, bytes: Buffer) {
  const one = {
    size: bytes.length,
    parts: 0,
    closes: 0,
    part: (at: number, most: number): Uint8Array => {
      one.parts += 1;
      expect(one.closes).toBe(0);
      return bytes.subarray(at, at + most);
    },
    close: () => {
      one.closes += 1;
    },
  };
  kit.objects.set(id, one);
  return one;
}

/** Shows at most `window` bytes in one view. */
function room(size: number, window = size): Memory & { readonly bytes: Buffer } {
  const bytes = Buffer.alloc(size);
  return { size, bytes, part: (at, most) => bytes.subarray(at, Math.min(size, at + Math.min(most, window))) };
}

describe('bytes of an object', () => {
  it('are copied from box to box, in parts, and it is closed once', async () => {
    for (const size of [0, 1, MIB, 5 * MIB + 77]) {
      const bytes = randomBytes(size);
      const one = object('o1', bytes);
      const to = room(size, 1000);
      await fetchInto(fetching, { t: 'object', id: 'o1' }, to);
      expect(to.bytes.equals(bytes)).toBe(true);
      await until(() => one.closes === 1);
      expect(one.parts).toBe(Math.ceil(size / MIB));
    }
  });

  it('are not read ahead of who takes them, and given up when it leaves', async () => {
    const one = object('o1', Buffer.alloc(100 * MIB));
    const { stream, answer } = await kit.knock({ t: 'object', id: 'o1' });
    expect(answer).toEqual({ size: 100 * MIB });
    let seen = -1;
    while (seen !== one.parts) {
      seen = one.parts;
      for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(one.parts).toBeLessThan(25);
    expect(one.closes).toBe(0);
    stream.destroy();
    await until(() => one.closes === 1);
    expect(one.parts).toBeLessThan(25);
  });

  it('are given up when the door closes, or they cannot be read', async () => {
    const one = object('o1', Buffer.alloc(100 * MIB));
    const { stream } = await kit.knock({ t: 'object', id: 'o1' });
    const two = object('o2', Buffer.alloc(100 * MIB));
    two.part = () => {
      throw new Error('unmapped');
    };
    await expect(fetchInto(fetching, { t: 'object', id: 'o2' }, room(two.size))).rejects.toMatchObject({
      code: 'CHANNEL_CLOSED',
      message: 'the stream from another box ended after 0 of 104857600 bytes',
    });
    expect(two.closes).toBe(1);
    await kit.door.close();
    expect(one.closes).toBe(1);
    await readAll(stream);
  });

  it('that is not there, or of another size, is an error before any byte', async () => {
    const none = room(8);
    await expect(fetchInto(fetching, { t: 'object', id: 'o1' }, none)).rejects.toMatchObject({
      code: 'OBJECT_LOST',
      message: 'o1 is lost',
    });
    const one = object('o1', Buffer.alloc(7, 7));
    await expect(fetchInto(fetching, { t: 'object', id: 'o1' }, none)).rejects.toMatchObject({ code: 'PROTOCOL' });
    expect(none.bytes.equals(Buffer.alloc(8))).toBe(true);
    await until(() => one.closes === 1);
  });

  it('are withdrawn at any time, and nothing is written later', async () => {
    const one = object('o1', Buffer.alloc(50 * MIB, 1));
    const end = new AbortController();
    const to = room(one.size);
    let parts = 0;
    const watched: Memory = {
      size: to.size,
      part: (at, most) => {
        parts += 1;
        if (at > MIB) end.abort();
        return to.part(at, most);
      },
    };
    await expect(fetchInto(fetching, { t: 'object', id: 'o1' }, watched, end.signal)).rejects.toMatchObject({
      code: 'ABORTED',
    });
    const before = parts;
    await until(() => one.closes === 1);
    expect(parts).toBe(before);
    await expect(fetchInto(fetching, { t: 'object', id: 'o1' }, to, end.signal)).rejects.toMatchObject({
      code: 'ABORTED',
    });
  });

  it('that are too many, or have no room any more, are an error', async () => {
    const said: Draw = async (_want, begin) => {
      const target = begin({ size: 8 });
      expect(target.room().byteLength).toBe(8);
      target.filled(8);
      expect(target.room().byteLength).toBe(0);
      throw new TwinkleError('PROTOCOL', 'more came');
    };
    await expect(fetchInto(said, {}, room(8))).rejects.toMatchObject({ code: 'PROTOCOL' });
    object('o1', Buffer.alloc(MIB));
    const freed: Memory = {
      size: MIB,
      part: () => {
        throw new Error('slab 3 is not there');
      },
    };
    await expect(fetchInto(fetching, { t: 'object', id: 'o1' }, freed)).rejects.toThrow('slab 3');
  });
});

describe('a door', () => {
  it('gives a folder by its key', async () => {
    const key = 'ab'.repeat(32);
    for (const size of [0, 3 * MIB + 5]) {
      const bytes = randomBytes(size);
      const path = join(kit.folder, 'one.zip');
      writeFileSync(path, bytes);
      kit.folders.set(key, path);
      const { stream, answer } = await kit.knock({ t: 'folder', key });
      expect(answer).toEqual({ size });
      expect((await readAll(stream)).equals(bytes)).toBe(true);
      stream.end();
    }
    kit.folders.set(key, join(kit.folder, 'none.zip'));
    await expect(kit.knock({ t: 'folder', key })).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
  });

  it('ends a folder early that is cut while it is read', async () => {
    const key = 'cd'.repeat(32);
    const path = join(kit.folder, 'two.zip');
    writeFileSync(path, Buffer.alloc(64 * MIB));
    kit.folders.set(key, path);
    const { stream, answer } = await kit.knock({ t: 'folder', key });
    await once(stream, 'readable');
    truncateSync(path, MIB);
    expect((await readAll(stream)).length).toBeLessThan(answer.size as number);
  });

  it('refuses what it does not serve, with the reason', async () => {
    const wants: readonly (readonly [object, string, RegExp])[] = [
      [{ t: 'worker', name: 'w7' }, 'WORKER_DIED', /worker w7 is not there any more/],
      [{ t: 'worker', name: '../w7' }, 'INVALID_REQUEST', /for `name` but received "\.\.\/w7"/],
      [{ t: 'worker', name: 'w7\n' }, 'INVALID_REQUEST', /`name`/],
      [{ t: 'worker' }, 'INVALID_REQUEST', /received undefined/],
      [{ t: 'object', id: '' }, 'INVALID_REQUEST', /`id`/],
      [{ t: 'folder', key: 'ab' }, 'INVALID_REQUEST', /`key`/],
      [{ t: 'secrets' }, 'PROTOCOL', /serves no `"secrets"`/],
      [{}, 'PROTOCOL', /undefined/],
    ];
    for (const [want, code, message] of wants) {
      await expect(kit.knock(want)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    }
  });
});
