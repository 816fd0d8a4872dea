/**
 * Whether the parameters of a request's tools are JSON schemas. Engines differ in what they make of one that is not, up to answers that keep
 * no schema at all; so it is refused here, for all routes that take tools.
 */
import { Ajv, type ValidateFunction } from 'ajv';
import { TwinkleError } from '../../errors.js';

/** Draft 7: what later drafts add are words that it does not know, and lets pass. */
const META = 'http://json-schema.org/draft-07/schema';
let meta: ValidateFunction | undefined;

function metaSchema(): ValidateFunction {
  meta ??= new Ajv({ strict: false, validateFormats: false }).getSchema(META);
  if (meta === undefined) throw new TwinkleError('INTERNAL', `ajv has no ${META}`);
  return meta;
}

type Fields = Readonly<Record<string, unknown>>;
const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null;

/** Where the schema of a tool stands: chat completions, Anthropic's messages, responses. */
function* schemasOf(tool: Fields, at: string): Generator<readonly [where: string, schema: unknown]> {
  const { function: named, input_schema: input, parameters } = tool;
  if (isFields(named)) yield [`${at}.function.parameters`, named.parameters];
  yield [`${at}.input_schema`, input];
  yield [`${at}.parameters`, parameters];
}

/** Throws `INVALID_REQUEST` with the place of the first fault. What is no list of tools is the engine's to refuse. */
export function checkToolSchemas(tools: unknown): void {
  if (!Array.isArray(tools) || tools.length === 0) return;
  const check = metaSchema();
  for (const [index, tool] of tools.entries()) {
    if (!isFields(tool)) continue;
    for (const [where, schema] of schemasOf(tool, `tools[${index}]`)) {
      if (schema === undefined || schema === null || check(schema)) continue;
      const [fault] = check.errors ?? [];
      const place = fault?.instancePath ?? '';
      const inside = place === '' ? '' : ` at ${place}`;
      throw new TwinkleError(
        'INVALID_REQUEST',
        `Expected a JSON schema for \`${where}\` but${inside} it ${fault?.message ?? 'is none'}.`,
        { param: where },
      );
    }
  }
}
