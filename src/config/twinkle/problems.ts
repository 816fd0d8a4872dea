/** What is wrong in a file, all of it at once: whoever mends it need not run the check again for each. */
import { TwinkleError } from '../../errors.js';
import { located, type Origin } from '../settings.js';

export class Problems {
  readonly #found: { readonly text: string; readonly at: string }[] = [];
  readonly #warnings: string[] = [];

  /** @param what a sentence about the value of that origin */
  add(origin: Origin, what: string): void {
    const name = origin.name === '' ? '' : `\`${origin.name}\`: `;
    this.#push(origin.at ?? '', `${located(origin)}${name}${what}`);
  }

  /** What a reader of a single value threw. Anything but `CONFIG_INVALID` and `USAGE` is thrown on. */
  take(error: unknown, origin: Origin): void {
    if (!(error instanceof TwinkleError) || !['CONFIG_INVALID', 'USAGE'].includes(error.code)) throw error;
    const placed = /^(\S+:\d+:\d+): /.exec(error.message);
    const at = placed?.[1] ?? origin.at ?? '';
    this.#push(at, placed === null ? `${located(origin)}${error.message}` : error.message);
  }

  /** What goes on nevertheless. The same sentence is said once, at its first place. */
  warn(origin: Origin, what: string): void {
    if (!this.#warnings.some((warning) => warning.endsWith(what))) this.#warnings.push(`${located(origin)}${what}`);
  }

  /** What several applications have from one place is said once. */
  #push(at: string, text: string): void {
    if (!this.#found.some((known) => known.text === text)) this.#found.push({ at, text });
  }

  get warnings(): readonly string[] {
    return this.#warnings;
  }

  /** @throws `CONFIG_INVALID` with a line for each, in the order of the file */
  throwIfAny(): void {
    if (this.#found.length === 0) return;
    const sorted = this.#found.toSorted((a, b) => lineOf(a.at) - lineOf(b.at));
    const lines = sorted.map(({ text }) => text);
    const message = lines.length === 1 ? lines.join() : `${lines.length} mistakes:\n${lines.join('\n')}\n`;
    throw new TwinkleError('CONFIG_INVALID', message);
  }
}

/** `server.yaml:12:3` → 12.003: lines, and columns within. */
function lineOf(at: string): number {
  const [, line = '0', column = '0'] = /:(\d+):(\d+)$/.exec(at) ?? [];
  return Number(line) + Number(column) / 1000;
}
