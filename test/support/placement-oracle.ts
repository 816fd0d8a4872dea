/**
 * Every result that Ray's placement rules allow for a group, worked out naively: all nodes are looked at, every tie is followed, scores are
 * exact fractions. Shares no code with src/scheduler; reads its plain data.
 */
import type { GroupRequest, LabelSelector, NodeView } from '../../src/scheduler/types.js';

/** `pending`, `infeasible`, or the node of each bundle joined by commas. */
export type Outcome = string;

interface Scratch {
  readonly amounts: Readonly<Record<string, number>>;
  /** Free units by device, in no order: only how much each has matters. */
  readonly devices: Readonly<Record<string, readonly number[]>>;
}

interface Job {
  readonly want: Readonly<Record<string, number>>;
  readonly selector: LabelSelector;
  /** Ways of granting: sequences of bundles. */
  readonly ways: readonly (readonly Readonly<Record<string, number>>[])[];
}

type Scratches = Readonly<Record<string, Scratch>>;
type Walk = (scratches: Scratches, seats: readonly string[]) => Set<Outcome>;

/**
 * @param customOrder names of custom resources in the order in which bundles are compared; default: alphabetical
 */
export function legalOutcomes(
  nodes: readonly NodeView[],
  request: GroupRequest,
  customOrder?: readonly string[],
): Set<Outcome> {
  const usable = nodes.filter((node) => node.schedulable);
  if (request.domain === null) return legalAmong(usable, request, customOrder);
  const { label, value } = request.domain;
  const values = [...new Set(usable.map((node) => labelValue(node, label)))].filter((one) => one !== undefined).sort();
  const all = new Set<Outcome>();
  let waits = false;
  for (const one of value === null ? values : values.filter((other) => other === value)) {
    const inside = legalAmong(
      usable.filter((node) => labelValue(node, label) === one),
      request,
      customOrder,
    );
    for (const outcome of inside) if (outcome !== 'pending' && outcome !== 'infeasible') all.add(outcome);
    if (inside.has('pending')) waits = true;
    if (!inside.has('pending') && !inside.has('infeasible')) return all;
  }
  all.add(waits ? 'pending' : 'infeasible');
  return all;
}

function legalAmong(nodes: readonly NodeView[], request: GroupRequest, customOrder?: readonly string[]): Set<Outcome> {
  const { strategy, bundles, occupied, softTarget } = request;
  const candidates = strategy === 'STRICT_SPREAD' ? nodes.filter((node) => !occupied.has(node.spec.id)) : nodes;
  if (candidates.length === 0) return new Set(['infeasible']);
  if (strategy === 'STRICT_SPREAD' && bundles.length > candidates.length) return new Set(['infeasible']);
  const jobs = bundles.map((bundle, index): Job => {
    const want = Object.fromEntries(bundle);
    return { want, selector: request.selectors?.[index] ?? [], ways: [[want]] };
  });
  const order = sortedIndices(jobs, customOrder);
  const start = Object.fromEntries(candidates.map((node) => [node.spec.id, scratchOf(node)]));
  const ids = candidates.map((node) => node.spec.id);
  const byId = new Map(candidates.map((node) => [node.spec.id, node]));
  const node = (id: string): NodeView => byId.get(id) as NodeView;
  const ever = (job: Job): boolean =>
    candidates.some(
      (one) => Object.entries(job.want).every(([r, u]) => (one.spec.total.get(r) ?? 0) >= u) && labelsFit(one, job),
    );
  const fits = (scratches: Scratches, id: string, job: Job): boolean =>
    labelsFit(node(id), job) && job.ways.some((way) => takeAll(scratches[id] as Scratch, way) !== null);
  const best = (scratches: Scratches, among: readonly string[], job: Job): string[] => {
    const able = among.filter((id) => fits(scratches, id, job));
    return able.filter((id) => able.every((other) => !beats(scratches[other], scratches[id], job)));
  };

  if (strategy === 'STRICT_PACK') {
    const want: Record<string, number> = {};
    for (const job of jobs) for (const [r, u] of Object.entries(job.want)) want[r] = (want[r] ?? 0) + u;
    const wants = jobs.map((job) => job.want);
    const all: Job = {
      want,
      selector: jobs.flatMap((job) => job.selector),
      ways: [wants, order.map((index) => wants[index] as Readonly<Record<string, number>>)],
    };
    if (!ever(all)) return new Set(['infeasible']);
    const seated = (id: string): Outcome => jobs.map(() => id).join();
    if (softTarget !== null && byId.has(softTarget) && fits(start, softTarget, all))
      return new Set([seated(softTarget)]);
    const winners = best(start, ids, all);
    return new Set(winners.length === 0 ? ['pending'] : winners.map(seated));
  }
  if (!jobs.every(ever)) return new Set(['infeasible']);

  const memo = new Map<string, Set<Outcome>>();
  const once = (key: unknown, make: () => Set<Outcome>): Set<Outcome> => {
    const text = JSON.stringify(key);
    const known = memo.get(text) ?? make();
    memo.set(text, known);
    return known;
  };
  const seat = (seats: readonly string[], index: number, id: string): string[] =>
    seats.map((one, at) => (at === index ? id : one));

  const pack =
    (left: readonly string[], waiting: readonly number[]): Walk =>
    (scratches, seats) => {
      const [head] = waiting;
      if (head === undefined) return new Set([seats.join()]);
      return once([left, seats], () => {
        const winners = best(scratches, left, jobs[head] as Job);
        return union(
          winners.map((id) => {
            let here = scratches[id] as Scratch;
            let now = seats;
            const rest: number[] = [];
            for (const index of waiting) {
              const job = jobs[index] as Job;
              const after = labelsFit(node(id), job) ? takeAll(here, job.ways[0] as Job['ways'][number]) : null;
              if (after === null) rest.push(index);
              else {
                here = after;
                now = seat(now, index, id);
              }
            }
            return pack(
              left.filter((other) => other !== id),
              rest,
            )({ ...scratches, [id]: here }, now);
          }),
        );
      });
    };

  const spread =
    (at: number, unused: readonly string[], reuse: boolean): Walk =>
    (scratches, seats) => {
      const index = order[at];
      if (index === undefined) return new Set([seats.join()]);
      return once([at, seats], () => {
        const job = jobs[index] as Job;
        let winners = best(scratches, unused, job);
        if (winners.length === 0 && reuse) {
          winners = best(
            scratches,
            ids.filter((id) => !unused.includes(id)),
            job,
          );
        }
        return union(
          winners.map((id) => {
            const after = takeAll(scratches[id] as Scratch, job.ways[0] as Job['ways'][number]) as Scratch;
            const others = unused.filter((other) => other !== id);
            return spread(at + 1, others, reuse)({ ...scratches, [id]: after }, seat(seats, index, id));
          }),
        );
      });
    };

  const nowhere = jobs.map(() => '');
  return strategy === 'PACK' ? pack(ids, order)(start, nowhere) : spread(0, ids, strategy === 'SPREAD')(start, nowhere);
}

