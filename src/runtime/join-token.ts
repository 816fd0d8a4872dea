/**
 * The token by which a box joins a head: `tw1-` and, in base64url, the head's public CURVE key, the key pair of those who join, and a checksum,
 * so that a mistyped one is found before anybody is asked. Who has it may join and talk to the head; it cannot pass for the head.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { TwinkleError } from '../errors.js';
import type { PeerCurve } from '../transport/peer-dial.js';
import { decodeZ85, encodeZ85 } from '../transport/z85.js';

/** Environment variable that `start --address` reads when there is no `--token`. */
export const TOKEN_VARIABLE = 'TWINKLE_JOIN_TOKEN';

const PREFIX = 'tw1-';
const KEY_BYTES = 32;
const SUM_BYTES = 4;
const BYTES = 3 * KEY_BYTES + SUM_BYTES;
const LETTERS = Math.ceil((BYTES * 4) / 3);

/** @param keys Z85 */
export function writeToken({ serverKey, publicKey, secretKey }: PeerCurve): string {
  const keys = Buffer.concat([serverKey, publicKey, secretKey].map(decodeZ85));
  return PREFIX + Buffer.concat([keys, checksum(keys)]).toString('base64url');
}

/**
 * The keys in a token; spaces around it are nothing.
 * @throws `CONFIG_INVALID`, without the token in its words
 */
export function readToken(text: string): PeerCurve {
  const token = text.trim();
  if (!token.startsWith(PREFIX)) {
    const what = /^tw\d+-/.test(token) ? 'one of another version' : `something that does not begin with ${PREFIX}`;
    throw wrong(`expected a token of this version but received ${what}`);
  }
  const letters = token.slice(PREFIX.length);
  if (letters.length !== LETTERS || !/^[\w-]+$/.test(letters)) {
    const received = /^[\w-]*$/.test(letters) ? `${letters.length}` : 'others between them';
    throw wrong(`expected ${LETTERS} letters, digits, - and _ after ${PREFIX} but received ${received}`);
  }
  const bytes = Buffer.from(letters, 'base64url');
  const keys = bytes.subarray(0, -SUM_BYTES);
  if (!timingSafeEqual(checksum(keys), bytes.subarray(-SUM_BYTES))) throw wrong('a letter of it is wrong');
  const [serverKey, publicKey, secretKey] = [0, 1, 2].map((at) =>
    encodeZ85(keys.subarray(at * KEY_BYTES).subarray(0, KEY_BYTES)),
  );
  return { serverKey: serverKey as string, publicKey: publicKey as string, secretKey: secretKey as string };
}

/** The shell line that makes another box join. @param address `HOST:PORT` */
export function joinLine(address: string, token: string): string {
  return `npx twinkle-node start --address ${address} --token ${token}`;
}

function checksum(keys: Buffer): Buffer {
  return createHash('sha256').update(keys).digest().subarray(0, SUM_BYTES);
}

function wrong(why: string): TwinkleError {
  return new TwinkleError(
    'CONFIG_INVALID',
    `the token cannot be read: ${why}; copy the line that \`npx twinkle-node token\` prints on the box of the head`,
  );
}
