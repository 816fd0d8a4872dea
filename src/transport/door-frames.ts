/**
 * What two ends of a door say before a stream is its users': `u32 length | msgpack`, little endian, one frame each way. And the TLS that both
 * ends must agree on. Knows neither sockets' lives nor what is wanted.
 */
import type { Duplex, Readable } from 'node:stream';
import { Packr } from 'msgpackr';
import { TwinkleError } from '../errors.js';

/** Of one frame: what somebody wants, or the answer to it. */
const LARGEST = 64 * 1024;
/** Characters of an error's message that cross; each is at most 3 bytes. */
const LONGEST_MESSAGE = 16 * 1024;

/** Both ends hold the key, and say so by this name. */
export const IDENTITY = 'box';

/** Either end is cut when the other has not said what it must by then. */
export const PATIENCE_MS = 5000;

/**
 * TLS 1.2, the last with pre-shared keys in Node. Exchanged keys are forgotten with the stream; at level 2 OpenSSL takes 2048 bits for them, and
 * 1024 else. This cipher is the fastest of those that do so.
 */
export const TLS = {
  ciphers: 'DHE-PSK-AES128-GCM-SHA256:@SECLEVEL=2',
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.2',
} as const;

/** Sockets of both ends. A box that vanishes says nothing: its streams end after 5 s of silence and ten questions, one a second. */
export const SOCKET = {
  allowHalfOpen: true,
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: 5000,
} as const;

/**
 * Let the socket be ended at any time. A TLS socket that is ended while Node hands over what it has decrypted, as in `data`, loses the rest of
 * that. So its end leaves in another turn.
 */
export function endLater(socket: Duplex): void {
  const end = socket._final.bind(socket);
  socket._final = (done) => void setImmediate(() => end(done));
}

export type Fields = Readonly<Record<string, unknown>>;

const GONE = 'the other end of a door is gone';

const packr = new Packr({
  useRecords: false,
  variableMapSize: true,
  int64AsType: 'number',
  encodeUndefinedAsNil: true,
});

/** @throws `INVALID_REQUEST`: longer than a frame may be, or what msgpack cannot say */
export function doorFrame(said: object): Buffer {
  let packed: Buffer;
  try {
    packed = packr.pack(said);
  } catch (error) {
    throw new TwinkleError('INVALID_REQUEST', `it cannot be said to a door: ${String(error)}`, { cause: error });
  }
  if (packed.byteLength > LARGEST) {
    const received = `received ${packed.byteLength}`;
    throw new TwinkleError('INVALID_REQUEST', `expected at most ${LARGEST} bytes for a door but ${received}`);
  }
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32LE(packed.byteLength);
  return Buffer.concat([length, packed]);
}

/** The answer to what is not served: any thrown value. */
export function refusal(thrown: unknown): Buffer {
  const code = thrown instanceof TwinkleError ? thrown.code : 'INTERNAL';
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return doorFrame({ ok: false, code, message: message.slice(0, LONGEST_MESSAGE) });
}

/**
 * The one frame that the other end sends first. What comes behind it stays in the stream, which flows when somebody reads it.
 * @throws `PROTOCOL` for anything else, `CHANNEL_CLOSED` when the stream ends before
 */
export function readFrame(stream: Readable): Promise<Fields> {
  return new Promise((resolve, reject) => {
    let size = 0;
    let reason = 'it was closed';
    const settle = (act: () => void): void => {
      stream.off('readable', look).off('error', broke).off('end', ended).off('close', ended);
      act();
    };
    const fail = (error: TwinkleError): void => settle(() => reject(error));
    const ended = (): void => fail(new TwinkleError('CHANNEL_CLOSED', `${GONE}: ${reason}`));
    const broke = (error: Error): void => {
      reason = error.message;
      ended();
    };
    // Exactly what is needed is read: the stream keeps the rest, its end included.
    const look = (): void => {
      try {
        size ||= sizeOf(stream.read(4) as Buffer | null);
        const packed = size === 0 ? null : (stream.read(size) as Buffer | null);
        if (packed === null) return;
        if (packed.byteLength < size) throw new TwinkleError('CHANNEL_CLOSED', `${GONE}: it was closed within a frame`);
        const fields = fieldsOf(packed);
        settle(() => resolve(fields));
      } catch (error) {
        fail(error as TwinkleError);
      }
    };
    stream.on('readable', look).on('error', broke).on('end', ended).on('close', ended);
    if (stream.destroyed) ended();
    else look();
  });
}

/** Bytes of a frame behind its first four; 0: those are not here yet. @throws `PROTOCOL` */
export function sizeOf(bytes: Buffer | null): number {
  if (bytes === null) return 0;
  if (bytes.byteLength < 4) throw new TwinkleError('CHANNEL_CLOSED', `${GONE}: it was closed within a frame`);
  const size = bytes.readUInt32LE();
  if (size > 0 && size <= LARGEST) return size;
  throw new TwinkleError('PROTOCOL', `the other end of a door announced ${size} bytes, where 1 to ${LARGEST} may come`);
}

/** What a frame says. @throws `PROTOCOL` */
export function fieldsOf(packed: Buffer): Fields {
  let said: unknown;
  try {
    said = packr.unpack(packed);
  } catch (error) {
    throw new TwinkleError('PROTOCOL', 'the other end of a door said what is no msgpack', { cause: error });
  }
  if (typeof said === 'object' && said !== null && Object.getPrototypeOf(said) === Object.prototype)
    return said as Fields;
  throw new TwinkleError('PROTOCOL', 'the other end of a door said what is no map');
}
