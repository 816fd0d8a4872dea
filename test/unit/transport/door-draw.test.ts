import { randomBytes } from 'node:crypto';
import { afterEach, expect, it } from 'vitest';
import { type Accept, type Door, openDoor, type Serve } from '../../../src/transport/door.js';
import { draw, type Target } from '../../../src/transport/door-draw.js';
import type { DoorPlace } from '../../../src/transport/door-reach.js';

const KEY = randomBytes(32);
let door: Door | null = null;
afterEach(() => door?.close());

async function serving(serve: Serve): Promise<DoorPlace> {
  door = await openDoor({ host: '127.0.0.1', key: KEY, serve });
  return { host: '127.0.0.1', port: door.port, key: KEY };
}

/** Shows at most `window` bytes at once. */
function target(size: number, window = size): Target & { readonly bytes: Buffer; at: number } {
  const bytes = Buffer.alloc(size);
  return {
    bytes,
    at: 0,
    room() {
      return bytes.subarray(this.at, Math.min(size, this.at + window));
    },
    filled(count) {
      this.at += count;
    },
  };
}

const said = (bytes: Buffer) => (_want: object, accept: Accept) => {
  accept({ size: bytes.length }).end(bytes);
};

it.each([0, 1, 100, 4096, 16_384, 1_000_003])('%i bytes arrive, whatever the room shows at once', async (size) => {
  const bytes = randomBytes(size);
  const place = await serving(said(bytes));
  for (const window of [1, 7, 1000, 65_536, size + 1]) {
    if (size / window > 20_000) continue;
    const to = target(size, window);
    const answers: unknown[] = [];
    await draw(place, { a: 1 }, (answer) => {
      answers.push(answer);
      return to;
    });
    expect(answers).toEqual([{ size }]);
    expect(to.bytes.equals(bytes)).toBe(true);
  }
});

it('memory that processes share is written to directly', async () => {
  const bytes = randomBytes(300_000);
  const shared = new SharedArrayBuffer(bytes.length);
  let at = 0;
  await draw(await serving(said(bytes)), {}, () => ({
    room: () => new Uint8Array(shared, at, Math.min(10_000, bytes.length - at)),
    filled: (count) => {
      at += count;
    },
  }));
  expect(Buffer.from(shared).equals(bytes)).toBe(true);
});

it('what comes behind what is wanted is nobody’s', async () => {
  const place = await serving(said(Buffer.alloc(100_000, 1)));
  const to = target(50_000);
  await draw(place, {}, () => to);
  expect(to.at).toBe(50_000);
  await draw(place, {}, () => target(0));
});

it.each([
  ['less', (_want: object, accept: Accept) => void accept({ size: 9 }).end(Buffer.alloc(5)), 'CHANNEL_CLOSED'],
  ['nothing at all', (_want: object, accept: Accept) => void accept({}).destroy(), 'CHANNEL_CLOSED'],
  ['a refusal', () => Promise.reject(Object.assign(new Error('no'), { code: 'x' })), 'INTERNAL'],
])('%s is an error', async (_name, serve, code) => {
  const place = await serving(serve as Serve);
  await expect(draw(place, {}, () => target(9))).rejects.toMatchObject({ code });
});

it.each([
  ['the answer is not wanted', () => new Error('not that')],
  ['there is no room', () => ({ room: () => fail('not that'), filled: () => {} })],
  ['it cannot be counted', () => ({ room: () => Buffer.alloc(5), filled: () => fail('not that') })],
])('%s: that error, and no other', async (_name, made) => {
  const place = await serving(said(Buffer.alloc(50_000)));
  const begin = (): Target => {
    const to = made();
    if (to instanceof Error) throw to;
    return to;
  };
  await expect(draw(place, {}, begin)).rejects.toThrow('not that');
});

it('is withdrawn while it waits, while it draws, and before', async () => {
  let knocked = (): void => {};
  const there = new Promise<void>((resolve) => {
    knocked = resolve;
  });
  const waits = await serving(async () => {
    knocked();
    await new Promise(() => {});
  });
  const end = new AbortController();
  const waiting = draw(waits, {}, () => target(1), end.signal);
  await there;
  end.abort();
  await expect(waiting).rejects.toMatchObject({ code: 'ABORTED' });
  await expect(draw(waits, {}, () => target(1), end.signal)).rejects.toMatchObject({ code: 'ABORTED' });
});

it('nobody there, and another key', async () => {
  const place = await serving(said(Buffer.alloc(1)));
  await expect(draw({ ...place, key: randomBytes(32) }, {}, () => target(1))).rejects.toMatchObject({
    code: 'CHANNEL_CLOSED',
  });
  await door?.close();
  await expect(draw(place, {}, () => target(1))).rejects.toMatchObject({ code: 'CHANNEL_CLOSED' });
});

function fail(message: string): never {
  throw new Error(message);
}
