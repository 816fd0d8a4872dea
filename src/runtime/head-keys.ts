/**
 * CURVE keys of a head that listens for other boxes, in `<home>/head/keys.json`: made once, so that a restarted head is the one that its agents
 * know, and that a token holds for as long as the file is there.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { curveKeyPair } from 'zeromq';
import { TwinkleError } from '../errors.js';
import type { PeerCurve } from '../transport/peer-dial.js';
import { decodeZ85 } from '../transport/z85.js';

/** Z85. */
export interface KeyPair {
  readonly publicKey: string;
  readonly secretKey: string;
}

export interface HeadKeys {
  readonly server: KeyPair;
  /** Of everybody who joins. */
  readonly join: KeyPair;
}

const KEY_BYTES = 32;

/**
 * The keys of that folder; made when there are none.
 * @param folder `<home>/head`, 0700
 * @throws `CONFIG_INVALID` for a damaged file
 */
export function headKeys(folder: string): HeadKeys {
  const path = keysPath(folder);
  if (existsSync(path)) return readKeys(path);
  const keys: HeadKeys = { server: curveKeyPair(), join: curveKeyPair() };
  const draft = `${path}.${process.pid}.draft`;
  writeFileSync(draft, `${JSON.stringify(keys, null, 2)}\n`, { mode: 0o600 });
  renameSync(draft, path);
  return keys;
}

/** The keys of that folder; null: it has none. Throws `CONFIG_INVALID` for a damaged file. */
export function knownHeadKeys(folder: string): HeadKeys | null {
  const path = keysPath(folder);
  return existsSync(path) ? readKeys(path) : null;
}

/** What a box needs to join. */
export function joinKeys({ server, join: pair }: HeadKeys): PeerCurve {
  return { serverKey: server.publicKey, ...pair };
}

function keysPath(folder: string): string {
  return join(folder, 'keys.json');
}

function readKeys(path: string): HeadKeys {
  try {
    const { server, join: pair } = (JSON.parse(readFileSync(path, 'utf8')) ?? {}) as Partial<HeadKeys>;
    return { server: checked('server', server), join: checked('join', pair) };
  } catch (error) {
    const why = error instanceof SyntaxError ? 'it is no JSON' : error instanceof Error ? error.message : String(error);
    throw new TwinkleError(
      'CONFIG_INVALID',
      `${path} has no keys that can be read (${why}): put a copy of it back, or remove it and start the head again; agents then join with a new token`,
      { cause: error },
    );
  }
}

function checked(name: keyof HeadKeys, pair: Partial<KeyPair> | undefined): KeyPair {
  const { publicKey, secretKey } = pair ?? {};
  if (!isKey(publicKey) || !isKey(secretKey)) throw new Error(`\`${name}\` has no two keys in Z85`);
  return { publicKey, secretKey };
}

function isKey(text: unknown): text is string {
  try {
    return typeof text === 'string' && decodeZ85(text).length === KEY_BYTES;
  } catch {
    return false;
  }
}
