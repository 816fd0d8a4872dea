/**
 * Whether what a client sent has the shape of its schema. For the few kinds of schema that protocol/work.ts is made of: Ajv takes a tenth of
 * a second to load and to compile, which every start would wait for. Pure.
 */
import { TwinkleError } from '../errors.js';
import type { Static, TSchema } from '../protocol/type.js';

/** What is wrong, as `expected … for … but received …`; null: nothing. */
type Check = (value: unknown, path: string) => string | null;

/** The parts of a JSON Schema that are looked at. */
interface Written {
  readonly type?: string;
  readonly const?: unknown;
  readonly anyOf?: readonly Written[];
  readonly items?: Written;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Written>>;
  readonly patternProperties?: Readonly<Record<string, Written>>;
}

const compiled = new WeakMap<object, Check>();

/**
 * `value`, as what the schema says. Fields that it does not name are left alone.
 * @param what name of the whole, for people
 * @throws `INVALID_REQUEST`
 */
export function shaped<T extends TSchema>(schema: T, value: unknown, what: string): Static<T> {
  let check = compiled.get(schema);
  if (check === undefined) {
    check = compile(schema as Written);
    compiled.set(schema, check);
  }
  const wrong = check(value, what);
  if (wrong !== null) throw new TwinkleError('INVALID_REQUEST', wrong);
  return value as Static<T>;
}

function compile(schema: Written): Check {
  if (schema.anyOf !== undefined) return either(schema.anyOf.map(compile));
  if (schema.const !== undefined) {
    const only = schema.const;
    return (value, path) => (value === only ? null : unlike(JSON.stringify(only), value, path));
  }
  switch (schema.type) {
    case 'integer':
      return (value, path) => (Number.isSafeInteger(value) ? null : unlike('a whole number', value, path));
    case 'number':
      return (value, path) => (Number.isFinite(value) ? null : unlike('a number', value, path));
    case 'string':
    case 'boolean': {
      const { type } = schema;
      return (value, path) => (typeof value === type ? null : unlike(`a ${type}`, value, path));
    }
    case 'null':
      return (value, path) => (value === null ? null : unlike('null', value, path));
    case 'array':
      return list(compile(schema.items ?? {}));
    case 'object':
      return schema.properties === undefined ? record(schema) : fields(schema);
    case undefined:
      return () => null;
    default:
      throw new TwinkleError('INTERNAL', `a schema of type ${schema.type} cannot be checked here`);
  }
}

function either(checks: readonly Check[]): Check {
  return (value, path) => {
    let first: string | null = null;
    for (const check of checks) {
      const wrong = check(value, path);
      if (wrong === null) return null;
      first ??= wrong;
    }
    return first;
  };
}

function list(check: Check): Check {
  return (value, path) => {
    if (!Array.isArray(value)) return unlike('a list', value, path);
    for (const [at, item] of value.entries()) {
      const wrong = check(item, `${path}.${at}`);
      if (wrong !== null) return wrong;
    }
    return null;
  };
}

function record({ patternProperties }: Written): Check {
  const check = compile(Object.values(patternProperties ?? {})[0] ?? {});
  return (value, path) => {
    if (!isMap(value)) return unlike('a map', value, path);
    for (const [key, item] of Object.entries(value)) {
      const wrong = check(item, `${path}.${key}`);
      if (wrong !== null) return wrong;
    }
    return null;
  };
}

function fields({ properties = {}, required = [] }: Written): Check {
  const checks = Object.entries(properties).map(([key, schema]) => [key, compile(schema)] as const);
  const needed = new Set(required);
  return (value, path) => {
    if (!isMap(value)) return unlike('a map', value, path);
    for (const [key, check] of checks) {
      if (!Object.hasOwn(value, key)) {
        if (needed.has(key)) return `expected \`${path}.${key}\` but received nothing`;
        continue;
      }
      const wrong = check(value[key], `${path}.${key}`);
      if (wrong !== null) return wrong;
    }
    return null;
  };
}

function isMap(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function unlike(expected: string, value: unknown, path: string): string {
  return `expected ${expected} for \`${path}\` but received ${shown(value)}`;
}

/** What msgpack can carry need not be JSON. */
function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 60));
  if (typeof value !== 'object' || value === null) return String(value);
  if (Array.isArray(value)) return 'a list';
  return isMap(value) ? 'a map' : 'something else';
}