/** No way on means that this attempt fails. */
function union(sets: readonly Set<Outcome>[]): Set<Outcome> {
  return sets.length === 0 ? new Set(['pending']) : new Set(sets.flatMap((set) => [...set]));
}

function sortedIndices(jobs: readonly Job[], customOrder?: readonly string[]): number[] {
  const common = ['GPU', 'object_store_memory', 'memory', 'CPU'];
  const found = [...new Set(jobs.flatMap((job) => Object.keys(job.want)))].filter((name) => !common.includes(name));
  const custom = customOrder === undefined ? found.sort() : customOrder;
  const key = (job: Job): number[] =>
    ['GPU', ...custom, 'object_store_memory', 'memory', 'CPU'].map((name) => job.want[name] ?? 0);
  const keyed = jobs.map((job, index) => ({ index, key: key(job) }));
  // A bubble sort: plainly stable.
  for (let pass = 0; pass < keyed.length; pass++) {
    for (let at = 0; at + 1 < keyed.length; at++) {
      const [a, b] = [keyed[at], keyed[at + 1]] as [(typeof keyed)[number], (typeof keyed)[number]];
      const level = a.key.findIndex((value, i) => value !== b.key[i]);
      if (level >= 0 && (a.key[level] as number) < (b.key[level] as number)) [keyed[at], keyed[at + 1]] = [b, a];
    }
  }
  return keyed.map(({ index }) => index);
}

function scratchOf(node: NodeView): Scratch {
  return { amounts: Object.fromEntries(node.free.amounts), devices: Object.fromEntries(node.free.instances) };
}

function labelValue(node: NodeView, key: string): string | undefined {
  return key === 'ray.io/node-id' ? node.spec.id : node.spec.labels.get(key);
}

function labelsFit(node: NodeView, job: Job): boolean {
  for (const { key, not, values } of job.selector) {
    const has = labelValue(node, key);
    const listed = has !== undefined && values.some((value) => value === has);
    if (not ? listed : !listed) return false;
  }
  return true;
}

/** Σ (free − want) / free as a fraction of whole numbers. */
function beats(a: Scratch | undefined, b: Scratch | undefined, job: Job): boolean {
  const score = (scratch: Scratch | undefined): [bigint, bigint] => {
    let [top, bottom] = [0n, 1n];
    for (const [name, want] of Object.entries(job.want)) {
      const have = BigInt(scratch?.amounts[name] ?? 0);
      top = top * have + (have - BigInt(want)) * bottom;
      bottom *= have;
    }
    return [top, bottom];
  };
  const [topA, bottomA] = score(a);
  const [topB, bottomB] = score(b);
  return topA * bottomB > topB * bottomA;
}

/** Take bundles one after the other; null: one of them cannot be granted. Whole devices first, the rest where least is left over. */
function takeAll(scratch: Scratch, bundles: readonly Readonly<Record<string, number>>[]): Scratch | null {
  const amounts = { ...scratch.amounts };
  const devices: Record<string, readonly number[]> = { ...scratch.devices };
  for (const bundle of bundles) {
    for (const [name, want] of Object.entries(bundle)) {
      const left = (amounts[name] ?? 0) - want;
      if (left < 0) return null;
      amounts[name] = left;
      const instances = devices[name];
      if (instances === undefined) continue;
      const after = [...instances];
      let rest = want;
      // Marked so that the rest does not go to a device of the same grant.
      for (; rest >= 10_000; rest -= 10_000) {
        const at = after.indexOf(10_000);
        if (at < 0) return null;
        after[at] = -1;
      }
      if (rest > 0) {
        const able = after.filter((units) => units >= rest);
        if (able.length === 0) return null;
        after[after.indexOf(Math.min(...able))] = Math.min(...able) - rest;
      }
      devices[name] = after.map((units) => Math.max(0, units));
    }
  }
  return { amounts, devices };
}
