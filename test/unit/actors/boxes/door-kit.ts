/** A box that others reach through a door: workers that the test plays, objects and folders that it has. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { doorService, type OutgoingObject } from '../../../../src/actors/boxes/door-service.js';
import type { Draw } from '../../../../src/actors/boxes/fetch.js';
import { TwinkleError } from '../../../../src/errors.js';
import { type Door, openDoor } from '../../../../src/transport/door.js';
import { draw } from '../../../../src/transport/door-draw.js';
import { type Knocked, knock } from '../../../../src/transport/door-knock.js';
import type { DoorPlace } from '../../../../src/transport/door-reach.js';

export class DoorKit implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'twinkle-door-'));
  /** Paths of sockets here are those of the box's workers. */
  readonly workers = join(this.folder, 'w');
  readonly objects = new Map<string, OutgoingObject>();
  readonly folders = new Map<string, string>();
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #key = randomBytes(32);
  #door: Door | null = null;

  static async make(): Promise<DoorKit> {
    const kit = new DoorKit();
    mkdirSync(kit.workers);
    const of = <T>(all: ReadonlyMap<string, T>, name: string): Promise<T> => {
      const found = all.get(name);
      if (found !== undefined) return Promise.resolve(found);
      return Promise.reject(new TwinkleError('OBJECT_LOST', `${name} is lost`));
    };
    kit.#door = await openDoor({
      host: '127.0.0.1',
      key: kit.#key,
      serve: doorService({
        workerFolder: kit.workers,
        object: (id) => of(kit.objects, id),
        folder: (key) => of(kit.folders, key),
      }),
    });
    return kit;
  }

  get door(): Door {
    return this.#door as Door;
  }

  knock(want: object, signal?: AbortSignal): Promise<Knocked> {
    return knock(this.#place, want, signal);
  }

  draw(...what: Parameters<Draw>): Promise<void> {
    return draw(this.#place, ...what);
  }

  get #place(): DoorPlace {
    return { host: '127.0.0.1', port: this.door.port, key: this.#key };
  }

  /** A worker of that name; returns its socket's path. */
  async worker(name: string, serve: (socket: Socket) => void): Promise<string> {
    const path = join(this.workers, `${name}.s`);
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      serve(socket);
    });
    this.#servers.push(server);
    server.listen(path);
    await once(server, 'listening');
    return path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.door.close();
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(this.#servers.map((server) => new Promise((resolve) => server.close(resolve))));
    rmSync(this.folder, { recursive: true });
  }
}

/** Everything to the end of what comes; an iterator would end the other way, too. */
export function readAll(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  return new Promise((resolve) => {
    const over = (): void => resolve(Buffer.concat(chunks));
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.once('end', over).once('close', over);
  });
}
