/**
 * What peers (head ↔ agent, head ↔ client process) say to each other. A ZeroMQ message is one or more parts, each part one msgpack map
 * whose first key is `t`; parts are handled in order. Knows the words and their shape, neither sockets nor calls.
 */
import { Packr } from 'msgpackr';
import { isErrorCode, TwinkleError } from '../errors.js';
import { wellFormed } from './well-formed.js';

/** Version of these frames: another one is refused in the welcome. */
export const PEER_PROTOCOL = 1;

/** Longest message, in bytes: more ends the connection in libzmq without a word, so senders refuse it before. */
export const MAX_MESSAGE_BYTES = 256 * 1024 * 1024;

/** First frame of a connection, client → hub. Everything else before it is dropped. */
export interface Hello {
  readonly t: 'hello';
  readonly protocol: number;
  /** What the client is: `agent`, `client`, … */
  readonly role: string;
  /** Names the client across its connections: the same session connecting again replaces its former connection. */
  readonly session: string;
  readonly pid: number;
  /** Start time of the process in ticks since boot, as text: with the pid it names the process. */
  readonly pid_start: string;
  /** What the role says of itself. */
  readonly body: unknown;
}

/** Hub → client: the answer to a hello that was accepted, alone in its message. */
export interface Welcome {
  readonly t: 'welcome';
  readonly protocol: number;
  /** Random per start of the hub. */
  readonly head: string;
  readonly body: unknown;
}

/** Hub → client: the answer to a hello that was not, alone in its message. */
export interface Refuse {
  readonly t: 'refuse';
  readonly code: string;
  readonly reason: string;
}

/** Both ways, answered by `result` or `error` of the same id. Ids are the caller's own. */
export interface Call {
  readonly t: 'call';
  readonly id: number;
  readonly method: string;
  readonly params: unknown;
}

export interface Result {
  readonly t: 'result';
  readonly id: number;
  readonly value: unknown;
}

export interface Failed {
  readonly t: 'error';
  readonly id: number;
  readonly code: string;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** Both ways, not answered. */
export interface Cast {
  readonly t: 'cast';
  readonly method: string;
  readonly params: unknown;
}

/** `ping` asks for a `pong`; a `pong` unasked is allowed and means nothing. */
export interface Beat {
  readonly t: 'ping' | 'pong';
}

/** Last frame of a connection, both ways. */
export interface Bye {
  readonly t: 'bye';
  readonly reason: string;
}

export type PeerFrame = Hello | Welcome | Refuse | Call | Result | Failed | Cast | Beat | Bye;

const packr = new Packr({
  useRecords: false,
  variableMapSize: true,
  int64AsType: 'number',
  encodeUndefinedAsNil: true,
});

/** First byte of half a surrogate pair in UTF-8 (and of some whole characters and numbers). */
const MAYBE_HALF_PAIR = 0xed;

/**
 * One part of a message. The buffer is its own memory.
 * @throws INVALID_REQUEST when the frame holds what msgpack cannot say, or is longer than {@link MAX_MESSAGE_BYTES}
 */
export function encodePeerFrame(frame: PeerFrame): Buffer {
  let bytes: Buffer;
  try {
    bytes = packr.encode(frame);
    // A Python decoder ends on half a pair. Looking at bytes is cheap, looking at every string is not.
    if (bytes.includes(MAYBE_HALF_PAIR)) bytes = packr.encode(wellFormed(frame));
  } catch (error) {
    throw new TwinkleError('INVALID_REQUEST', `${nameOf(frame)} cannot be sent: ${String(error)}`, { cause: error });
  }
  if (bytes.length > MAX_MESSAGE_BYTES) {
    const limit = `at most ${MAX_MESSAGE_BYTES} bytes`;
    throw new TwinkleError('INVALID_REQUEST', `expected ${limit} for ${nameOf(frame)} but received ${bytes.length}`);
  }
  return bytes;
}

function nameOf(frame: PeerFrame): string {
  return frame.t === 'call' || frame.t === 'cast' ? `\`${frame.method}\`` : `a frame \`${frame.t}\``;
}

/** How every hello begins, after the byte that counts its keys. */
const HELLO_START = Buffer.from([0xa1, 0x74, 0xa5, ...Buffer.from('hello')]);

/** Whether the bytes may be a hello, without decoding them: strangers must not cost more than this. */
export function looksLikeHello(bytes: Buffer): boolean {
  return bytes.subarray(1, 1 + HELLO_START.length).equals(HELLO_START);
}

type Fields = Readonly<Record<string, unknown>>;
const isText = (value: unknown): boolean => typeof value === 'string';
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
const isMap = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);

const SHAPES: Readonly<Record<PeerFrame['t'], Readonly<Record<string, (value: unknown) => boolean>>>> = {
  hello: { protocol: isCount, role: isText, session: isText, pid: isCount, pid_start: isText },
  welcome: { protocol: isCount, head: isText },
  refuse: { code: isText, reason: isText },
  call: { id: isCount, method: isText },
  result: { id: isCount },
  error: { id: isCount, code: isText, message: isText, details: isMap },
  cast: { method: isText },
  ping: {},
  pong: {},
  bye: { reason: isText },
};

/** Decode one part. Throws `PROTOCOL` when it is no frame of this contract. */
export function decodePeerFrame(bytes: Uint8Array): PeerFrame {
  let frame: unknown;
  try {
    frame = packr.decode(bytes);
  } catch (error) {
    throw new TwinkleError('PROTOCOL', `a peer sent ${bytes.length} bytes that are no msgpack`, { cause: error });
  }
  if (!isMap(frame)) throw new TwinkleError('PROTOCOL', 'a peer sent a frame that is no map');
  const tag = frame.t;
  if (typeof tag !== 'string' || !Object.hasOwn(SHAPES, tag)) {
    throw new TwinkleError('PROTOCOL', 'a peer sent a frame whose tag `t` is none of this protocol');
  }
  const shape = SHAPES[tag as PeerFrame['t']];
  for (const field in shape) {
    if (shape[field]?.(frame[field]) === true) continue;
    throw new TwinkleError('PROTOCOL', `a peer sent a frame \`${tag}\` without a valid \`${field}\``);
  }
  return frame as unknown as PeerFrame;
}

/** A thrown value as it crosses: a {@link TwinkleError} as it is, anything else as INTERNAL. */
export function failedFrame(id: number, thrown: unknown): Failed {
  if (thrown instanceof TwinkleError) {
    return { t: 'error', id, code: thrown.code, message: thrown.message, details: thrown.details };
  }
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return { t: 'error', id, code: 'INTERNAL', message, details: {} };
}

/** The error that the other side reported; a code unknown here becomes INTERNAL. */
export function errorOf(code: string, message: string, details: Readonly<Record<string, unknown>> = {}): TwinkleError {
  return new TwinkleError(isErrorCode(code) ? code : 'INTERNAL', message, { details });
}
