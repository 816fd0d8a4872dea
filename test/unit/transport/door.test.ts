import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { Duplex, Readable } from 'node:stream';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { Packr } from 'msgpackr';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import { type Door, openDoor, type Serve } from '../../../src/transport/door.js';
import { knock } from '../../../src/transport/door-knock.js';
import type { DoorPlace } from '../../../src/transport/door-reach.js';
import { deferred } from '../../../src/util/deferred.js';
import { until } from '../actors/played-client.js';

const MIB = 2 ** 20;
const packr = new Packr({ useRecords: false, variableMapSize: true });
const key = randomBytes(32);
const closedChannel = expect.objectContaining({ code: 'CHANNEL_CLOSED' });

let door: Door;
let place: DoorPlace;
let serve: Serve;
let served: unknown[];

beforeEach(async () => {
  served = [];
  serve = (_want, accept) => {
    const stream = accept();
    stream.pipe(stream);
  };
  door = await openDoor({
    host: '127.0.0.1',
    key,
    serve: (want, accept) => {
      served.push(want);
      return serve(want, accept);
    },
  });
  place = { host: '127.0.0.1', port: door.port, key };
});
afterEach(async () => {
  vi.useRealTimers();
  await door.close();
});

/** Everything to the end of what comes; an iterator would end the other way, too. */
function readAll(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  return new Promise((resolve) => {
    const over = (): void => resolve(Buffer.concat(chunks));
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.once('end', over).once('close', over);
  });
}

/** Resolves however it ends. */
function closed(stream: Duplex): Promise<void> {
  return new Promise((resolve) => stream.once('close', resolve));
}

function frame(said: unknown): Buffer {
  const packed = packr.pack(said);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(packed.length);
  return Buffer.concat([length, packed]);
}

/** A connection that has shown the key, and nothing else. */
async function bare(): Promise<TLSSocket> {
  const socket = connectTls({
    socket: connect({ port: door.port, host: '127.0.0.1', allowHalfOpen: true }),
    ciphers: 'DHE-PSK-AES128-GCM-SHA256',
    maxVersion: 'TLSv1.2',
    pskCallback: () => ({ psk: key, identity: 'box' }),
    checkServerIdentity: () => undefined,
  });
  socket.on('error', () => {});
  await once(socket, 'secureConnect');
  return socket;
}

