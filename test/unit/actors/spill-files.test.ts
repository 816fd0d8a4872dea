import { mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Memory } from '../../../src/actors/slab-store.js';
import { SpillFiles } from '../../../src/actors/spill-files.js';

/** Longer than what is copied at once. */
const BYTES = 20 * 1024 * 1024 + 3;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinkle-spill-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function memory(bytes: Uint8Array): Memory {
  return { size: bytes.length, part: (at, most) => bytes.subarray(at, at + most) };
}

it('bytes come back as they were, as often as they are asked for', async () => {
  const files = new SpillFiles(folder);
  const bytes = Buffer.alloc(BYTES, 'something that does not repeat in powers of two, ');
  const [large, small] = [await files.write(memory(bytes)), await files.write(memory(Buffer.from('x')))];
  for (let time = 0; time < 2; time++) {
    const back = Buffer.alloc(BYTES);
    await large.read(memory(back));
    expect(back.equals(bytes)).toBe(true);
  }
  const back = Buffer.alloc(1);
  await small.read(memory(back));
  expect(back.toString()).toBe('x');
  expect([large.bytes, small.bytes, large.node]).toEqual([BYTES, 1, null]);
  expect(files.stats).toEqual({ writtenBytes: BYTES + 1, readBytes: 2 * BYTES + 1 });
});

it('a file that is removed is gone, and cannot be read', async () => {
  const files = new SpillFiles(folder);
  const file = await files.write(memory(Buffer.alloc(10)));
  expect(readdirSync(folder)).toHaveLength(1);
  file.remove();
  file.remove();
  await files.settled();
  expect(readdirSync(folder)).toEqual([]);
  await expect(file.read(memory(Buffer.alloc(10)))).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
});

it('a disk that is full leaves nothing behind, and says what to do', async () => {
  const files = new SpillFiles(folder);
  symlinkSync('/dev/full', join(folder, '0.object')); // the file that comes next
  const refused = files.write(memory(Buffer.alloc(10)));
  await expect(refused).rejects.toMatchObject({ code: 'STORAGE_FAILED', details: { folder } });
  await expect(refused).rejects.toThrow(
    /cannot be written to .*twinkle-spill-.*: ENOSPC.*make room.*--object-spill-dir/,
  );
  expect([readdirSync(folder), files.stats.writtenBytes]).toEqual([[], 0]);
  await files.write(memory(Buffer.alloc(10)));
});

it('a folder that is not there is an error, not a crash', async () => {
  const nowhere = new SpillFiles(join(folder, 'missing')).write(memory(Buffer.alloc(1)));
  await expect(nowhere).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
});

it('a file that is shorter than its object is damaged', async () => {
  const files = new SpillFiles(folder);
  const file = await files.write(memory(Buffer.alloc(10)));
  await expect(file.read(memory(Buffer.alloc(11)))).rejects.toThrow(/ends 1 bytes early/);
});
