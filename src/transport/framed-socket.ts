/**
 * Frames on a stream socket (protocol/work.ts): `u32 rest | u32 head | head (msgpack) | body`, little endian. What is sent in one tick leaves in
 * one write. Knows lengths; what heads mean is its user's business.
 */
import type { Socket } from 'node:net';
import { Packr } from 'msgpackr';
import { TwinkleError } from '../errors.js';

/** Bytes of a frame: more than anything that travels in one. */
const LARGEST = 2 ** 30;
/** The other side may take so long to read what was sent before the end, and to close its own end. */
const LINGER_MS = 2000;
const NOTHING = Buffer.alloc(0);
/** Plain maps, as msgspec reads them; integers beyond 32 bits stay whole numbers. */
const packr = new Packr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number' });

export interface FramedSocketEvents {
  /** `body` is a view of what was received: copy what has to stay. What it throws ends the connection, and is the reason. */
  frame(head: unknown, body: Buffer): void;
  /** Once: nothing more comes. Must not throw. */
  end(reason: string): void;
}

export class FramedSocket {
  readonly #socket: Socket;
  readonly #events: FramedSocketEvents;
  #pending: Buffer[] = [];
  #bytes = 0;
  #needed = 8;
  #outbox: Buffer[] = [];
  #outboxBytes = 0;
  #ended = false;
  #linger: NodeJS.Timeout | null = null;

  constructor(socket: Socket, events: FramedSocketEvents) {
    this.#socket = socket;
    this.#events = events;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', (error) => this.end(error.message));
    socket.on('end', () => this.end('it was closed'));
    socket.on('close', () => {
      this.end('it was closed');
      if (this.#linger !== null) clearTimeout(this.#linger);
    });
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Bytes that wait for the other side to read. */
  get backlog(): number {
    return this.#outboxBytes + this.#socket.writableLength;
  }

  /**
   * Send; nothing happens when the connection is over.
   * @throws `INVALID_REQUEST`: more than a frame can carry; nothing was sent
   */
  send(head: object, body: readonly Uint8Array[] = []): void {
    if (this.#ended) return;
    const packed = packr.pack(head);
    const size = body.reduce((sum, part) => sum + part.byteLength, 4 + packed.byteLength);
    if (size > LARGEST) {
      throw new TwinkleError('INVALID_REQUEST', `expected a frame of at most ${LARGEST} bytes but received ${size}`);
    }
    const lengths = Buffer.allocUnsafe(8);
    lengths.writeUInt32LE(size, 0);
    lengths.writeUInt32LE(packed.byteLength, 4);
    if (this.#outbox.length === 0) process.nextTick(() => this.#flush());
    this.#outbox.push(lengths, packed);
    this.#outboxBytes += size + 4;
    for (const part of body) this.#outbox.push(Buffer.from(part.buffer, part.byteOffset, part.byteLength));
  }

  /** Close; what was sent before still leaves, if it is read soon. Idempotent. */
  end(reason: string): void {
    if (this.#ended) return;
    this.#flush();
    this.#socket.end();
    this.#linger = setTimeout(() => this.#socket.destroy(), LINGER_MS).unref();
    this.#over(reason);
  }

  /** Close, and drop what was not read yet. Idempotent. */
  cut(reason: string): void {
    if (this.#ended) return;
    this.#socket.destroy();
    this.#over(reason);
  }

  #over(reason: string): void {
    this.#ended = true;
    this.#pending = [];
    this.#outbox = [];
    this.#outboxBytes = 0;
    this.#socket.unref();
    this.#events.end(reason);
  }

  #flush(): void {
    if (this.#ended || this.#outbox.length === 0) return;
    const parts = this.#outbox;
    this.#outbox = [];
    this.#outboxBytes = 0;
    this.#socket.write(parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts));
  }

  #take(chunk: Buffer): void {
    if (this.#ended) return;
    this.#pending.push(chunk);
    this.#bytes += chunk.byteLength;
    if (this.#bytes < this.#needed) return;
    let data = this.#pending.length === 1 ? chunk : Buffer.concat(this.#pending);
    while (data.byteLength >= 8) {
      const size = data.readUInt32LE(0);
      const head = data.readUInt32LE(4);
      if (size > LARGEST || head + 4 > size) {
        this.end(`a frame of ${size} bytes with a head of ${head}`);
        return;
      }
      if (data.byteLength < size + 4) break;
      this.#open(data.subarray(8, 8 + head), head + 4 === size ? NOTHING : data.subarray(8 + head, 4 + size));
      if (this.#ended) return;
      data = data.subarray(4 + size);
    }
    this.#pending = data.byteLength === 0 ? [] : [data];
    this.#bytes = data.byteLength;
    this.#needed = data.byteLength >= 8 ? data.readUInt32LE(0) + 4 : 8;
  }

  #open(head: Buffer, body: Buffer): void {
    let said: unknown;
    try {
      said = packr.unpack(head);
    } catch (error) {
      this.end(`a head that is no msgpack: ${String(error)}`);
      return;
    }
    try {
      this.#events.frame(said, body);
    } catch (error) {
      this.end(error instanceof Error ? error.message : String(error));
    }
  }
}
