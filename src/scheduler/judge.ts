/** Why one node takes a demand or does not, in words. Pure; knows no groups. */
import { canGrant, type Demand, labelOf } from './demand.js';
import { describeSelector, matches } from './labels.js';
import { describeResources, fromUnits, isUnitResource, WHOLE } from './resources.js';
import type { Free, NodeReason, NodeSpec, Resources, Units } from './types.js';

export type Verdict = Pick<NodeReason, 'kind' | 'reason'>;

/** Whether `free` of this node takes the demand, and if not, what is in the way. */
export function judge(spec: NodeSpec, free: Free, demand: Demand): Verdict {
  const wrong = demand.selector.filter((condition) => !matches(spec, [condition]));
  if (wrong.length > 0) {
    const has = wrong.map(({ key }) => {
      const value = labelOf(spec, key);
      return value === undefined ? `no ${key}` : `${key} = ${value}`;
    });
    return { kind: 'infeasible', reason: `has ${has.join(', ')}; asked is ${describeSelector(wrong)}` };
  }
  const small = short(spec.total, demand);
  if (small.length > 0) {
    const what = small.map(([name, want, have]) => `${name} ${fromUnits(have)} of the ${fromUnits(want)} needed`);
    return { kind: 'infeasible', reason: `has only ${what.join(', ')}, even when empty` };
  }
  const busy = short(free.amounts, demand);
  if (busy.length > 0) {
    const what = busy.map(
      ([name, want, have]) =>
        `${name} ${fromUnits(have)} free of ${fromUnits(spec.total.get(name) ?? 0)}, needed ${fromUnits(want)}`,
    );
    return { kind: 'busy', reason: what.join('; ') };
  }
  if (!canGrant(demand, free)) return { kind: 'busy', reason: splintered(free, demand) };
  return { kind: 'available', reason: `has room for ${describeResources(demand.resources)}` };
}

function short(have: Resources, { names, units }: Demand): [name: string, want: Units, have: Units][] {
  const missing: [string, Units, Units][] = [];
  for (const [at, name] of names.entries()) {
    const want = units[at] as Units;
    if ((have.get(name) ?? 0) < want) missing.push([name, want, have.get(name) ?? 0]);
  }
  return missing;
}

/** Enough in sum, but on too many devices. */
function splintered(free: Free, demand: Demand): string {
  const names = demand.names.filter(isUnitResource);
  const name = names.find((one) => free.instances.get(one)?.some((units) => units % WHOLE !== 0)) ?? names[0] ?? '';
  const sum = `${name} ${fromUnits(free.amounts.get(name) ?? 0)} is free in sum`;
  const devices = (free.instances.get(name) ?? []).filter((units) => units > 0).map(fromUnits);
  const want = demand.resources.get(name) ?? 0;
  const pieces = demand.sequences[0]?.length ?? 1;
  const asked = pieces > 1 ? `the ${pieces} bundles one by one` : parts(want);
  return `${sum}, but its devices have ${devices.join(', ')} free, which does not hold ${asked}: a fraction stays on one device`;
}

function parts(units: Units): string {
  const whole = Math.floor(units / WHOLE);
  const rest = units % WHOLE;
  const wholes = whole === 0 ? [] : [`${whole} whole device${whole === 1 ? '' : 's'}`];
  return [...wholes, ...(rest === 0 ? [] : [`${fromUnits(rest)} of a device`])].join(' and ');
}
