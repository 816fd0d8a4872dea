/** Request parts against their schemas: nothing is coerced, removed or defaulted, and a refusal names the field and what it expects. */
import { Ajv, type ErrorObject } from 'ajv';
import { TwinkleError } from '../../errors.js';
import { describeSchema, describeValue, type SchemaNode } from '../../util/describe-schema.js';
import { nearest } from '../../util/did-you-mean.js';

/** `/messages/0/role` → `messages[0].role`. */
function fieldName(pointer: string): string {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce((name, part) => (/^\d+$/.test(part) ? `${name}[${part}]` : name === '' ? part : `${name}.${part}`), '');
}

/** A field's name may be as long as the body: only so much of it is compared and shown. */
const NAME_CHARS = 64;

function unknownField(error: ErrorObject): TwinkleError {
  const name = String((error.params as { additionalProperty: string }).additionalProperty);
  const known = Object.keys((error.parentSchema as SchemaNode).properties ?? {});
  const near = nearest(name.slice(0, NAME_CHARS), known);
  const inside = fieldName(error.instancePath);
  const shown = name.slice(0, NAME_CHARS);
  const param = inside === '' ? shown : `${inside}.${shown}`;
  const advice = near === null ? 'leave it out' : `did you mean \`${near}\`?`;
  return new TwinkleError('UNKNOWN_FIELD', `\`${param}\` is not a field of this request: ${advice}`, {
    param,
  });
}

const depth = ({ instancePath }: ErrorObject): number => instancePath.split('/').length;
const choices = ({ keyword, parentSchema }: ErrorObject): number =>
  keyword === 'anyOf' ? ((parentSchema as SchemaNode).anyOf ?? []).filter(({ type }) => type !== 'null').length : 0;

/** Says only "or null", which is never what somebody meant. */
const isNullBranch = (error: ErrorObject): boolean =>
  (error.parentSchema as SchemaNode).type === 'null' || (error.keyword === 'anyOf' && choices(error) <= 1);

/**
 * The error to report: of a real alternative the whole, because which branch was meant cannot be known; else the most exact one.
 */
function telling(errors: readonly ErrorObject[]): ErrorObject {
  const alternatives = errors.filter((error) => choices(error) > 1);
  if (alternatives.length > 0) return alternatives.reduce((best, error) => (depth(error) < depth(best) ? error : best));
  const exact = errors.filter((error) => !isNullBranch(error));
  return (exact.length > 0 ? exact : errors).reduce((best, error) => (depth(error) > depth(best) ? error : best));
}

/** Ajv's findings as one error of ours. */
function explainErrors(errors: readonly ErrorObject[]): TwinkleError {
  const error = telling(errors);
  if (error.keyword === 'additionalProperties') return unknownField(error);
  const inside = fieldName(error.instancePath);
  if (error.keyword === 'required') {
    const missing = String((error.params as { missingProperty: string }).missingProperty);
    const param = inside === '' ? missing : `${inside}.${missing}`;
    const schema = (error.parentSchema as SchemaNode).properties?.[missing] ?? {};
    return new TwinkleError('INVALID_REQUEST', `\`${param}\` is missing: expected ${describeSchema(schema)}.`, {
      param,
    });
  }
  const expected = describeSchema(error.parentSchema as SchemaNode);
  const received = describeValue(error.data);
  if (inside === '') {
    return new TwinkleError('INVALID_REQUEST', `Expected the request body to be ${expected} but received ${received}.`);
  }
  return new TwinkleError('INVALID_REQUEST', `Expected ${expected} for \`${inside}\` but received ${received}.`, {
    param: inside,
  });
}

type Check = (data: unknown) => boolean;

const compiled = new WeakMap<object, Check & { errors?: ErrorObject[] | null }>();

/**
 * Compiled at the first request and then for every gateway of the process: together the schemas cost a tenth of a second, which
 * neither a start nor a second gateway should wait for. The schemas are ours and a test holds them valid, so Ajv need not.
 */
function checkerOf(schema: object): Check & { errors?: ErrorObject[] | null } {
  let check = compiled.get(schema);
  if (check === undefined) {
    const ajv = new Ajv({
      strict: true,
      allowUnionTypes: true,
      verbose: true,
      meta: false,
      validateSchema: false,
      code: { optimize: false },
    });
    check = ajv.compile(schema);
    compiled.set(schema, check);
  }
  return check;
}

/** Fastify's validator compiler over an Ajv of our own, so that a host's settings neither matter nor change. */
export function validatorCompiler(): (route: {
  schema: unknown;
}) => (data: unknown) => { error: Error } | { value: unknown } {
  return ({ schema }) =>
    (data) => {
      const check = checkerOf(schema as object);
      return check(data) ? { value: data } : { error: explainErrors(check.errors ?? []) };
    };
}
