import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fetchFile, type Knock } from '../../../../src/actors/boxes/fetch-file.js';
import type { Knocked } from '../../../../src/transport/door-knock.js';
import { DoorKit } from './door-kit.js';

const KEY = 'a'.repeat(64);
const WANT = { t: 'folder', key: KEY };

let kit: DoorKit;
let path: string;
let fetching: Knock;
beforeEach(async () => {
  kit = await DoorKit.make();
  path = join(kit.folder, 'there.zip');
  fetching = (want) => kit.knock(want);
});
afterEach(() => kit[Symbol.asyncDispose]());

/** A stream that says it has `size` bytes. */
const played =
  (size: number, stream: Readable): Knock =>
  async () =>
    ({ stream, answer: { size } }) as unknown as Knocked;

describe('a file of another box', () => {
  it('comes whole, readable by its user alone', async () => {
    const bytes = randomBytes(3_000_001);
    const source = join(kit.folder, 'here.zip');
    writeFileSync(source, bytes);
    kit.folders.set(KEY, source);
    await fetchFile(fetching, WANT, path);
    expect([readFileSync(path).equals(bytes), statSync(path).mode & 0o777]).toEqual([true, 0o600]);
  });

  it('is not there when it is not to be had', async () => {
    await expect(fetchFile(fetching, WANT, path)).rejects.toMatchObject({ code: 'OBJECT_LOST' });
    const short = fetchFile(played(9, Readable.from([Buffer.from('short')])), WANT, path);
    await expect(short).rejects.toMatchObject({
      ...{ code: 'CHANNEL_CLOSED', message: expect.stringContaining('5 of 9') },
    });
    const cut = new Readable({ read() {} });
    cut.push('some');
    setImmediate(() => cut.destroy());
    await expect(fetchFile(played(9, cut), WANT, path)).rejects.toMatchObject({ code: 'CHANNEL_CLOSED' });
    expect(existsSync(path)).toBe(false);
  });

  it('is refused where it cannot be written', async () => {
    const nowhere = join(kit.folder, 'no', 'folder');
    const refused = fetchFile(played(1, Readable.from([Buffer.from('x')])), WANT, nowhere);
    await expect(refused).rejects.toMatchObject({ code: 'STORAGE_FAILED', message: expect.stringContaining(nowhere) });
  });
});
