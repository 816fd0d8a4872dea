/** From what a client sent to a `GroupSpec`: defaults in, shapes checked. What is inside bundles, `compileGroup` checks. */
import { TwinkleError } from '../errors.js';
import { readTaskSpec, type WrittenTaskSpec } from './task-spec.js';
import type { GroupSpec } from './types.js';

/** What {@link groupSpec} takes: everything but the bundles has a default. */
export interface WrittenGroupSpec extends Partial<Omit<GroupSpec, 'bundles' | 'task'>> {
  readonly bundles: GroupSpec['bundles'];
  /** Makes it a lease. */
  readonly task?: WrittenTaskSpec | null;
}

const DEFAULTS: Omit<GroupSpec, 'bundles'> = {
  name: '',
  namespace: 'default',
  lifetime: 'owner',
  strategy: 'PACK',
  domainLabel: null,
  selectors: null,
  softTarget: null,
  tensorParallel: 1,
  hold: 'serving',
  task: null,
};

/**
 * The spec with defaults in: no name, namespace `default`, lifetime of its owner, PACK, anywhere, `serving`, no lease.
 * @throws `PLACEMENT_INVALID`: `task` is wrong in itself
 */
export function groupSpec(written: WrittenGroupSpec): GroupSpec {
  return { ...DEFAULTS, ...written, task: readTaskSpec(written.task) };
}

const LONGEST_NAME = 256;

/**
 * The spec that a message carries.
 * @throws `PLACEMENT_INVALID`
 */
export function readGroupSpec(value: unknown): GroupSpec {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong('a group', 'an object', value);
  const written = value as Record<string, unknown>;
  const spec = { ...DEFAULTS, ...written } as Record<keyof GroupSpec, unknown>;
  for (const key of ['name', 'namespace'] as const) {
    const text = spec[key];
    if (typeof text !== 'string' || text.length > LONGEST_NAME) {
      throw wrong(key, `text of at most ${LONGEST_NAME} characters`, text);
    }
  }
  for (const key of ['domainLabel', 'softTarget'] as const) {
    if (spec[key] !== null && typeof spec[key] !== 'string') throw wrong(key, 'text or null', spec[key]);
  }
  if (spec.hold !== 'serving' && spec.hold !== 'stateful') throw wrong('hold', '"serving" or "stateful"', spec.hold);
  if (spec.lifetime !== 'owner' && spec.lifetime !== 'detached') {
    throw wrong('lifetime', '"owner" or "detached"', spec.lifetime);
  }
  const unknown = Object.keys(written).find((key) => key !== 'bundles' && !(key in DEFAULTS));
  if (unknown !== undefined) throw new TwinkleError('PLACEMENT_INVALID', `unknown field \`${unknown}\` of a group`);
  return { ...(spec as GroupSpec), task: readTaskSpec(spec.task) };
}

function wrong(name: string, expected: string, received: unknown): TwinkleError {
  return new TwinkleError(
    'PLACEMENT_INVALID',
    `expected ${expected} for \`${name}\` but received ${JSON.stringify(received)?.slice(0, 100) ?? 'nothing'}`,
  );
}
