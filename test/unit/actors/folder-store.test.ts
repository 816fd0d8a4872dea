import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FolderStore } from '../../../src/actors/folder-store.js';
import { TwinkleError } from '../../../src/errors.js';
import { deferred } from '../../../src/util/deferred.js';

const [A, B, C] = ['a', 'b', 'c'].map((digit) => digit.repeat(64)) as [string, string, string];

let home: string;
let root: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'twinkle-folders-'));
  root = join(home, 'code', 'x');
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

/** "Unpacks" by a copy into `data`; each takes as many bytes as it has. */
function storeOf(room = 100, keepsZips = false): FolderStore {
  return new FolderStore(
    root,
    async (_python, zip, into) => {
      const bytes = readFileSync(zip);
      if (bytes.toString() === 'bad') throw new TwinkleError('INVALID_REQUEST', 'no zip');
      mkdirSync(into, { mode: 0o700 });
      writeFileSync(join(into, 'data'), bytes);
      return bytes.byteLength;
    },
    keepsZips,
    room,
  );
}

const put = (store: FolderStore, client: number, key: string, text = 'content'): Promise<void> =>
  store.put(client, '/py', { key, at: 0, last: true }, Buffer.from(text));

describe('folder store', () => {
  it('has a folder under its key, for this user alone, and nothing else beside it', async () => {
    const store = storeOf();
    expect(store.has(1, A)).toBe(false);
    expect(existsSync(root)).toBe(false);
    await put(store, 1, A);
    expect([store.has(2, A), readFileSync(join(store.path(A), 'data'), 'utf8')]).toEqual([true, 'content']);
    expect([readdirSync(root), statSync(root).mode & 0o777]).toEqual([[A], 0o700]);
    await store[Symbol.asyncDispose]();
    expect(existsSync(root)).toBe(false);
  });

  it('takes the same from two at once', async () => {
    const store = storeOf();
    await Promise.all([put(store, 1, A), put(store, 2, A)]);
    expect(readdirSync(root)).toEqual([A]);
  });

  it('begins anew at byte 0, and takes parts in their order only', async () => {
    const store = storeOf();
    const part = (at: number, text: string, last = false) =>
      store.put(1, '/py', { key: A, at, last }, Buffer.from(text));
    await part(0, 'half');
    await part(0, 'wh');
    await expect(part(1, 'x')).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
    await part(2, 'ole', true);
    expect(readFileSync(join(store.path(A), 'data'), 'utf8')).toBe('whole');
  });

  it.each(['', '..', 'A'.repeat(64), `${'a'.repeat(63)}/`])('refuses the key %j', async (key) => {
    await expect(put(storeOf(), 1, key)).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
    expect(existsSync(root)).toBe(false);
  });

  it('refuses what is too large before it writes it', async () => {
    const part = { key: A, at: 700 * 1024 ** 2, last: false };
    await expect(storeOf().put(1, '/py', part, Buffer.from('x'))).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
  });

  it('keeps nothing of what cannot be unpacked, nor of who left half-way; the next may bring it', async () => {
    const store = storeOf();
    await expect(put(store, 1, A, 'bad')).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
    expect([store.has(1, A), readdirSync(root)]).toEqual([false, []]);
    expect(() => store.path(A)).toThrow(expect.objectContaining({ code: 'RUNTIME_ENV' }));
    await store.put(1, '/py', { key: B, at: 0, last: false }, Buffer.from('ha'));
    store.letGo(1);
    expect(readdirSync(root)).toEqual([]);
    await put(store, 2, A);
    expect(store.has(2, A)).toBe(true);
  });

  it('makes room among those that nobody needs, the one used the longest ago first', async () => {
    const store = storeOf(10);
    await put(store, 1, A, 'aaaa');
    await put(store, 2, B, 'bbbb');
    store.keep('actor', [B]);
    store.letGo(1);
    store.letGo(2);
    expect([store.has(9, A), store.has(9, B)]).toEqual([true, true]); // there is room
    store.letGo(9);
    await put(store, 3, C, 'cccc');
    expect([A, B, C].map((key) => store.has(3, key))).toEqual([false, true, true]);
    await put(store, 3, A, 'aaaa'); // all are needed: too much is better than to fail
    expect([A, B, C].map((key) => store.has(3, key))).toEqual([true, true, true]);
    await store[Symbol.asyncDispose]();
  });
});

describe('a folder store of several boxes', () => {
  it('keeps zip files for the others as long as what was in them', async () => {
    const store = storeOf(10, true);
    expect(() => store.zip(A)).toThrow(expect.objectContaining({ code: 'RUNTIME_ENV' }));
    await put(store, 1, A, 'aaaa');
    await put(store, 1, A, 'aaaa');
    expect([store.zip(A), readFileSync(store.zip(A), 'utf8')]).toEqual([join(root, `${A}.zip`), 'aaaa']);
    expect(readdirSync(root).sort()).toEqual([A, `${A}.zip`]);
    store.letGo(1);
    await put(store, 2, B, 'bbbbbbbb');
    expect(readdirSync(root).sort()).not.toContain(`${A}.zip`);
    await store[Symbol.asyncDispose]();
    expect(existsSync(root)).toBe(false);
  });

  it('brings one once for all who need it at once, and not again', async () => {
    const store = storeOf();
    const gate = deferred<void>();
    let fetches = 0;
    const fetch = async (path: string): Promise<void> => {
      fetches += 1;
      await gate.promise;
      writeFileSync(path, 'far');
    };
    const all = Promise.all([store.bring(1, '/py', A, fetch), store.bring(2, '/py', A, fetch)]);
    gate.resolve();
    await all;
    await store.bring(3, '/py', A, fetch);
    expect([fetches, readFileSync(join(store.path(A), 'data'), 'utf8'), readdirSync(root)]).toEqual([1, 'far', [A]]);
  });

  it.each([
    ['cannot be fetched', 'half', new TwinkleError('NODE_LOST', 'its box has left')],
    ['cannot be unpacked', 'bad', null],
  ])('keeps nothing of what %s, and tells all who waited; the next try brings it', async (_what, text, failure) => {
    const store = storeOf();
    const fetch = async (path: string): Promise<void> => {
      writeFileSync(path, text);
      if (failure !== null) throw failure;
    };
    const all = await Promise.allSettled([store.bring(1, '/py', A, fetch), store.bring(2, '/py', A, fetch)]);
    for (const one of all) expect(one).toMatchObject({ reason: { code: failure?.code ?? 'INVALID_REQUEST' } });
    expect([readdirSync(root), store.has(1, A)]).toEqual([[], false]);
    await store.bring(1, '/py', A, async (path) => writeFileSync(path, 'far'));
    expect(store.has(1, A)).toBe(true);
  });

  it('brings none whose key is no key: it is the name of files', async () => {
    const fetch = async (): Promise<void> => expect.unreachable();
    await expect(storeOf().bring(1, '/py', '/../../x', fetch)).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
    expect(existsSync(root)).toBe(false);
  });

  it('waits at its end for what is on its way', async () => {
    const store = storeOf();
    const gate = deferred<void>();
    const brought = store.bring(1, '/py', A, async (path) => {
      await gate.promise;
      writeFileSync(path, 'far');
    });
    const closed = store[Symbol.asyncDispose]();
    gate.resolve();
    await Promise.all([brought, closed]);
    expect(existsSync(root)).toBe(false);
  });
});
