/** `--state`, `--filter` and `--limit`: which rows of a listing are shown. Pure. */
import { TwinkleError } from '../../errors.js';
import { nearest } from '../../util/did-you-mean.js';
import { compileFilter, type Shape } from './filter.js';

/** The flags as commander hands them over. */
export interface SelectionFlags {
  readonly state?: readonly string[];
  readonly filter?: readonly string[];
  readonly limit?: string;
}

/** Which rows are shown. */
export interface Selection {
  accepts(row: object): boolean;
  /** Rows at most; Infinity: all. */
  readonly limit: number;
}

/**
 * States are alternatives, filters must all hold.
 * @throws `USAGE` for a state that this listing does not have, a filter that is none, a limit that is no whole number from 1
 */
export function compileSelection(
  flags: SelectionFlags,
  listing: { readonly states: readonly string[]; readonly fields: Readonly<Record<string, Shape>> },
): Selection {
  const states = new Set((flags.state ?? []).map((word) => knownState(word, listing.states)));
  const conditions = (flags.filter ?? []).map((text) => compileFilter(text, listing.fields));
  return {
    accepts: (row) =>
      (states.size === 0 || states.has(String((row as { state?: unknown }).state))) &&
      conditions.every((condition) => condition(row)),
    limit: flags.limit === undefined ? Number.POSITIVE_INFINITY : wholeNumber(flags.limit),
  };
}

/** Large and small letters are alike: groups have large ones, nodes small ones. */
function knownState(word: string, states: readonly string[]): string {
  const found = states.find((state) => state.toLowerCase() === word.toLowerCase());
  if (found !== undefined) return found;
  const near = nearest(word, states);
  throw new TwinkleError(
    'USAGE',
    `expected one of ${states.join(', ')} for \`--state\` but received "${word}"${near === null ? '' : `; did you mean \`${near}\`?`}`,
  );
}

function wholeNumber(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new TwinkleError('USAGE', `expected a whole number from 1 for \`--limit\` but received "${text}"`);
}
