/**
 * Who may ask: the keys in use, and the key that is generated when a server beyond this machine was given none.
 * Keys leave this file only as hashes, but for the one that must be shown once.
 */
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, linkSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { TwinkleError } from '../errors.js';
import { makeHomeFolder } from './home-folder.js';
import { invalid, type Settings } from './settings.js';
import type { AuthConfig } from './types.js';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const KEY_BYTES = 32;
/** Base-62 digits of 256 bits. */
const KEY_DIGITS = 43;

/** The compiled access rule and what the user should hear. */
export interface AuthResult {
  readonly auth: AuthConfig;
  readonly warnings: readonly string[];
}

/** What {@link compileAuth} needs beside the settings. */
export interface AuthOptions {
  /** Whether only this machine can connect. */
  readonly local: boolean;
  /** Folder for the generated key. */
  readonly home: string;
  /** False on a dry run: no key is made. */
  readonly mayWrite: boolean;
}

/**
 * The access rule: keys when some are configured; else `anonymous` on this machine, and a generated key beyond it.
 * @throws `CONFIG_INVALID` for a malformed key, for keys together with `--no-auth`, or when the key file cannot be kept
 */
export function compileAuth(settings: Settings, options: AuthOptions): AuthResult {
  const keys = settings.list('api-key');
  const written = settings.written('api-key');
  if (settings.on('no-auth')) {
    if (written !== null) {
      throw new TwinkleError(
        'CONFIG_INVALID',
        `expected either \`${settings.origin('no-auth').name}\` or \`${written.origin.name}\` but both are set; leave one out`,
      );
    }
    return { auth: { mode: 'off', keyHashes: [], generatedKey: null }, warnings: [] };
  }
  if (keys !== null && written !== null) {
    if (!keys.every((key) => /^[\x21-\x7e]+$/.test(key))) {
      throw invalid(written, 'keys of printable ASCII without spaces', true);
    }
    return { auth: keyed(keys), warnings: [] };
  }
  if (options.local) return { auth: { mode: 'anonymous', keyHashes: [], generatedKey: null }, warnings: [] };
  if (!options.mayWrite) return { auth: { mode: 'keys', keyHashes: [], generatedKey: null }, warnings: [] };
  return storedKey(join(options.home, 'api-key'));
}

/** SHA-256 of a key, hex: the form in which keys are kept and compared. */
export function hashKey(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

/** A fresh key: `tml-` and 32 random bytes in base 62 (43 digits). */
export function generateKey(): string {
  let number = BigInt(`0x${randomBytes(KEY_BYTES).toString('hex')}`);
  let digits = '';
  for (let i = 0; i < KEY_DIGITS; i++) {
    digits = ALPHABET[Number(number % 62n)] + digits;
    number /= 62n;
  }
  return `tml-${digits}`;
}

function keyed(keys: readonly string[], generatedKey: string | null = null): AuthConfig {
  return { mode: 'keys', keyHashes: [...new Set(keys.map(hashKey))], generatedKey };
}

/** The key of an earlier start, or a new one; two starts at once end with the same key. */
function storedKey(path: string): AuthResult {
  try {
    const found = readKey(path);
    if (found !== null) return found;
    const key = generateKey();
    createWhole(path, `${key}\n`);
    return { auth: keyed([key], key), warnings: [] };
  } catch (error) {
    const found = (error as NodeJS.ErrnoException).code === 'EEXIST' ? readKey(path) : null;
    if (found !== null) return found;
    if (error instanceof TwinkleError) throw error;
    throw new TwinkleError(
      'CONFIG_INVALID',
      `cannot keep the generated API key in ${path} (${error instanceof Error ? error.message : String(error)}); ` +
        'set TWINKLE_API_KEY, or make that folder writable',
      { cause: error },
    );
  }
}

/** Create a private file that nobody ever sees half written. Throws EEXIST when it is there already. */
function createWhole(path: string, text: string): void {
  makeHomeFolder(dirname(path));
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, text, { mode: 0o600 });
  try {
    linkSync(draft, path);
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Nothing can be there: making the folder will say why. */
const NOWHERE: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'ERR_INVALID_ARG_VALUE']);

function readKey(path: string): AuthResult | null {
  let text: string;
  try {
    text = readFileSync(path, 'utf8').trim();
  } catch (error) {
    if (NOWHERE.has(String((error as NodeJS.ErrnoException).code))) return null;
    throw error;
  }
  if (!/^[\x21-\x7e]+$/.test(text)) {
    throw new TwinkleError(
      'CONFIG_INVALID',
      `expected one API key in ${path} but found something else; delete the file to get a new key`,
    );
  }
  const open = (statSync(path).mode & 0o077) !== 0;
  if (open) chmodSync(path, 0o600);
  return {
    auth: keyed([text]),
    warnings: open
      ? [`${path} could be read by other users and is private (0600) now; delete it to get a new key`]
      : [],
  };
}
