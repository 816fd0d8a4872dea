/**
 * Sorts the words after `serve` before commander sees them: flags of `serve` (in either spelling, `-tp` written out) stay,
 * engine arguments are taken out, anything else is refused with what was probably meant. `--` changes nothing.
 */

import type { WrittenEngineArg } from '../config/compile.js';
import { isOptionKey, kebabCase, OPTION_KEYS, optionSpec } from '../config/options.js';
import { allEngineArgNames, findEngineArg } from '../engines/args.js';
import { TwinkleError } from '../errors.js';
import { didYouMean } from '../util/did-you-mean.js';

/** Flags of the command itself, beside the options: name → whether a value follows. */
export const COMMAND_FLAGS: Readonly<Record<string, boolean>> = {
  config: true,
  nodes: true,
  'dry-run': false,
  json: false,
  help: false,
};

const SHORT = new Map(
  OPTION_KEYS.flatMap((key) => {
    const { short } = optionSpec(key);
    return short === undefined ? [] : [[short, key] as const];
  }),
);

/** The sorted words. */
export interface ServeWords {
  /** For commander. */
  readonly words: readonly string[];
  readonly engineArgs: readonly WrittenEngineArg[];
}

/** @throws `USAGE` for an unknown flag or an engine argument without its value */
export function splitServeArgs(args: readonly string[]): ServeWords {
  const words: string[] = [];
  const engineArgs: WrittenEngineArg[] = [];
  for (let i = 0; i < args.length; i++) {
    const word = args[i] as string;
    if (word === '--') continue;
    const short = /^-([a-z]{2})(?:=?(\d+))?$/.exec(word);
    const long = short === null ? undefined : SHORT.get(short[1] ?? '');
    if (long !== undefined) {
      words.push(`--${long}`);
      if (short?.[2] !== undefined) words.push(short[2]);
      continue;
    }
    if (!word.startsWith('--')) {
      words.push(word);
      continue;
    }
    const { key, inline } = parseFlag(word);
    const takesValue = isOptionKey(key) ? optionSpec(key).arg !== null : COMMAND_FLAGS[key];
    if (takesValue !== undefined) {
      words.push(inline === null ? `--${key}` : `--${key}=${inline}`);
      const next = args[i + 1];
      // A value that begins with two dashes would be another flag: commander says that the value is missing.
      if (takesValue && inline === null && next !== undefined && !next.startsWith('--')) {
        words.push(next);
        i++;
      }
      continue;
    }
    const taken = engineArg(word, key, inline, args[i + 1]);
    engineArgs.push(taken.arg);
    if (taken.usedNext) i++;
  }
  return { words, engineArgs };
}

function parseFlag(word: string): { key: string; inline: string | null } {
  const equals = word.indexOf('=');
  const name = equals < 0 ? word : word.slice(0, equals);
  return { key: kebabCase(name.slice(2)), inline: equals < 0 ? null : word.slice(equals + 1) };
}

function engineArg(
  word: string,
  key: string,
  inline: string | null,
  next: string | undefined,
): { arg: WrittenEngineArg; usedNext: boolean } {
  const where = `--${key}`;
  const spec = findEngineArg(key);
  if (spec === null) {
    const positive = key.startsWith('no-') ? findEngineArg(key.slice(3)) : null;
    if (positive?.kind === 'boolean' && inline === null) {
      return { arg: { name: key.slice(3), value: false, where }, usedNext: false };
    }
    const known = [...OPTION_KEYS, ...Object.keys(COMMAND_FLAGS), ...allEngineArgNames()].map((name) => `--${name}`);
    throw new TwinkleError('USAGE', `unknown flag \`${word.split('=')[0]}\`${didYouMean(where, known)}`);
  }
  if (inline !== null) return { arg: { name: key, value: inline, where }, usedNext: false };
  if (spec.kind === 'boolean') {
    const said = next === 'true' || next === 'false';
    return { arg: { name: key, value: said ? next === 'true' : true, where }, usedNext: said };
  }
  if (next === undefined || next.startsWith('--')) {
    throw new TwinkleError('USAGE', `expected a value after \`${where}\` (${spec.help.toLowerCase()})`);
  }
  return { arg: { name: key, value: next, where }, usedNext: true };
}
