/** A YAML document as a tree in which every value knows where it was written. Parsing only: what the values mean is others' business. */
import type { Alias, Document, Node, Pair } from 'yaml';
import { TwinkleError } from '../errors.js';
import type { Origin } from './settings.js';

export type Scalar = string | number | boolean | null;

/** A value, and where it comes from: the place of its key where there is one, because a value may begin lines later. */
export interface Located {
  readonly origin: Origin;
  readonly value: Scalar | readonly Located[] | LocatedMap;
}

export type LocatedMap = ReadonlyMap<string, Located>;

/** Values of a document, those of its aliases each time counted: no file that a person wrote has more. */
export const MOST_VALUES = 100_000;

/**
 * Parse one document. Aliases and merge keys (`<<`) are followed.
 * @param path as messages name the file
 * @returns null: there is nothing in it
 * @throws `CONFIG_INVALID` with `file:line:column`
 */
export async function parseYaml(text: string, path: string): Promise<Located | null> {
  const yaml = await import('yaml');
  const lines = new yaml.LineCounter();
  const document = yaml.parseDocument(text, { lineCounter: lines, prettyErrors: false, merge: true });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${path}:${line}:${col}`;
  };
  const first = document.errors[0];
  if (first !== undefined) throw new TwinkleError('CONFIG_INVALID', `${at(first.pos[0])}: ${first.message}`);
  const { contents } = document;
  return contents === null ? null : new Reader(yaml, document, at).read(contents, contents, '', 0);
}

/** What a tree is without its places. */
export function plain({ value }: Located): unknown {
  if (isItems(value)) return value.map(plain);
  return isMap(value) ? Object.fromEntries([...value].map(([key, item]) => [key, plain(item)])) : value;
}

/** The value at that path; null: there is none. */
export function inside(located: Located, path: readonly (string | number)[]): Located | null {
  let found: Located | undefined = located;
  for (const step of path) {
    const value: Located['value'] | undefined = found?.value;
    if (isItems(value)) found = typeof step === 'number' ? value[step] : undefined;
    else found = isMap(value) ? value.get(String(step)) : undefined;
  }
  return found ?? null;
}

/** What was written there, or the whole where nothing was: for messages about either. */
export function entry(located: Located, key: string): Located {
  const found = isMap(located.value) ? located.value.get(key) : undefined;
  return found === undefined || found.origin.source === 'default' ? located : found;
}

export function isItems(value: unknown): value is readonly Located[] {
  return Array.isArray(value);
}

export function isMap(value: unknown): value is LocatedMap {
  return value instanceof Map;
}

class Reader {
  #count = 0;

  constructor(
    private readonly yaml: typeof import('yaml'),
    private readonly document: Document.Parsed,
    private readonly at: (offset: number) => string,
  ) {}

  /** @param place the node whose begin is shown as that of the value */
  read(node: unknown, place: unknown, name: string, depth: number): Located {
    const { isAlias, isMap, isScalar, isSeq } = this.yaml;
    const origin: Origin = { source: 'yaml', name, at: this.#place(place) };
    this.#count += 1;
    if (this.#count > MOST_VALUES || depth > 100) {
      throw new TwinkleError(
        'CONFIG_INVALID',
        `${origin.at}: the file says more than ${MOST_VALUES} values, or in circles`,
      );
    }
    if (isAlias(node)) return this.read(this.#target(node), place, name, depth + 1);
    if (isMap(node)) return { origin, value: this.#map(node.items, name, depth) };
    if (isSeq(node)) {
      const items = node.items.map((item, index) => this.read(item, item, `${name}[${index}]`, depth + 1));
      return { origin, value: items };
    }
    return { origin, value: isScalar(node) ? scalarOf(node.value) : null };
  }

  #map(pairs: readonly Pair<unknown, unknown>[], name: string, depth: number): Map<string, Located> {
    const own = new Map<string, Located>();
    const merged: Located[] = [];
    for (const { key, value } of pairs) {
      const said = this.yaml.isScalar(key) ? key.value : null;
      if (said === '<<' || (typeof said === 'symbol' && said.description === '<<')) {
        merged.push(this.read(value, key, name, depth + 1));
      } else if (typeof said === 'string' || typeof said === 'number') {
        own.set(String(said), this.read(value, key, name === '' ? String(said) : `${name}.${said}`, depth + 1));
      } else {
        throw new TwinkleError('CONFIG_INVALID', `${this.#place(key)}: expected a name before the colon`);
      }
    }
    for (const { value, origin } of merged) {
      for (const one of isItems(value) ? value.map((item) => item.value) : [value]) {
        if (!isMap(one))
          throw new TwinkleError('CONFIG_INVALID', `${origin.at}: expected a mapping to merge by \`<<\``);
        for (const [key, item] of one) if (!own.has(key)) own.set(key, item);
      }
    }
    return own;
  }

  #target(alias: Alias): Node {
    const target = alias.resolve(this.document);
    if (target === undefined)
      throw new TwinkleError('CONFIG_INVALID', `${this.#place(alias)}: no \`&${alias.source}\``);
    return target;
  }

  #place(node: unknown): string {
    return this.at((node as { range?: readonly number[] | null } | null)?.range?.[0] ?? 0);
  }
}

function scalarOf(value: unknown): Scalar {
  if (value === null || ['string', 'number', 'boolean'].includes(typeof value)) return value as Scalar;
  return String(value);
}
