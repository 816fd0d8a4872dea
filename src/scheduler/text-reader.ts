/** Reads JSON values out of a longer text and knows the column of what is wrong. Knows nothing of bundles. Pure. */

/** Lists and objects inside each other. */
const DEEPEST = 16;

const TEXT = /"(?:[^"\\\p{Cc}]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/uy;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /true|false|null/y;
const BLANKS = /\s*/y;

/** A position in a text that moves on. */
export class TextReader {
  /** Of the next character. */
  at = 0;

  /** @param complain makes the error to throw: what was expected, where (from 0), and what stands there */
  constructor(
    readonly text: string,
    readonly complain: (what: string, at: number, found: string) => Error,
  ) {}

  error(what: string, at = this.at): Error {
    const rest = this.text.slice(at, at + 20);
    return this.complain(what, at, rest === '' ? 'it ends' : `there is ${JSON.stringify(rest)}`);
  }

  blanks(): void {
    this.take(BLANKS);
  }

  /** Blanks and this character, if it is next. */
  skip(character: string): boolean {
    this.blanks();
    if (this.text[this.at] !== character) return false;
    this.at++;
    return true;
  }

  atEnd(): boolean {
    this.blanks();
    return this.at === this.text.length;
  }

  /** What a sticky pattern matches here, or null. */
  take(pattern: RegExp): string | null {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0] ?? null;
    this.at += found?.length ?? 0;
    return found;
  }

  /** A whole number, also a negative one. */
  integer(): number | null {
    this.blanks();
    const digits = this.take(/-?\d+/y);
    return digits === null ? null : Number(digits);
  }

  /** A list with its brackets. */
  list(depth = 1): unknown[] {
    if (!this.skip('[')) throw this.error('a list in brackets');
    const items: unknown[] = [];
    if (this.skip(']')) return items;
    do items.push(this.#value(depth));
    while (this.skip(','));
    if (!this.skip(']')) throw this.error(', or ] to close the list');
    return items;
  }

  #value(depth: number): unknown {
    if (depth >= DEEPEST) throw this.error(`at most ${DEEPEST} levels`);
    this.blanks();
    const next = this.text[this.at];
    if (next === '[') return this.list(depth + 1);
    if (next === '{') return this.#object(depth + 1);
    const found = this.take(TEXT) ?? this.take(NUMBER) ?? this.take(WORD);
    if (found === null) throw this.error(next === "'" ? 'JSON with double quotes' : 'a JSON value');
    return JSON.parse(found);
  }

  #object(depth: number): Record<string, unknown> {
    const entries = new Map<string, unknown>();
    this.skip('{');
    if (this.skip('}')) return {};
    do {
      this.blanks();
      const start = this.at;
      const name = this.take(TEXT);
      if (name === null) throw this.error('a name in double quotes');
      const key = JSON.parse(name) as string;
      if (entries.has(key)) throw this.error('a name that is not there yet', start);
      if (!this.skip(':')) throw this.error(': after the name');
      entries.set(key, this.#value(depth));
    } while (this.skip(','));
    if (!this.skip('}')) throw this.error(', or } to close the object');
    return Object.fromEntries(entries);
  }
}
