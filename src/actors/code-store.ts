/** Functions and classes that clients sent here once, for the workers of this node. */
import { createHash } from 'node:crypto';
import { TwinkleError } from '../errors.js';

const CAPACITY = 512 * 1024 * 1024;

export interface Code {
  readonly name: string;
  readonly blob: Buffer;
}

export class CodeStore {
  /** The one used the longest ago comes first. */
  readonly #code = new Map<string, Code>();
  readonly #capacity: number;
  #bytes = 0;

  /** @param capacity bytes of all of them: the one used the longest ago goes first; its owner has to send it again */
  constructor(capacity = CAPACITY) {
    this.#capacity = capacity;
  }

  /** Keep it; the last one is kept however large it is. Throws `INVALID_REQUEST` when the key is not that of the bytes. */
  put(key: string, name: string, blob: Buffer): void {
    const known = this.#code.get(key);
    if (known !== undefined) {
      this.#use(key, known);
      return;
    }
    const sum = createHash('sha256').update(blob).digest('hex').slice(0, key.length);
    if (key.length < 32 || sum !== key) {
      throw new TwinkleError('INVALID_REQUEST', `expected the SHA-256 of ${name} for \`key\` but received ${key}`);
    }
    this.#code.set(key, { name, blob: Buffer.from(blob) });
    this.#bytes += blob.byteLength;
    for (const [oldest, { blob: old }] of this.#code) {
      if (this.#bytes <= this.#capacity || oldest === key) break;
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
    this.#use(key, code);
    return code;
  }

  #use(key: string, code: Code): void {
    this.#code.delete(key);
    this.#code.set(key, code);
  }
}
