/** What is said of a group that has or lacks its places. Pure. */
import type { GroupStatus } from '../cluster/api.js';
import type { Bundle, DeviceChoice } from '../config/types.js';
import type { GroupPlan } from '../engines/placement.js';
import type { RankSeat } from '../engines/rank-seats.js';
import { TwinkleError } from '../errors.js';
import type { NodeReason } from '../scheduler/types.js';
import type { RankPlace } from '../supervisor/rank-environment.js';

/** `GPU 1, CPU 1 + 3 × GPU 1 (PACK)`. */
export function describeBundles({ bundles, strategy }: Pick<GroupPlan, 'bundles' | 'strategy'>): string {
  const runs: { text: string; count: number }[] = [];
  for (const bundle of bundles.map(describeBundle)) {
    const last = runs.at(-1);
    if (last?.text === bundle) last.count += 1;
    else runs.push({ text: bundle, count: 1 });
  }
  const text = runs.map(({ text: one, count }) => (count === 1 ? one : `${count} × (${one})`)).join(' + ');
  return `${text}, ${strategy}`;
}

function describeBundle(bundle: Bundle): string {
  return Object.entries(bundle)
    .map(([name, amount]) => `${name} ${amount}`)
    .join(', ');
}

/** Why a group waits, for a progress line. */
export function describeWait(plan: GroupPlan, { reason, position }: Pick<GroupStatus, 'reason' | 'position'>): string {
  const place =
    position === null ? '' : position === 0 ? '; first in the queue' : `; ${position} before it in the queue`;
  return `group ${plan.name} waits for ${describeBundles(plan)}: ${reason ?? 'it is being placed'}${place}`;
}

/** What keeps a group from its places. */
export interface Hindrance {
  /** In a sentence; shown where no node says more. */
  readonly reason: string | null;
  readonly nodes: readonly NodeReason[];
  /** Devices of this machine that are there but not offered, and why. Null: other machines are asked. */
  readonly leftOut: readonly string[] | null;
}

/** The error for a group that these nodes can never place. */
export function unplaceable(plan: GroupPlan, { reason, nodes, leftOut }: Hindrance): TwinkleError {
  const why = [
    ...nodes.map((node) => `${node.node}: ${node.reason}`),
    ...(nodes.length === 0 && reason !== null ? [reason] : []),
    ...(leftOut ?? []),
  ];
  return new TwinkleError(
    'INFEASIBLE',
    `no place for ${plan.name}: ${describeBundles(plan)}; ${why.join('; ')}; ${advice(plan, leftOut)}`,
    { details: { group: plan.name, strategy: plan.strategy, bundles: plan.bundles, nodes, leftOut } },
  );
}

function advice({ accelerator }: GroupPlan, leftOut: Hindrance['leftOut']): string {
  const smaller = 'set smaller -tp, -pp or -dp';
  if (leftOut === null) return `${smaller}, or add nodes`;
  if (accelerator === null) return `${smaller}, or fewer --replica-cpus`;
  const share =
    leftOut.length === 0 ? '' : `, name devices with --${accelerator.toLowerCase()}s to use them all the same`;
  return `${smaller}${share}, or say --cpu`;
}

/** Seats as a gang takes them. A device that is none of ours has the index of its instance. */
export function placesOf(ranks: readonly RankSeat[], devices: readonly DeviceChoice[]): RankPlace[] {
  return ranks.map(({ localRank, device }) => {
    if (device === null) return { localRank, device: null };
    const ours = devices.find(({ uuid }) => uuid === device.uuid);
    const kind = device.resource === 'NPU' ? 'npu' : 'gpu';
    return { localRank, device: { kind, index: ours?.index ?? device.instance, uuid: device.uuid } };
  });
}
