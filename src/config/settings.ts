/**
 * Merges what was written in four places (flag or option > environment > YAML > default), remembers where each value came from,
 * and reads each by its kind. Knows single values only; relations between them are `compile.ts`'.
 */
import { TwinkleError } from '../errors.js';
import { environmentName, OPTION_KEYS, type OptionKey, optionSpec } from './options.js';
import { parseBytes, parseNumber, parseTokens } from './quantity.js';

/** Where a value came from. */
export interface Origin {
  readonly source: 'flag' | 'option' | 'env' | 'yaml' | 'default' | 'derived';
  /** As messages name it: `--port`, `TWINKLE_PORT`, `port`. */
  readonly name: string;
  /** `serve.yaml:3:7` for values of a file, else null. */
  readonly at: string | null;
}

/** A value as written. */
export interface Written {
  readonly value: unknown;
  readonly origin: Origin;
}

/** Values of one place, by key. */
export type Layer = ReadonlyMap<OptionKey, Written>;

/** Values from `TWINKLE_*`; an empty variable counts as not set. */
export function environmentLayer(env: Readonly<Record<string, string | undefined>>): Layer {
  const layer = new Map<OptionKey, Written>();
  for (const key of OPTION_KEYS) {
    for (const name of [environmentName(key), ...(optionSpec(key).env ?? [])]) {
      const value = env[name];
      if (value === undefined || value === '') continue;
      layer.set(key, { value, origin: { source: 'env', name, at: null } });
      break;
    }
  }
  return layer;
}

/** Typed access to the merged values. Every reader throws `USAGE` (flags) or `CONFIG_INVALID` for a wrong value. */
export class Settings {
  readonly #layers: readonly Layer[];

  /** @param layers strongest first */
  constructor(layers: readonly Layer[]) {
    this.#layers = layers;
  }

  /** The strongest value as written, or null when only the default is left. A switch that is off counts as not written. */
  written(key: OptionKey): Written | null {
    for (const layer of this.#layers) {
      const found = layer.get(key);
      if (found !== undefined) return found;
    }
    return null;
  }

  /** Where the value in use comes from. */
  origin(key: OptionKey): Origin {
    return this.written(key)?.origin ?? { source: 'default', name: `--${key}`, at: null };
  }

  /** Text, or null when neither written nor defaulted. */
  text(key: OptionKey): string | null {
    const written = this.written(key);
    if (written === null) return textDefault(key);
    const { value } = written;
    if (typeof value === 'number') return String(value);
    if (Array.isArray(value) && value.length > 0 && value.every((item) => ['string', 'number'].includes(typeof item))) {
      return value.join(',');
    }
    if (typeof value !== 'string' || value === '') throw invalid(written, 'text');
    return value;
  }

  /** One of the option's choices. */
  choice(key: OptionKey): string {
    const { choices = [], aliases } = optionSpec(key);
    const text = this.text(key) ?? '';
    const lower = text.toLowerCase();
    const word = aliases === undefined ? text : Object.hasOwn(aliases, lower) ? (aliases[lower] as string) : lower;
    const written = this.written(key);
    if (written !== null && !choices.includes(word)) throw invalid(written, `one of ${choices.join(', ')}`);
    return word;
  }

  /** A repeatable option; from the environment, separated by commas. Null when not written. */
  list(key: OptionKey): readonly string[] | null {
    const written = this.written(key);
    if (written === null) return null;
    const { value, origin } = written;
    const items =
      typeof value === 'string' && origin.source === 'env' ? value.split(',').map((item) => item.trim()) : value;
    const list = Array.isArray(items) ? items : [items];
    if (list.length === 0 || !list.every((item) => typeof item === 'string' && item !== '')) {
      throw invalid(written, 'one or more non-empty texts', key === 'api-key');
    }
    return list as string[];
  }

  /** A switch. */
  on(key: OptionKey): boolean {
    const written = this.written(key);
    if (written === null) return false;
    const text = String(written.value).toLowerCase();
    if (['true', '1', 'yes', 'on'].includes(text)) return true;
    if (['false', '0', 'no', 'off'].includes(text)) return false;
    throw invalid(written, 'true or false');
  }

  /** A plain object; JSON text is parsed. Null when not written. */
  object(key: OptionKey): Readonly<Record<string, unknown>> | null {
    const written = this.written(key);
    if (written === null) return null;
    const value = typeof written.value === 'string' ? parseJson(written.value) : written.value;
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
    throw invalid(written, 'an object (as JSON text in a flag or variable)');
  }

  /** A number by its kind, or null when neither written nor defaulted. `seconds` come back as ms. */
  number(key: OptionKey): number | null {
    const spec = optionSpec(key);
    const written = this.written(key);
    if (written === null && spec.default === null) return null;
    const raw = written === null ? spec.default : written.value;
    const number = typeof raw === 'number' ? raw : typeof raw === 'string' ? parse(spec.kind, raw) : null;
    const { min = 0, max = Number.MAX_SAFE_INTEGER } = spec;
    const fractional = spec.kind === 'seconds' || spec.kind === 'number';
    // Written so that NaN is wrong too.
    const wrong =
      number === null || (!fractional && !Number.isSafeInteger(number)) || !(number >= min && number <= max);
    if (!wrong) return spec.kind === 'seconds' ? Math.round(number * 1000) : number;
    throw invalid(written as Written, expectedNumber(spec.kind, min, spec.max));
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function parse(kind: string, text: string): number | null {
  if (kind === 'tokens') return parseTokens(text);
  return kind === 'bytes' ? parseBytes(text) : parseNumber(text);
}

function expectedNumber(kind: string, min: number, max: number | undefined): string {
  const what = {
    tokens: 'a number of tokens such as 4096 or 8k',
    bytes: 'a size such as 65536 or 16MiB',
    seconds: 'a number of seconds',
    number: 'a number',
  }[kind];
  return `${what ?? 'a whole number'} ${max === undefined ? `of at least ${min}` : `from ${min} to ${max}`}`;
}

function textDefault(key: OptionKey): string | null {
  const value = optionSpec(key).default;
  return value === null ? null : String(value);
}

/** The error for a value of the wrong form. */
export function invalid(written: Written, expected: string, secret = false, advice = ''): TwinkleError {
  const received = secret ? 'something else' : (JSON.stringify(written.value) ?? typeof written.value);
  return new TwinkleError(
    written.origin.source === 'flag' ? 'USAGE' : 'CONFIG_INVALID',
    `${located(written.origin)}expected ${expected} for \`${written.origin.name}\` but received ${received}${advice === '' ? '' : `; ${advice}`}`,
  );
}

/** `serve.yaml:3:7: ` for values of a file, else nothing: the beginning of a message. */
export function located(origin: Origin): string {
  return origin.at === null ? '' : `${origin.at}: `;
}
