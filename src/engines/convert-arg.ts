/** One engine argument as written → the value that the engine gets. Pure; knows kinds, no engine. */
import { TwinkleError } from '../errors.js';
import { shortNumber } from '../util/short-number.js';
import type { EngineArgInput, EngineArgSpec } from './args.js';

type Fail = (expected: string) => TwinkleError;

/**
 * Check and convert.
 * @returns undefined: as if it was not written
 * @throws `CONFIG_INVALID`
 */
export function convertArg(spec: EngineArgSpec, input: EngineArgInput): unknown {
  const fail: Fail = (expected) =>
    new TwinkleError(
      'CONFIG_INVALID',
      `expected ${expected} for \`${input.where}\` but received ${JSON.stringify(input.value)}; ${spec.help.toLowerCase()}`,
    );
  const { value } = input;
  // Python's None: what the engine does by itself.
  if (value === null) return undefined;
  if (spec.none === true && value === 'None') return value;
  if (spec.bare === true && value === true) return true;
  switch (spec.kind) {
    case 'boolean':
      return convertBoolean(spec, value, fail);
    case 'json':
      return convertJson(spec, value, fail);
    case 'list':
      return convertList(spec, value, fail);
    default:
      return convertScalar(spec, spec.kind, value, fail);
  }
}

function convertBoolean(spec: EngineArgSpec, value: unknown, fail: Fail): boolean | undefined {
  if (value === true || value === 'true') return true;
  if (value === false || value === 'false') return spec.onlyTrue === true ? undefined : false;
  throw fail('true or false');
}

function convertList(spec: EngineArgSpec, value: unknown, fail: Fail): unknown[] {
  const items: unknown[] = Array.isArray(value) ? value : [value];
  if (items.length === 0) throw fail('one or more values');
  const kind = spec.item ?? 'string';
  return items.map((item) =>
    // Such as an adapter with its name, path and base model.
    kind === 'string' && isPlainObject(item) ? item : convertScalar(spec, kind, item, fail),
  );
}

function convertScalar(
  spec: EngineArgSpec,
  kind: 'integer' | 'number' | 'string',
  value: unknown,
  fail: Fail,
): string | number {
  if (kind !== 'string') return convertNumber(spec, kind, value, fail);
  if (typeof value !== 'string' && typeof value !== 'number') throw fail('text');
  const text = String(value);
  if (text === '') throw fail('text');
  if (spec.choices !== undefined && !spec.choices.includes(text)) throw fail(`one of ${spec.choices.join(', ')}`);
  return text;
}

function convertNumber(spec: EngineArgSpec, kind: 'integer' | 'number', value: unknown, fail: Fail): number {
  const whole = kind === 'integer';
  const range =
    (spec.min === undefined ? '' : ` of at least ${spec.min}`) +
    (spec.max === undefined ? '' : ` and at most ${spec.max}`);
  const expected = `${whole ? 'a whole number' : 'a number'}${range}${spec.suffixes === true ? ' such as 8192 or 8k' : ''}`;
  const number =
    typeof value === 'number' ? value : typeof value === 'string' ? parse(value, spec.suffixes === true) : NaN;
  if (!Number.isFinite(number) || (whole && !Number.isSafeInteger(number))) throw fail(expected);
  if ((spec.min !== undefined && number < spec.min) || (spec.max !== undefined && number > spec.max))
    throw fail(expected);
  if (spec.choices !== undefined && !spec.choices.includes(String(number))) {
    throw fail(`one of ${spec.choices.join(', ')}`);
  }
  return number;
}

function parse(text: string, suffixes: boolean): number {
  if (text.trim() === '') return NaN;
  return (suffixes ? shortNumber(text.trim()) : null) ?? Number(text);
}

function convertJson(spec: EngineArgSpec, value: unknown, fail: Fail): unknown {
  if (typeof value !== 'string') {
    if (typeof value === 'object' && value !== null) return value;
    throw fail('an object');
  }
  if (spec.text === true && !/^\s*\{[\s\S]*\}\s*$/.test(value)) {
    if (value === '') throw fail('text or JSON');
    return value;
  }
  try {
    return JSON.parse(longNumbers(value)) as unknown;
  } catch {
    throw fail('JSON, such as {"key": 1}, or single keys as --name.key 1');
  }
}

/** `{"bytes": 80m}` → `{"bytes": 80000000}`: vLLM takes short numbers in JSON, outside of strings. */
function longNumbers(json: string): string {
  return json.replace(/"(?:[^"\\]|\\.)*"|\b\d+(?:\.\d+)?[kKmMgGtT]\b/g, (word) =>
    word.startsWith('"') ? word : String(shortNumber(word)),
  );
}

function isPlainObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
