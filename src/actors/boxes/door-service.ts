/** What a box gives to others at its door: its workers' sockets, bytes of its objects, and folders. Where those are is others' business. */
import { type FileHandle, open } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { TwinkleError } from '../../errors.js';
import type { Accept, Serve } from '../../transport/door.js';
import { joinStreams } from './join-streams.js';

export interface DoorServiceOptions {
  /** Sockets of this box's workers: `<name>.s`. */
  readonly workerFolder: string;
  /** An object's bytes, which stay where they are until they are closed; what it rejects with is told to the caller. */
  object(id: string): Promise<OutgoingObject>;
  /** Path of a folder's zip file, by its key; what it rejects with is told to the caller. */
  folder(key: string): Promise<string>;
}

export interface OutgoingObject {
  /** In bytes. */
  readonly size: number;
  /** From `at` on, at most so many, at least one. */
  part(at: number, most: number): Uint8Array;
  /** Called once. */
  close(): void;
}

/** Bytes that are encrypted at once; other streams have their turn after that. */
const PART = 1024 * 1024;

/** Serves `{t: 'worker', name}`, and with their `size` in the answer `{t: 'object', id}` and `{t: 'folder', key}`. */
export function doorService(options: DoorServiceOptions): Serve {
  return async (want, accept) => {
    switch (want.t) {
      case 'worker':
        return await serveWorker(options.workerFolder, textOf(want.name, 'name', /^w\d{1,16}$/), accept);
      case 'object':
        return await serveObject(await options.object(textOf(want.id, 'id', /^.{1,256}$/)), accept);
      case 'folder':
        return await serveFile(await options.folder(textOf(want.key, 'key', /^[0-9a-f]{64}$/)), accept);
      default:
        throw new TwinkleError('PROTOCOL', `a door serves no \`${shown(want.t)}\``);
    }
  };
}

async function serveWorker(folder: string, name: string, accept: Accept): Promise<void> {
  const worker = await dialled(join(folder, `${name}.s`), name);
  try {
    joinStreams(accept(), worker);
  } catch (error) {
    worker.destroy();
    throw error;
  }
}

/** Throws `WORKER_DIED` when nobody listens there, `CHANNEL_CLOSED` when it cannot be asked. */
function dialled(path: string, name: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path, allowHalfOpen: true });
    socket.once('connect', () => resolve(socket));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      const gone = error.code === 'ENOENT' || error.code === 'ECONNREFUSED';
      const what = gone ? 'is not there any more' : `cannot be reached: ${error.message}`;
      reject(new TwinkleError(gone ? 'WORKER_DIED' : 'CHANNEL_CLOSED', `worker ${name} ${what}`, { cause: error }));
    });
  });
}

async function serveObject(object: OutgoingObject, accept: Accept): Promise<void> {
  try {
    const { size } = object;
    await send(accept({ size }), size, (at, most) => object.part(at, most));
  } finally {
    object.close();
  }
}

/** Throws `STORAGE_FAILED`. */
async function serveFile(path: string, accept: Accept): Promise<void> {
  const file = await open(path).catch((error: unknown) => unread(path, error));
  try {
    const { size } = await file.stat();
    const buffer = Buffer.allocUnsafe(Math.min(PART, size));
    await send(accept({ size }), size, (at, most) => readPart(file, buffer, at, most));
  } catch (error) {
    throw error instanceof TwinkleError ? error : unread(path, error);
  } finally {
    await file.close();
  }
}

async function readPart(file: FileHandle, buffer: Buffer, at: number, most: number): Promise<Buffer> {
  const { bytesRead } = await file.read(buffer, 0, most, at);
  if (bytesRead === 0) throw new Error(`it ends at byte ${at}`);
  return buffer.subarray(0, bytesRead);
}

function unread(path: string, error: unknown): never {
  const why = error instanceof Error ? error.message : String(error);
  throw new TwinkleError('STORAGE_FAILED', `${path} cannot be read: ${why}`, { cause: error });
}

/** All of it, one part after another has left, and the end. Throws `CHANNEL_CLOSED` when the reader leaves before. */
async function send(
  stream: Duplex,
  size: number,
  part: (at: number, most: number) => Uint8Array | Promise<Uint8Array>,
): Promise<void> {
  stream.resume(); // its reader says no more: this is how its end is seen
  for (let at = 0; at < size; ) {
    const bytes = await part(at, Math.min(PART, size - at));
    await left(stream, (done) => stream.write(bytes, done));
    at += bytes.byteLength;
  }
  await left(stream, (done) => stream.end(done));
}

/** Resolves when the system has what was written: its memory is not looked at any more. */
function left(stream: Duplex, write: (done: (error?: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const closed = (error?: Error | null): void =>
      reject(new TwinkleError('CHANNEL_CLOSED', 'who reads at a door has gone', { cause: error }));
    stream.once('close', closed);
    write((error) => {
      stream.off('close', closed);
      if (error) closed(error);
      else resolve();
    });
  });
}

/** @throws `INVALID_REQUEST` */
function textOf(value: unknown, name: string, pattern: RegExp): string {
  if (typeof value === 'string' && pattern.test(value)) return value;
  throw new TwinkleError('INVALID_REQUEST', `expected ${pattern.source} for \`${name}\` but received ${shown(value)}`);
}

/** What a peer said, short enough for a message. */
function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 80)) : typeof value;
}
