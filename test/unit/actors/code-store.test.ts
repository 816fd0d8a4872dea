import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { CodeStore } from '../../../src/actors/code-store.js';

const blob = (text: string): Buffer => Buffer.from(text.padEnd(100));
const keyOf = (text: string, length = 32): string =>
  createHash('sha256').update(blob(text)).digest('hex').slice(0, length);

describe('code store', () => {
  it('keeps a copy under the sum of its bytes, whole or cut to 32 digits', () => {
    const store = new CodeStore();
    const bytes = blob('a');
    store.put(keyOf('a'), 'f', bytes);
    store.put(keyOf('a', 64), 'f', bytes);
    bytes.fill(0); // what was received is shared with other frames
    expect(store.get(keyOf('a'))).toEqual({ name: 'f', blob: blob('a') });
    expect(store.get(keyOf('a', 64)).blob).toEqual(blob('a'));
  });

  it.each([keyOf('b'), keyOf('a', 31), `${keyOf('a', 64)}0`, ''])(
    'refuses a key that is not that of the bytes: "%s"',
    (key) => {
      const put = () => new CodeStore().put(key, 'f', blob('a'));
      expect(put).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }));
    },
  );

  it('drops what was used the longest ago, and says so to who asks for it', () => {
    const store = new CodeStore(300);
    for (const text of ['a', 'b', 'c']) store.put(keyOf(text), text, blob(text));
    store.get(keyOf('a'));
    store.put(keyOf('b'), 'b', blob('b')); // known, and used by that
    store.put(keyOf('d'), 'd', blob('d'));
    expect(() => store.get(keyOf('c'))).toThrow(expect.objectContaining({ code: 'OBJECT_LOST' }));
    expect(['a', 'b', 'd'].map((text) => store.get(keyOf(text)).name)).toEqual(['a', 'b', 'd']);
  });

  it('keeps the last one however large it is', () => {
    const store = new CodeStore(50);
    store.put(keyOf('a'), 'a', blob('a'));
    store.put(keyOf('b'), 'b', blob('b'));
    expect(store.get(keyOf('b')).name).toBe('b');
    expect(() => store.get(keyOf('a'))).toThrow();
  });
});
