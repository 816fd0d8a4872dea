/** A what-if of one actor outside any group, asked for from a node that has nothing to do with it. */
import { TwinkleError } from '../../errors.js';
import type { ClusterState } from '../../scheduler/cluster-state.js';
import { toQuantities } from '../../scheduler/resources.js';
import { placeTask } from '../../scheduler/tasks.js';
import { type CompiledTask, compileTask } from '../../scheduler/validate-task.js';
import { entriesOf } from '../../scheduler/written.js';
import type { Paint } from '../render/style.js';
import { wrap } from '../render/width.js';
import { jsonOf, type PlaceFlags } from './flags.js';
import { describeDevices, seatDevices, type WhatIfDevice } from './seat-devices.js';

/** Resources that have an option of their own. */
const OPTIONS: Readonly<Record<string, string>> = {
  CPU: 'numCpus',
  GPU: 'numGpus',
  memory: 'memory',
  object_store_memory: 'objectStoreMemory',
};

/** What `--json` prints of an actor. */
export interface WhatIfActor {
  readonly outcome: 'placed' | 'pending' | 'infeasible' | 'refused';
  /** Needed to be placed. */
  readonly resources: Readonly<Record<string, number>>;
  /** Of those, what it keeps. */
  readonly held: Readonly<Record<string, number>>;
  readonly node: string | null;
  readonly devices: readonly WhatIfDevice[];
  readonly reason: string | null;
}

/** Place it on paper, with the lowest draw where the policy draws. @throws `PLACEMENT_INVALID`, `USAGE` */
export function whatIfActor(state: ClusterState, flags: PlaceFlags): WhatIfActor {
  const { request, held } = actorOf(flags);
  const placement = placeTask(state, request, { random: 0, cursor: 0 });
  const placed = placement.outcome === 'placed';
  return {
    outcome: placement.outcome,
    resources: toQuantities(request.resources),
    held: toQuantities(held),
    node: placement.node,
    devices: placed ? seatDevices(state, placement.node, placement.grant) : [],
    reason: placed ? null : placement.reason,
  };
}

function actorOf({ actor = '{}', strategy }: PlaceFlags): CompiledTask {
  const written: Record<string, unknown> = {};
  const resources: Record<string, unknown> = {};
  for (const [name, quantity] of entriesOf(jsonOf(actor, '--actor'), '--actor', 'an object such as {"GPU": 1}')) {
    const option = Object.hasOwn(OPTIONS, name) ? OPTIONS[name] : undefined;
    if (option === undefined) resources[name] = quantity;
    else written[option] = quantity;
  }
  return compileTask({ kind: 'actor', ...written, resources, schedulingStrategy: strategyOf(strategy) });
}

function strategyOf(written: string | undefined): unknown {
  if (written === undefined || written === 'DEFAULT' || written === 'SPREAD') return written;
  const node = /^node:(.+)$/.exec(written)?.[1];
  if (node === undefined) {
    throw new TwinkleError('USAGE', `expected DEFAULT, SPREAD or node:ID for \`--strategy\` but received "${written}"`);
  }
  return { nodeId: node, soft: false };
}

const COLOURS = { placed: 'green', pending: 'yellow', infeasible: 'red', refused: 'red' } as const;

/** Lines for a terminal. */
export function viewOfActor(answer: WhatIfActor, width: number | null, paint: Paint): string[] {
  const { outcome, node, devices, resources, held, reason } = answer;
  const list = (all: Readonly<Record<string, number>>): string =>
    Object.entries(all)
      .map(([name, quantity]) => `${name} ${quantity}`)
      .join(', ') || 'nothing';
  const kept = list(held) === list(resources) ? '' : `, keeps ${list(held)}`;
  const said =
    outcome === 'placed'
      ? `actor (${list(resources)}${kept}) on ${node}, devices: ${devices.length === 0 ? 'none' : describeDevices(devices)}`
      : `actor (${list(resources)}${kept}): ${reason}`;
  const [first = '', ...rest] = wrap(`${outcome}  ${said}`, width);
  return [paint(COLOURS[outcome], outcome) + first.slice(outcome.length), ...rest];
}
