/** Functions and classes that clients sent here once, for the workers of this node. */
import { createHash } from 'node:crypto';
import { TwinkleError } from '../errors.js';

/** Bytes of all of them: what was used the longest ago goes first; its owner sends it again when it is asked to. */
const CAPACITY = 512 * 1024 * 1024;

export interface Code {
  readonly name: string;
  readonly blob: Buffer;
}

export class CodeStore {
  readonly #code = new Map<string, Code>();
  #bytes = 0;

  /** Keep it. Throws `INVALID_REQUEST` when the key is not that of the bytes. */
  put(key: string, name: string, blob: Buffer): void {
    if (this.#code.has(key)) return;
    const sum = createHash('sha256').update(blob).digest('hex').slice(0, key.length);
    if (key.length < 32 || sum !== key) {
      throw new TwinkleError('INVALID_REQUEST', `expected the SHA-256 of ${name} for \`key\` but received ${key}`);
    }
    this.#code.set(key, { name, blob: Buffer.from(blob) });
    this.#bytes += blob.byteLength;
    for (const [oldest, { blob: old }] of this.#code) {
      if (this.#bytes <= CAPACITY || oldest === key) break;
      this.#code.delete(oldest);
      this.#bytes -= old.byteLength;
    }
  }

  /** Throws `OBJECT_LOST` when it is not here (any more). */
  get(key: string): Code {
    const code = this.#code.get(key);
    if (code === undefined) {
      throw new TwinkleError('OBJECT_LOST', `the function or class ${key} is not known here; export it again`);
    }
    this.#code.delete(key);
    this.#code.set(key, code); // used last
    return code;
  }
}
