/** Arguments of the classes that clients name: what each may be, what it is when absent, and words for what is refused. */
import { TwinkleError } from '../errors.js';
import { didYouMean } from '../util/did-you-mean.js';

/** Arguments as they came: JSON. */
export type Given = Readonly<Record<string, unknown>>;

/** One argument. */
export interface Field<T> {
  /** What it may be, to end "expected …". */
  readonly expected: string;
  /** Null: it must be given. */
  readonly absent: { readonly is: T } | null;
  /** Undefined: it is not what is expected. */
  parse(value: unknown): T | undefined;
}

type Fields = Readonly<Record<string, Field<unknown>>>;

/** What {@link readArguments} answers for fields. */
export type Values<F extends Fields> = { -readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never };

interface Range {
  readonly min?: number;
  readonly above?: number;
  readonly max?: number;
  readonly below?: number;
  readonly whole?: boolean;
}

const refused = (message: string, param: string): TwinkleError =>
  new TwinkleError('INVALID_REQUEST', message, { param });

/** A value as it may stand in a message: short. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function rangeWords({ above, below, max, min, whole }: Range): string {
  const low = min !== undefined ? ` of at least ${min}` : above !== undefined ? ` above ${above}` : '';
  const high = max !== undefined ? `at most ${max}` : below !== undefined ? `below ${below}` : '';
  const join = low === '' ? ' of ' : ' and ';
  return `a ${whole === true ? 'whole' : 'finite'} number${low}${high === '' ? '' : `${join}${high}`}`;
}

/** A finite number in a range. Required unless `absent` is given. */
export function number(range: Range = {}, absent?: number): Field<number> {
  const { above = Number.NEGATIVE_INFINITY, below = Number.POSITIVE_INFINITY, whole = false } = range;
  const { max = Number.POSITIVE_INFINITY, min = Number.NEGATIVE_INFINITY } = range;
  return {
    expected: rangeWords(range),
    absent: absent === undefined ? null : { is: absent },
    parse: (value) => {
      if (typeof value !== 'number' || !Number.isFinite(value) || (whole && !Number.isSafeInteger(value)))
        return undefined;
      return value >= min && value > above && value <= max && value < below ? value : undefined;
    },
  };
}

/** As {@link number}, without a fraction. */
export function whole(range: Range = {}, absent?: number): Field<number> {
  return number({ ...range, whole: true }, absent);
}

/** True or false. */
export function flag(absent?: boolean): Field<boolean> {
  return {
    expected: 'true or false',
    absent: absent === undefined ? null : { is: absent },
    parse: (value) => (typeof value === 'boolean' ? value : undefined),
  };
}

/** An object; what is in it is for others to judge. */
export const object: Field<Given> = {
  expected: 'an object',
  absent: null,
  parse: (value) =>
    typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Given) : undefined,
};

/** Whatever it is; for others to judge. */
export const anything: Field<unknown> = { expected: 'anything', absent: null, parse: (value) => value };

/** One of some words. */
export function word<T extends string>(words: readonly T[], absent?: T): Field<T> {
  return {
    expected: words.map((one) => `"${one}"`).join(' or '),
    absent: absent === undefined ? null : { is: absent },
    parse: (value) => words.find((one) => one === value),
  };
}

/** May be absent or null. */
export function maybe<T>(field: Field<T>): Field<T | null> {
  return {
    expected: `${field.expected}, or null`,
    absent: { is: null },
    parse: (value) => (value === null ? null : field.parse(value)),
  };
}

/** Known, and of no use here: only the values that change nothing are taken. `why` ends the sentence that refuses others. */
export function only(values: readonly unknown[], why: string): Field<null> {
  return {
    expected: `${values.map(shown).join(' or ')} (${why})`,
    absent: { is: null },
    parse: (value) => (values.includes(value) ? null : undefined),
  };
}

/** Known, and whatever it is changes nothing here. */
export const ignored: Field<null> = { expected: 'anything', absent: { is: null }, parse: () => null };

/**
 * Reads arguments, with defaults filled in.
 * @param of what they belong to, for messages
 * @throws `INVALID_REQUEST` for an unknown, a missing and a wrong one
 */
export function readArguments<const F extends Fields>(of: string, given: Given, fields: F): Values<F> {
  for (const name of Object.keys(given))
    if (!Object.hasOwn(fields, name)) throw unknownArgument(of, name, Object.keys(fields));
  const values = Object.entries(fields).map(([name, field]) => [name, argumentOf(of, given, name, field)]);
  return Object.fromEntries(values) as Values<F>;
}

/** What says that `of` takes no argument `name`. */
export function unknownArgument(of: string, name: string, known: readonly string[]): TwinkleError {
  const takes = known.length === 0 ? 'it takes none' : `it takes ${known.join(', ')}`;
  return refused(`${of} has no argument \`${name}\`${didYouMean(name, known)}; ${takes}`, name);
}

function argumentOf(of: string, given: Given, name: string, { absent, expected, parse }: Field<unknown>): unknown {
  const value = Object.hasOwn(given, name) ? given[name] : undefined;
  if (value === undefined) {
    if (absent !== null) return absent.is;
    throw refused(`${of} needs the argument \`${name}\`: ${expected}`, name);
  }
  const parsed = parse(value);
  if (parsed === undefined)
    throw refused(`expected ${expected} for \`${name}\` of ${of} but received ${shown(value)}`, name);
  return parsed;
}

/**
 * An entry of a table by the name that a client gave.
 * @param what the field that holds the name
 * @param impossible names that mean something elsewhere → why they do not work here
 * @throws `INVALID_REQUEST`
 */
export function named<T>(
  what: string,
  name: unknown,
  table: Readonly<Record<string, T>>,
  impossible: Readonly<Record<string, string>>,
): T {
  const known = Object.keys(table);
  if (typeof name !== 'string')
    throw refused(`expected a name for \`${what}\` but received ${shown(name)}; use one of ${known.join(', ')}`, what);
  const found = Object.hasOwn(table, name) ? table[name] : undefined;
  if (found !== undefined) return found;
  if (Object.hasOwn(impossible, name))
    throw refused(`${name} does not work here: ${impossible[name]}; use one of ${known.join(', ')}`, what);
  throw refused(
    `expected one of ${known.join(', ')} for \`${what}\` but received ${shown(name)}${didYouMean(name, known)}`,
    what,
  );
}