/** A connection without TLS. */
async function stranger(): Promise<Socket> {
  const socket = connect(door.port, '127.0.0.1');
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

/** Writes as long as it may; resolves when the stream has had no room for some time that others had work in. */
async function fill(stream: Duplex, most: number): Promise<number> {
  const part = randomBytes(64 * 1024);
  let written = 0;
  for (let idle = 0; idle < 200 && written < most; ) {
    if (stream.writableNeedDrain) {
      idle += 1;
      await new Promise((resolve) => setImmediate(resolve));
    } else {
      idle = 0;
      stream.write(part);
      written += part.length;
    }
  }
  return written;
}

/** Passes bytes on until it is broken, both ways, as a box that vanishes. */
async function breakable(): Promise<{ port: number; break(): void; [Symbol.dispose](): void }> {
  const sockets: Socket[] = [];
  const server = createServer((near) => {
    const far = connect(door.port, '127.0.0.1');
    for (const one of [near, far]) one.on('error', () => {});
    sockets.push(near, far);
    near.pipe(far).pipe(near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = (): void => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    break: cut,
    [Symbol.dispose]: () => {
      cut();
      server.close();
    },
  };
}

/** What the kernel waits for on the connection that has that local port: `02` is to ask whether the other end is there. */
function timer(port: number | undefined): { readonly kind: string; readonly seconds: number } {
  const hex = Number(port).toString(16).toUpperCase().padStart(4, '0');
  const fields = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .find(([, local, , state]) => local?.endsWith(`:${hex}`) && state === '01');
  const [kind = '', when = '0'] = fields?.[5]?.split(':') ?? [];
  return { kind, seconds: Number.parseInt(when, 16) / 100 };
}

describe('streams through a door', () => {
  it('carry bytes both ways once the want is accepted, with what the answer says', async () => {
    serve = (want, accept) => void accept({ size: 7, of: want.id }).end('the end');
    const { stream, answer } = await knock(place, { t: 'object', id: 'o1' });
    expect(answer).toEqual({ size: 7, of: 'o1' });
    expect((await readAll(stream)).toString()).toBe('the end');
    expect(served).toEqual([{ t: 'object', id: 'o1' }]);
    stream.end();
    await closed(stream);
  });

  it('ask whether the other end is there, from both ends, after 5 s of silence', async () => {
    serve = (_want, accept) => void accept();
    const { stream } = await knock(place, {});
    const { localPort, remotePort } = stream as TLSSocket;
    // Nothing is on its way when both timers are those of keep-alive.
    await until(() => [timer(localPort), timer(remotePort)].every(({ kind }) => kind === '02'));
    for (const { seconds } of [timer(localPort), timer(remotePort)]) {
      expect(seconds).toBeGreaterThan(0);
      expect(seconds).toBeLessThanOrEqual(5);
    }
    stream.destroy();
  });

  it('end each way for itself', async () => {
    const heard = deferred<string>();
    serve = async (_want, accept) => {
      const stream = accept();
      heard.resolve((await readAll(stream)).toString());
      stream.write('after ');
      stream.end('your end');
    };
    const { stream } = await knock(place, {});
    stream.end('all I say');
    expect(await heard.promise).toBe('all I say');
    expect((await readAll(stream)).toString()).toBe('after your end');

    serve = async (_want, accept) => {
      const other = accept();
      other.end('first');
      heard.resolve((await readAll(other)).toString());
    };
    const second = (await knock(place, {})).stream;
    expect((await readAll(second)).toString()).toBe('first');
    second.end('last');
    await closed(second);
  });

  it('lose nothing that comes in one piece with the want, or the answer', async () => {
    const heard = deferred<Buffer>();
    serve = async (_want, accept) => {
      const stream = accept();
      stream.end('right behind');
      await new Promise((resolve) => setImmediate(resolve)); // who reads may come later
      heard.resolve(await readAll(stream));
    };
    const raw = await bare();
    raw.end(Buffer.concat([frame({ t: 'x' }), Buffer.from('at once')]));
    expect((await heard.promise).toString()).toBe('at once');
    expect(await readAll(raw)).toEqual(Buffer.concat([frame({ ok: true }), Buffer.from('right behind')]));
    const { stream } = await knock(place, {});
    stream.end();
    await new Promise((resolve) => setImmediate(resolve));
    expect((await readAll(stream)).toString()).toBe('right behind');
  });

  it('lose nothing when they are ended while they are read', async () => {
    serve = (_want, accept) => {
      const stream = accept();
      stream.once('data', () => {
        stream.write('one');
        stream.end('two');
      });
    };
    for (let round = 0; round < 10; round++) {
      const { stream } = await knock(place, {});
      stream.write('go');
      stream.once('data', () => stream.end());
      expect((await readAll(stream)).toString()).toBe('onetwo');
    }
  });

  it('take a want in single bytes', async () => {
    const raw = await bare();
    for (const byte of frame({ t: 'slowly', size: 300 })) {
      raw.write(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => served.length === 1);
    expect(served).toEqual([{ t: 'slowly', size: 300 }]);
    raw.destroy();
  });

  it('wait for their reader: 50 MB each way', async () => {
    const far = deferred<Duplex>();
    serve = (_want, accept) => far.resolve(accept());
    const near = (await knock(place, {})).stream;
    const ends = [near, await far.promise] as const;
    for (const [from, to] of [ends, [ends[1], ends[0]]] as const) {
      const early = await fill(from, 50 * MIB);
      // What two sockets of the system hold, and no more.
      expect(early).toBeLessThan(24 * MIB);
      expect(from.writableLength).toBeLessThan(MIB);
      const reading = readAll(to);
      for (let sent = early; sent < 50 * MIB; sent += MIB) {
        if (!from.write(Buffer.alloc(MIB, 7))) await once(from, 'drain');
      }
      from.end();
      expect((await reading).length).toBeGreaterThanOrEqual(50 * MIB);
    }
  });

  it('end at both ends when the one or the other leaves, or what is between them breaks', async () => {
    const far: Duplex[] = [];
    serve = (_want, accept) => void far.push(accept());
    const one = (await knock(place, {})).stream;
    one.destroy();
    far[0]?.resume();
    far[0]?.write('who reads this?');
    await until(() => far[0]?.readableEnded === true);

    const two = (await knock(place, {})).stream;
    two.resume();
    await fill(far[1] as Duplex, MIB);
    far[1]?.destroy();
    await once(two, 'end');

    using between = await breakable();
    const three = (await knock({ ...place, port: between.port }, {})).stream;
    await fill(three, 50 * MIB);
    const both = Promise.all([closed(three), closed(far[2] as Duplex)]);
    between.break();
    // Who neither reads nor writes hears of nothing; and where much was to be read, a break may look like an end.
    far[2]?.resume().once('end', () => far[2]?.end());
    await both;
  });

  it('many at once', async () => {
    const all = await Promise.all(Array.from({ length: 100 }, (_, n) => knock(place, { n })));
    for (const { stream } of all) stream.end('x');
    expect((await Promise.all(all.map(({ stream }) => readAll(stream)))).join('')).toBe('x'.repeat(100));
    expect(served.length).toBe(100);
  });

  it('end with the door, and what serves them has ended then', async () => {
    let over = false;
    serve = async (_want, accept) => {
      await closed(accept());
      over = true;
    };
    const { stream } = await knock(place, {});
    stream.resume();
    const ended = once(stream, 'end');
    await door.close();
    expect(over).toBe(true);
    await ended;
    await expect(knock(place, {})).rejects.toEqual(closedChannel);
    await door.close();
  });
});

describe('who is refused', () => {
  it('hears code and message', async () => {
    serve = () => Promise.reject(new TwinkleError('OBJECT_LOST', 'object o1 is lost: nobody held it'));
    await expect(knock(place, {})).rejects.toMatchObject({ code: 'OBJECT_LOST', message: /o1 is lost/ });
    serve = () => {
      throw new Error('x'.repeat(100_000));
    };
    await expect(knock(place, {})).rejects.toMatchObject({ code: 'INTERNAL', message: 'x'.repeat(16 * 1024) });
    serve = () => {};
    await expect(knock(place, {})).rejects.toMatchObject({ code: 'PROTOCOL' });
    await expect(knock(place, { t: 'x'.repeat(70_000) })).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
  });

  it('sees the end of a stream whose server fails later', async () => {
    serve = async (_want, accept) => {
      accept();
      await Promise.reject(new Error('the disk is gone'));
    };
    const { stream } = await knock(place, {});
    expect((await readAll(stream)).length).toBe(0);
  });

  it('ends soon when it is accepted after it has gone', async () => {
    const tried = deferred<unknown>();
    const gone = deferred<void>();
    serve = async (_want, accept) => {
      await gone.promise;
      try {
        const stream = accept(); // nobody has read that it is gone, yet
        stream.resume();
        await once(stream, 'end');
        stream.destroy();
        accept();
      } catch (error) {
        tried.resolve(error);
      }
    };
    const end = new AbortController();
    const knocked = knock(place, {}, end.signal);
    await until(() => served.length === 1);
    end.abort();
    await expect(knocked).rejects.toMatchObject({ code: 'ABORTED' });
    gone.resolve();
    expect(await tried.promise).toMatchObject({ message: 'a stream is accepted once' });
  });

  it('is who has another key, and nothing that it says is read', async () => {
    (await knock(place, {})).stream.destroy(); // a session of another key opens nothing
    served.length = 0;
    await expect(knock({ ...place, key: randomBytes(32) }, { t: 'x' })).rejects.toEqual(closedChannel);
    await expect(knock({ ...place, key: Buffer.alloc(32) }, { t: 'x' })).rejects.toEqual(closedChannel);
    expect(served).toEqual([]);
    (await knock(place, {})).stream.destroy();
  });

  it('is who speaks no TLS, or says no want', async () => {
    const plain = await stranger();
    plain.write(Buffer.alloc(100_000, 65));
    await closed(plain.resume());
    for (const said of [
      Buffer.from([255, 255, 255, 127, 1]),
      Buffer.from([0, 0, 0, 0]),
      Buffer.from([1, 0, 0, 0, 0xc1]),
      frame([1, 2]),
      frame('want'),
      Buffer.from([9, 0]),
    ]) {
      const raw = await bare();
      raw.end(said);
      const answer = await readAll(raw);
      expect(packr.unpack(answer.subarray(4))).toMatchObject({ ok: false, code: expect.stringMatching(/PROT|CHAN/) });
    }
    const hasty = await bare();
    hasty.destroy();
    expect(served).toEqual([]);
    (await knock(place, {})).stream.destroy();
  });

  it('is who says nothing for 5 s, before the key or after it', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const used = (await knock(place, {})).stream;
    const silent = [await stranger(), await bare()];
    for (const socket of silent) socket.resume();
    await until(() => {
      vi.advanceTimersByTime(5000);
      return silent.every(({ readableEnded, destroyed }) => readableEnded || destroyed);
    });
    used.end('still there'); // a stream may be silent for as long as it likes
    expect((await readAll(used)).toString()).toBe('still there');
  });

  it('is the oldest of many who say nothing', async () => {
    const crowd: Socket[] = [];
    for (let n = 0; n < 300; n++) crowd.push((await stranger()).resume());
    (await knock(place, {})).stream.destroy();
    const cut = (): number => crowd.filter(({ destroyed }) => destroyed).length;
    await until(() => cut() >= 44);
    expect(cut()).toBeLessThan(60);
    expect(crowd[0]?.destroyed).toBe(true);
    expect(crowd[299]?.destroyed).toBe(false);
    for (const socket of crowd) socket.destroy();
  });
});

describe('a knock', () => {
  it('fails where nobody is, or nobody answers', async () => {
    await expect(knock({ ...place, port: 1 }, {})).rejects.toEqual(closedChannel);
    await expect(knock({ ...place, host: 'no.such.host.invalid' }, {})).rejects.toEqual(closedChannel);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const mute = createServer((socket) => socket.on('error', () => {}).resume());
    mute.listen(0, '127.0.0.1');
    await once(mute, 'listening');
    const knocked = knock({ ...place, port: (mute.address() as AddressInfo).port }, {});
    const failed = expect(knocked).rejects.toMatchObject({ code: 'CHANNEL_CLOSED', message: /no answer within 5000/ });
    vi.advanceTimersByTime(5001);
    await failed;
    mute.close();
  });

  it('fails when the door ends before it answers', async () => {
    serve = () => new Promise(() => {});
    const knocked = knock(place, {});
    knocked.catch(() => {});
    await until(() => served.length === 1);
    await door.close();
    await expect(knocked).rejects.toEqual(closedChannel);
  });

  it('can be withdrawn at any time', async () => {
    serve = () => new Promise(() => {});
    await expect(knock(place, {}, AbortSignal.abort())).rejects.toMatchObject({ code: 'ABORTED' });
    for (const moment of [() => true, () => served.length === 1]) {
      const end = new AbortController();
      const knocked = knock(place, {}, end.signal);
      knocked.catch(() => {});
      await until(moment);
      end.abort(new Error('enough'));
      await expect(knocked).rejects.toMatchObject({ code: 'ABORTED', cause: { message: 'enough' } });
    }
  });

  it('is the one that a later door at the same port answers', async () => {
    const { port } = door;
    (await knock(place, {})).stream.destroy();
    await door.close();
    const other = randomBytes(32);
    door = await openDoor({ host: '127.0.0.1', key: other, serve: (_want, accept) => void accept().end('new') });
    expect(port).not.toBe(0);
    const { stream } = await knock({ host: '127.0.0.1', port: door.port, key: other }, {});
    expect((await readAll(stream)).toString()).toBe('new');
  });

  it('is not heard at an address that is not ours', async () => {
    await expect(openDoor({ host: '203.0.113.1', key, serve })).rejects.toMatchObject({ code: 'PORT_IN_USE' });
  });
});
