import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { basename, join } from 'node:path';
import type { Duplex } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Relays } from '../../../../src/actors/boxes/relays.js';
import { TwinkleError } from '../../../../src/errors.js';
import { SILENT } from '../../../../src/observability/logger.js';
import { deferred } from '../../../../src/util/deferred.js';
import { until } from '../played-client.js';
import { DoorKit, readAll } from './door-kit.js';

const MIB = 2 ** 20;

let kit: DoorKit;
let relays: Relays;
let folder: string;
let knocks: { node: string; name: string }[];
/** What a knock waits for. */
let held: Promise<void>;
/** Streams to workers. */
let remotes: Duplex[];
let broken: string[];

beforeEach(async () => {
  kit = await DoorKit.make();
  folder = join(kit.folder, 'r');
  mkdirSync(folder);
  knocks = [];
  held = Promise.resolve();
  remotes = [];
  broken = [];
  relays = new Relays({
    folder,
    log: SILENT,
    broken: (node, path, why) => broken.push(`${node} ${basename(path)}: ${why}`),
    untoldMs: 50,
    knock: async (node, want): Promise<Duplex> => {
      knocks.push({ node, name: want.name });
      await held;
      const { stream } = await kit.knock(want);
      remotes.push(stream);
      return stream;
    },
  });
});
afterEach(async () => {
  await relays[Symbol.asyncDispose]();
  expect(readdirSync(folder)).toEqual([]);
  await kit[Symbol.asyncDispose]();
});

const echo = (socket: Socket): void => void socket.pipe(socket);

function refused(error: TwinkleError): Promise<void> {
  const refusal = Promise.reject(error);
  refusal.catch(() => {}); // nobody waits for it yet
  return refusal;
}

function dial(path: string): Socket {
  return connect({ path, allowHalfOpen: true }).on('error', () => {});
}

function closed(socket: Duplex): Promise<void> {
  return new Promise((resolve) => socket.once('close', resolve));
}

