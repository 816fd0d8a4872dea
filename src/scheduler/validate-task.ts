/** Tasks and actors as users write them → {@link TaskRequest}, with Ray's defaults and Ray's refusals. Pure. */

import { parseSelector } from './labels.js';
import { checkQuantity } from './quantity.js';
import { isUnitResource, toUnits, WHOLE } from './resources.js';
import { affinityOf } from './task-strategy.js';
import type { LabelSelector, Resources, TaskRequest, Units } from './types.js';
import { entriesOf, invalid, textOr, unexpected } from './written.js';

/** Ray's share of an `accelerator_type:X` that binds a task to a kind of node and uses next to nothing of it. */
const ACCELERATOR_SHARE = 0.001;

/** Devices that cannot be shared, and the numbers of chips that a TPU host can give. */
const WHOLE_ONLY: ReadonlySet<string> = new Set(['HPU', 'neuron_cores']);
const TPU_CHIPS: readonly number[] = [1, 2, 4, 8];

/** Fields that have an option of their own. */
const OWN_OPTION: Readonly<Record<string, string>> = {
  CPU: 'numCpus',
  GPU: 'numGpus',
  memory: 'memory',
  object_store_memory: 'objectStoreMemory',
};

/** The fields of a task or actor as users write them. Anything may stand in them. */
export interface WrittenTask {
  readonly kind: 'task' | 'actor';
  readonly numCpus?: unknown;
  readonly numGpus?: unknown;
  /** Bytes. */
  readonly memory?: unknown;
  /** Bytes; actors only. */
  readonly objectStoreMemory?: unknown;
  /** Anything else: `{ NPU: 1, ssd: 0.5 }`. */
  readonly resources?: unknown;
  /** `H100`: only nodes with the resource `accelerator_type:H100`. */
  readonly acceleratorType?: unknown;
  /** `DEFAULT`, `SPREAD`, or `{ nodeId, soft, spillOnUnavailable, failOnUnavailable }`. */
  readonly schedulingStrategy?: unknown;
  readonly labelSelector?: unknown;
  /** `[{ labelSelector: {…} }, …]`: tried in order when no node satisfies `labelSelector`. */
  readonly fallbackStrategy?: unknown;
  /** Id of the caller's node. */
  readonly preferred?: unknown;
}

/** A checked task or actor. */
export interface CompiledTask {
  /** `resources` of it is what must be free for it to be placed. */
  readonly request: TaskRequest;
  /** What it holds while it runs: less than that for an actor that asked for nothing. */
  readonly held: Resources;
}

/**
 * Check and compile. A task without `numCpus` takes 1 CPU. An actor that asks for nothing (memory does not count) needs 1 CPU to be
 * placed and holds none; one that asks for anything holds 1 CPU unless `numCpus` says otherwise.
 * @throws `PLACEMENT_INVALID`
 */
export function compileTask(written: WrittenTask): CompiledTask {
  const { needed, held } = withDefaultCpu(written.kind, askedFor(written));
  const request: TaskRequest = {
    resources: needed,
    strategy: affinityOf(written.schedulingStrategy),
    selectors: selectorsOf(written.labelSelector, written.fallbackStrategy),
    preferred: textOr(written.preferred, 'preferred', null),
  };
  return { request, held };
}

function askedFor(written: WrittenTask): Map<string, Units> {
  const asked = new Map<string, Units>();
  const add = (name: string, value: unknown, path: string): void => {
    if (value === undefined || value === null) return;
    asked.set(name, demandOf(name, value, path));
  };
  add('CPU', written.numCpus, 'numCpus');
  add('GPU', written.numGpus, 'numGpus');
  add('memory', written.memory, 'memory');
  if (written.objectStoreMemory !== undefined && written.objectStoreMemory !== null && written.kind === 'task') {
    throw invalid('tasks cannot reserve `objectStoreMemory`; leave it out');
  }
  add('object_store_memory', written.objectStoreMemory, 'objectStoreMemory');
  for (const [name, value] of entriesOf(written.resources ?? {}, 'resources')) {
    const option = Object.hasOwn(OWN_OPTION, name) ? OWN_OPTION[name] : undefined;
    if (option !== undefined) throw invalid(`\`resources\` may not have ${name}; write \`${option}\``);
    if (name === 'bundle' || name.trim() === '') {
      throw unexpected('a name other than "bundle"', 'resources', name, 'placement groups use that one');
    }
    asked.set(name, demandOf(name, value, `resources.${name}`));
  }
  const type = textOr(written.acceleratorType, 'acceleratorType', null);
  if (type !== null) asked.set(`accelerator_type:${type}`, toUnits('', ACCELERATOR_SHARE));
  return asked;
}

function demandOf(name: string, value: unknown, path: string): Units {
  const quantity = checkQuantity(name, value, path);
  if (quantity !== 0 && quantity * WHOLE < 1) {
    throw unexpected('0 or at least 0.0001', path, quantity, 'finer parts cannot be counted');
  }
  if (!isUnitResource(name) || quantity === 0) return toUnits(name, quantity);
  if (name === 'TPU' && !TPU_CHIPS.includes(quantity)) throw unexpected('1, 2, 4 or 8 chips', path, quantity);
  if ((quantity > 1 || WHOLE_ONLY.has(name)) && !Number.isInteger(quantity)) {
    throw unexpected(
      WHOLE_ONLY.has(name) ? 'a whole number' : 'a whole number, or one below 1,',
      path,
      quantity,
      'a process cannot use a part of a device beside whole ones',
    );
  }
  return toUnits(name, quantity);
}

/** Zeros matter until here: `numCpus: 0` is an answer. */
function withDefaultCpu(
  kind: 'task' | 'actor',
  asked: ReadonlyMap<string, Units>,
): { readonly needed: Resources; readonly held: Resources } {
  const plain = [...asked.keys()].every((name) => name === 'memory' || name === 'object_store_memory');
  const holds = asked.get('CPU') ?? (kind === 'actor' && plain ? 0 : WHOLE);
  const held = nonZero(new Map([...asked, ['CPU', holds]]));
  return { held, needed: kind === 'actor' && plain ? new Map([...held, ['CPU', WHOLE]]) : held };
}

function nonZero(resources: ReadonlyMap<string, Units>): Resources {
  return new Map([...resources].filter(([, units]) => units !== 0));
}

function selectorsOf(written: unknown, fallback: unknown): LabelSelector[] {
  const first = written === undefined || written === null ? [] : parseSelector(written, 'labelSelector');
  if (fallback === undefined || fallback === null) return [first];
  if (!Array.isArray(fallback)) throw unexpected('a list', 'fallbackStrategy', fallback);
  const others = Array.from(fallback, (entry: unknown, index) => {
    const path = `fallbackStrategy[${index}]`;
    const entries = entriesOf(entry, path, 'an object such as {"labelSelector": {}}');
    if (entries.length === 0) throw unexpected('{"labelSelector": {…}}', path, entry);
    const other = entries.find(([name]) => name !== 'labelSelector');
    if (other !== undefined) throw invalid(`\`${path}\` may only have labelSelector but has ${other[0]}; leave it out`);
    return parseSelector(entries[0]?.[1] ?? {}, `${path}.labelSelector`);
  });
  return [first, ...others];
}
