/**
 * Single keys of JSON arguments as vLLM takes them on a command line: `--compilation-config.mode 3`, `--x.list+ a,b`. Collects them into
 * one object for each argument. Pure.
 */
import { shortNumber } from '../util/short-number.js';

type Plain = { [key: string]: unknown };

/** Dotted flags of one command line. */
export class DottedArgs {
  readonly #objects = new Map<string, Plain>();

  /**
   * Note one.
   * @param name of the argument
   * @param path after the first dot; a `+` at its end: the value is a list with commas, which is appended
   */
  add(name: string, path: string, value: string): void {
    const list = path.endsWith('+');
    const keys = (list ? path.slice(0, -1) : path).split('.');
    const nested = keys.reduceRight<unknown>((inner, key) => ({ [key]: inner }), list ? value.split(',') : read(value));
    const object = this.#objects.get(name) ?? {};
    merge(object, nested as Plain);
    this.#objects.set(name, object);
  }

  /** Argument → its object. */
  entries(): IterableIterator<[string, object]> {
    return this.#objects.entries();
  }
}

function read(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    const number = shortNumber(text);
    return number === null || Number.isNaN(number) ? text : number;
  }
}

function merge(into: Plain, from: Plain): void {
  for (const [key, value] of Object.entries(from)) {
    const before = Object.hasOwn(into, key) ? into[key] : undefined;
    if (isPlain(before) && isPlain(value)) merge(before, value);
    else if (Array.isArray(before) && Array.isArray(value)) before.push(...value);
    // Not by assignment: a key named __proto__ would change the object's own kind.
    else Object.defineProperty(into, key, { value, enumerable: true, writable: true, configurable: true });
  }
}

function isPlain(value: unknown): value is Plain {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