describe('relays', () => {
  it('are there when they are asked for, the same for the same worker', async () => {
    const path = await kit.worker('w3', echo);
    const here = relays.reach('b', path);
    expect(existsSync(here)).toBe(true);
    const socket = dial(here);
    socket.end('hello');
    expect((await readAll(socket)).toString()).toBe('hello');
    expect(relays.reach('b', path)).toBe(here);
    expect(relays.reach('c', path)).not.toBe(here);
    expect(knocks).toEqual([{ node: 'b', name: 'w3' }]);
  });

  it('take the place of what a killed process left', async () => {
    writeFileSync(join(folder, 'f0.s'), '');
    const socket = dial(relays.reach('b', await kit.worker('w3', echo)));
    socket.end('hello');
    expect((await readAll(socket)).toString()).toBe('hello');
  });

  it('keep what the caller says before the worker is reached, its end too', async () => {
    const hold = deferred<void>();
    held = hold.promise;
    const socket = dial(relays.reach('b', await kit.worker('w3', echo)));
    const sent = Buffer.alloc(3 * MIB, 5);
    socket.end(sent);
    const reading = readAll(socket);
    await until(() => knocks.length === 1);
    hold.resolve();
    expect((await reading).equals(sent)).toBe(true);
  });

  it('end each way for itself', async () => {
    const far: Socket[] = [];
    const here = relays.reach('b', await kit.worker('w3', (socket) => far.push(socket)));
    const asks = dial(here);
    asks.end('question');
    await until(() => far.length === 1);
    expect((await readAll(far[0] as Socket)).toString()).toBe('question');
    far[0]?.end('answer');
    expect((await readAll(asks)).toString()).toBe('answer');
    expect(broken).toEqual([]);
    const hears = dial(here);
    await until(() => far.length === 2);
    far[1]?.end('all');
    expect((await readAll(hears)).toString()).toBe('all');
    hears.end('thanks');
    expect((await readAll(far[1] as Socket)).toString()).toBe('thanks');
  });

  it('let the writer wait for the reader, and carry 50 MB each way', async () => {
    const far = deferred<Socket>();
    const near = dial(relays.reach('b', await kit.worker('w3', far.resolve)));
    const other = await far.promise;
    for (const [from, to] of [
      [near, other],
      [other, near],
    ] as const) {
      let sent = 0;
      for (let idle = 0; idle < 500 && sent < 50 * MIB; ) {
        if (from.writableNeedDrain) {
          idle += 1;
          await new Promise((resolve) => setImmediate(resolve));
        } else {
          idle = 0;
          from.write(Buffer.alloc(64 * 1024, sent / MIB));
          sent += 64 * 1024;
        }
      }
      expect(sent).toBeLessThan(30 * MIB);
      const reading = readAll(to);
      for (; sent < 50 * MIB; sent += MIB) if (!from.write(Buffer.alloc(MIB, 7))) await once(from, 'drain');
      from.end();
      expect((await reading).length).toBe(sent);
    }
  });

  it('end with the worker, whose last words arrive', async () => {
    const near = dial(
      relays.reach(
        'b',
        await kit.worker('w3', (socket) => {
          socket.write('last');
          socket.destroySoon();
        }),
      ),
    );
    expect((await readAll(near)).toString()).toBe('last');
    near.end();
    await closed(near);
  });

  it('end with the caller', async () => {
    const far = deferred<Socket>();
    const near = dial(relays.reach('b', await kit.worker('w3', far.resolve)));
    const other = await far.promise;
    near.destroy();
    expect((await readAll(other)).length).toBe(0);
    other.end();
    await closed(other);
  });

  it('end the connection of who dials a worker that is not there, or a box that cannot be reached', async () => {
    const gone = dial(relays.reach('b', join(kit.workers, 'w9.s')));
    gone.write('hello?');
    await readAll(gone);
    held = refused(new TwinkleError('NODE_LOST', 'node b has left'));
    await readAll(dial(relays.reach('b', join(kit.workers, 'w9.s'))));
    expect(knocks.length).toBe(2);
    expect(broken).toEqual([]); // others tell what has become of those
  });

  it('tell of a way that does not hold', async () => {
    held = refused(new TwinkleError('CHANNEL_CLOSED', 'no answer'));
    const here = relays.reach('b', await kit.worker('w3', echo));
    await readAll(dial(here));
    expect(broken).toEqual(['b w3.s: no answer']);
    held = Promise.resolve();
    const near = dial(here);
    near.write('x');
    await once(near, 'data');
    remotes[0]?.destroy(new Error('a reset'));
    await readAll(near);
    expect(broken).toEqual(['b w3.s: no answer', 'b w3.s: its stream broke']);
  });

  it('tell of a stream that ended though nobody says that its worker has', async () => {
    const path = await kit.worker('w3', (socket) => socket.end('last words'));
    expect((await readAll(dial(relays.reach('b', path)))).toString()).toBe('last words');
    await until(() => broken.length > 0);
    expect(broken).toEqual(['b w3.s: its stream ended, and nobody says that it has gone']);
    expect((await readAll(dial(relays.reach('b', path)))).toString()).toBe('last words');
    relays.ended('b', path);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(broken.length).toBe(1);
  });

  it('let nobody dial a worker that has ended, while its streams go on', async () => {
    const path = await kit.worker('w3', echo);
    const here = relays.reach('b', path);
    const near = dial(here);
    await until(() => knocks.length === 1);
    relays.ended('b', path);
    relays.ended('b', path);
    expect(existsSync(here)).toBe(false);
    const [error] = (await once(connect(here), 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ENOENT');
    near.end('still');
    expect((await readAll(near)).toString()).toBe('still');
    expect(relays.reach('b', path)).not.toBe(here);
  });

  it('end at once with their box, those on their way too', async () => {
    const path = await kit.worker('w3', echo);
    const [here, there] = [relays.reach('b', path), relays.reach('c', path)];
    const [near, other] = [dial(here), dial(there)];
    for (const one of [near, other]) {
      one.write('x');
      await once(one, 'data');
    }
    relays.ended('b', path); // its streams end with the box, too
    const hold = deferred<void>();
    held = hold.promise;
    const again = relays.reach('b', path);
    const waits = dial(again).resume();
    await until(() => knocks.length === 3);
    relays.gone('b');
    expect([existsSync(here), existsSync(again), existsSync(there)]).toEqual([false, false, true]);
    await Promise.all([closed(near.end()), closed(waits.end())]);
    hold.resolve();
    other.end('y');
    expect((await readAll(other)).toString()).toBe('y');
  });

  it('survive the end of the door: callers see the end', async () => {
    const near = dial(relays.reach('b', await kit.worker('w3', echo)));
    near.write('x');
    await once(near, 'data');
    await kit.door.close();
    await readAll(near);
    await closed(near.end());
  });

  it('refuse a folder whose path is too long, and work after the end', async () => {
    const rest = { log: SILENT, knock: () => Promise.reject(), broken: () => {} };
    const long = new Relays({ folder: `${folder}/${'x'.repeat(100)}`, ...rest });
    expect(() => long.reach('b', '/w3.s')).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
    const absent = new Relays({ folder: `${folder}/no`, ...rest });
    expect(() => absent.reach('b', '/w3.s')).toThrow(expect.objectContaining({ code: 'STORAGE_FAILED' }));
    await relays[Symbol.asyncDispose]();
    expect(() => relays.reach('b', '/w3.s')).toThrow(expect.objectContaining({ code: 'DRAINING' }));
  });
});
