import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import type { Duplex } from 'node:stream';
import { afterEach, expect, it } from 'vitest';
import { type Accept, type Door, openDoor, type Serve } from '../../../src/transport/door.js';
import { draw, type Target } from '../../../src/transport/door-draw.js';
import { knock } from '../../../src/transport/door-knock.js';
import type { DoorPlace } from '../../../src/transport/door-reach.js';
import { until } from '../actors/played-client.js';

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

const closed = (stream: Duplex) => new Promise<void>((resolve) => stream.once('close', resolve));

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

it('what is no TLS ends it, at both ends', async () => {
  const over: string[] = [];
  const inside = await serving(async (_want, accept) => {
    const stream = accept({});
    stream.once('close', () => over.push('served'));
    stream.resume();
    await closed(stream);
  });
  // Between both ends: it lets all pass, and then says something of its own to either.
  const between = createServer((near) => {
    const far = connect(inside.port, '127.0.0.1');
    for (const socket of [near, far]) socket.on('error', () => {});
    near.pipe(far, { end: false });
    far.pipe(near, { end: false });
    garbage = () => {
      near.write('garbage that is no record');
      far.write('garbage that is no record');
    };
  });
  let garbage = (): void => {};
  await once(between.listen(0, '127.0.0.1'), 'listening');
  const place = { ...inside, port: (between.address() as AddressInfo).port };
  const drawn = draw(place, {}, () => {
    setImmediate(() => garbage());
    return target(9);
  });
  await expect(drawn).rejects.toMatchObject({ code: 'CHANNEL_CLOSED' });
  await until(() => over.length === 1);
  const { stream } = await knock(place, {});
  garbage();
  await closed(stream);
  between.close();
});

it('writes nothing any more once it has been withdrawn', async () => {
  const place = await serving(said(Buffer.alloc(20_000_000, 1)));
  for (let round = 0; round < 5; round++) {
    const end = new AbortController();
    const to = target(20_000_000, 5000);
    const { filled } = to;
    to.filled = function (bytes: number) {
      filled.call(this, bytes);
      if (this.at > 1_000_000) queueMicrotask(() => end.abort());
    };
    await expect(draw(place, {}, () => to, end.signal)).rejects.toMatchObject({ code: 'ABORTED' });
    const before = to.bytes.indexOf(0);
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(to.bytes.indexOf(0)).toBe(before);
  }
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
