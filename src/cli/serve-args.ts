/**
 * Sorts the words after `serve` or `launch` before commander sees them: flags of the command (in either spelling, `-tp` written out) stay,
 * engine arguments are taken out, anything else is refused with what was probably meant. `--` changes nothing.
 * Values are split as vLLM's own command line does: how many follow is a matter of the argument's kind.
 */

import type { WrittenEngineArg } from '../config/compile.js';
import { isOptionKey, kebabCase, OPTION_KEYS, optionSpec } from '../config/options.js';
import { allEngineArgNames, type EngineArgSpec, findEngineArg } from '../engines/args.js';
import { TwinkleError } from '../errors.js';
import { didYouMean } from '../util/did-you-mean.js';
import { DottedArgs } from './dotted-args.js';

/** Flags of the command itself, beside the options: name → whether a value follows. */
export const COMMAND_FLAGS: Readonly<Record<string, boolean>> = {
  config: true,
  namespace: true,
  nodes: true,
  'dry-run': false,
  json: false,
  help: false,
};

const SHORT: ReadonlyMap<string, string> = new Map([
  ['-c', 'config'],
  ...OPTION_KEYS.flatMap((key) => {
    const { short } = optionSpec(key);
    return short === undefined ? [] : [[`-${short}`, key] as const];
  }),
]);

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
  const dotted = new DottedArgs();
  for (let i = 0; i < args.length; i++) {
    const word = longForm(args[i] as string);
    if (word === '--') continue;
    if (!word.startsWith('--')) {
      words.push(word);
      continue;
    }
    const { key, path, inline } = parseFlag(word);
    const takesValue = isOptionKey(key) ? optionSpec(key).arg !== null : COMMAND_FLAGS[key];
    if (takesValue !== undefined && path === null) {
      words.push(inline === null ? `--${key}` : `--${key}=${inline}`);
      const next = args[i + 1];
      // A value that begins with two dashes would be another flag: commander says that the value is missing.
      if (takesValue && inline === null && next !== undefined && !next.startsWith('--')) {
        words.push(next);
        i++;
      }
      continue;
    }
    const arg = knownArg(word, key, path);
    if (path !== null) {
      dotted.add(arg.name, path, inline ?? oneValue(arg, args[i + 1]));
      if (inline === null) i++;
      continue;
    }
    const { value, used } = arg.negative ? { value: false, used: 0 } : readValue(arg, inline, args.slice(i + 1));
    engineArgs.push({ name: arg.name, value, where: arg.where });
    i += used;
  }
  for (const [name, value] of dotted.entries()) engineArgs.push({ name, value, where: `--${name}` });
  return { words, engineArgs };
}

/** `-tp4`, `-cc.mode`, `-O3` → `--tensor-parallel-size=4`, `--compilation-config.mode`, `--optimization-level=3`. */
function longForm(word: string): string {
  const [, short = '', rest = ''] = /^(-[A-Za-z]+)(|[=.].*|\d+)$/.exec(word) ?? [];
  const long = SHORT.get(short) ?? (short === '' ? undefined : findEngineArg(short)?.name.replaceAll('_', '-'));
  if (long === undefined) return word;
  return `--${long}${/^\d/.test(rest) ? '=' : ''}${rest}`;
}

function parseFlag(word: string): { key: string; path: string | null; inline: string | null } {
  const equals = word.indexOf('=');
  const name = equals < 0 ? word : word.slice(0, equals);
  const dot = name.indexOf('.');
  return {
    key: kebabCase(name.slice(2, dot < 0 ? undefined : dot)),
    path: dot < 0 ? null : name.slice(dot + 1),
    inline: equals < 0 ? null : word.slice(equals + 1),
  };
}

/** An engine argument on the command line. */
interface KnownArg {
  /** Kebab case. */
  readonly name: string;
  readonly spec: EngineArgSpec;
  readonly where: string;
  /** It was written with `--no-`. */
  readonly negative: boolean;
}

function knownArg(word: string, key: string, path: string | null): KnownArg {
  const where = `--${key}`;
  const found = findEngineArg(key);
  if (found !== null && (path === null || (found.spec.kind === 'json' && path !== ''))) {
    return { name: found.name.replaceAll('_', '-'), spec: found.spec, where, negative: false };
  }
  const positive = key.startsWith('no-') && !word.includes('=') ? findEngineArg(key.slice(3)) : null;
  if (positive?.spec.kind === 'boolean' && positive.spec.onlyTrue !== true && path === null) {
    return { name: key.slice(3), spec: positive.spec, where, negative: true };
  }
  const flag = word.split('=')[0];
  if (found !== null) {
    throw new TwinkleError(
      'USAGE',
      `\`${flag}\`: \`${where}\` takes no keys after a dot, because it is no JSON object`,
    );
  }
  const known = [...OPTION_KEYS, ...Object.keys(COMMAND_FLAGS), ...allEngineArgNames()].map((name) => `--${name}`);
  throw new TwinkleError('USAGE', `unknown flag \`${flag}\`${didYouMean(where, known)}`);
}

/** @returns the value, and how many of `rest` it took */
function readValue(arg: KnownArg, inline: string | null, rest: readonly string[]): { value: unknown; used: number } {
  const { kind, bare } = arg.spec;
  if (inline !== null) return { value: kind === 'list' ? [inline] : inline, used: 0 };
  const next = rest[0];
  if (kind === 'boolean') {
    const said = next === 'true' || next === 'false';
    return said ? { value: next === 'true', used: 1 } : { value: true, used: 0 };
  }
  if (bare === true && (next === undefined || next.startsWith('-'))) return { value: true, used: 0 };
  const value = oneValue(arg, next);
  if (kind !== 'list') return { value, used: 1 };
  const end = rest.findIndex((word, at) => at > 0 && word.startsWith('-'));
  const values = rest.slice(0, end < 0 ? undefined : end);
  return { value: values, used: values.length };
}

function oneValue({ where, spec }: KnownArg, next: string | undefined): string {
  if (next !== undefined && !next.startsWith('--')) return next;
  throw new TwinkleError('USAGE', `expected a value after \`${where}\` (${spec.help.toLowerCase()})`);
}
