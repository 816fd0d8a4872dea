/** A part of the file against its schema: everything that is wrong, each at its place. */
import { Ajv, type ErrorObject } from 'ajv';
import { describeSchema, describeValue } from '../../util/describe-schema.js';
import { didYouMean, nearest } from '../../util/did-you-mean.js';
import { shownValue } from '../secrets.js';
import { inside, type Located, plain } from '../yaml-tree.js';
import type { FileSchema } from './complete.js';
import type { Problems } from './problems.js';

/** Keeps what it has compiled, by schema: several applications are of one kind. */
const ajv = new Ajv({
  strict: true,
  allowUnionTypes: true,
  allErrors: true,
  verbose: true,
  meta: false,
  validateSchema: false,
});

/** @returns whether it fits; else `problems` has why not */
export function validate(schema: FileSchema, part: Located, problems: Problems): boolean {
  const check = ajv.compile(schema);
  if (check(plain(part))) return true;
  for (const error of telling(check.errors ?? [])) report(error, part, problems);
  return false;
}

/** Of alternatives the whole, because which was meant cannot be known; of "that or null" what is wrong with that. */
function telling(errors: readonly ErrorObject[]): ErrorObject[] {
  const real = errors
    .filter(({ keyword, schema }) => keyword === 'anyOf' && alternatives(schema) > 1)
    .map(({ instancePath }) => instancePath);
  const within = (path: string): boolean => real.some((one) => path === one || path.startsWith(`${one}/`));
  return errors.filter(({ keyword, schema, instancePath, parentSchema }) => {
    if (keyword === 'anyOf') return alternatives(schema) > 1;
    return !within(instancePath) && (parentSchema as FileSchema).type !== 'null';
  });
}

function alternatives(anyOf: unknown): number {
  return (anyOf as readonly FileSchema[]).filter(({ type }) => type !== 'null').length;
}

function report(
  { keyword, instancePath, params, parentSchema, data }: ErrorObject,
  part: Located,
  problems: Problems,
): void {
  const path = instancePath
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((step) => (/^\d+$/.test(step) ? Number(step) : step));
  const found = placed(part, path);
  const schema = parentSchema as FileSchema;
  const known = Object.keys(schema.properties ?? {});
  if (keyword === 'additionalProperties') {
    const name = String(params.additionalProperty);
    const { origin } = inside(found, [name]) ?? found;
    problems.add(origin, `unknown key${didYouMean(name, known) || `; there are ${known.join(', ')}`}`);
  } else if (keyword === 'required') {
    const name = String(params.missingProperty);
    problems.add(found.origin, `\`${name}\` is missing: expected ${describeSchema(schema.properties?.[name] ?? {})}`);
  } else {
    const words = (schema.anyOf ?? []).flatMap((branch) => (typeof branch.const === 'string' ? [branch.const] : []));
    const near = typeof data === 'string' ? nearest(data, words) : null;
    const advice = near === null ? '' : `; did you mean ${near}?`;
    const received =
      typeof data === 'number' && !Number.isFinite(data)
        ? String(data)
        : describeValue(shownValue(lastName(path), data));
    problems.add(found.origin, `expected ${describeSchema(schema)} but received ${received}${advice}`);
  }
}

/** Of the innermost field. */
function lastName(path: readonly (string | number)[]): string {
  return String(path.findLast((step) => typeof step === 'string') ?? '');
}

/** The value there. Numbers may be names of entries, too. */
function placed(part: Located, path: readonly (string | number)[]): Located {
  let found = part;
  for (const step of path) found = inside(found, [step]) ?? found;
  return found;
}
