/** msgpack as both languages read it: maps for objects, no record extension, integers beyond 2^53 as the nearest double. */
import { Packr } from 'msgpackr';
import { TwinkleError } from '../errors.js';
import type { FromRank, ToRank } from '../protocol/frames.js';
import { wellFormed } from './well-formed.js';

const packr = new Packr({ useRecords: false, variableMapSize: true, int64AsType: 'number' });

/**
 * Encode a frame. The buffer is its own memory, so it may outlive the call.
 * @throws INVALID_REQUEST when the parameters hold what msgpack cannot say: an integer beyond 64 bits, a symbol, a cycle
 */
export function encodeFrame(frame: ToRank | FromRank): Buffer {
  try {
    // Only these two carry what a client wrote.
    const text = frame.t === 'open' || frame.t === 'call' ? { ...frame, params: wellFormed(frame.params) } : frame;
    return packr.encode(text);
  } catch (error) {
    throw new TwinkleError('INVALID_REQUEST', `the request cannot be sent to a rank: ${String(error)}`, {
      cause: error,
    });
  }
}

/** Decode a frame of a rank. Throws `PROTOCOL` when it is no map with a tag; fields are checked where they are used. */
export function decodeFrame(bytes: Uint8Array): FromRank {
  let frame: unknown;
  try {
    frame = packr.decode(bytes);
  } catch (error) {
    throw new TwinkleError('PROTOCOL', `a rank sent ${bytes.length} bytes that are no msgpack`, { cause: error });
  }
  if (typeof frame !== 'object' || frame === null || typeof (frame as { t?: unknown }).t !== 'string') {
    throw new TwinkleError('PROTOCOL', 'a rank sent a frame without a tag `t`');
  }
  return frame as FromRank;
}
