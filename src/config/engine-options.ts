/**
 * Options that users of vLLM and of Ray write among engine arguments (`engine_args: {tensor_parallel_size: 2}`): they are taken from
 * there, too, and mean the option. Pure.
 */
import { TwinkleError } from '../errors.js';
import type { WrittenEngineArg } from './compile.js';
import { isOptionKey, kebabCase, type OptionKey } from './options.js';
import { located, type Origin, type Written } from './settings.js';

const SHARED: readonly OptionKey[] = [
  'tensor-parallel-size',
  'pipeline-parallel-size',
  'data-parallel-size',
  'max-model-len',
  'served-model-name',
];

/**
 * Sort a mapping of engine arguments: shared options go into `layer`, the others come back.
 * @param value as written
 * @param origin of the mapping
 * @throws `CONFIG_INVALID` when it is no mapping, `USAGE` when an option is written beside it, too
 */
export function takeEngineArgs(value: unknown, origin: Origin, layer: Map<OptionKey, Written>): WrittenEngineArg[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TwinkleError(
      'CONFIG_INVALID',
      `${located(origin)}expected an object for \`${origin.name}\` but received ${JSON.stringify(value)}`,
    );
  }
  const rest: WrittenEngineArg[] = [];
  for (const [name, given] of Object.entries(value)) {
    const key = kebabCase(name);
    const own = `${origin.name}.${name}`;
    if (!isOptionKey(key) || !SHARED.includes(key)) {
      rest.push({ name: key, value: given, where: `${located(origin)}${own}` });
      continue;
    }
    const other = layer.get(key);
    if (other !== undefined) {
      throw new TwinkleError(
        'USAGE',
        `${located(origin)}\`${own}\` and \`${other.origin.name}\` are the same option; leave one out`,
      );
    }
    layer.set(key, { value: given, origin: { ...origin, name: own } });
  }
  return rest;
}
