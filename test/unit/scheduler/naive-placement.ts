/**
 * The same choices as `placeGroup`, ties included, by looking at every node every time: what its indexes are compared with. Says where
 * bundles go, not which devices they get.
 */
import { take } from '../../../src/scheduler/free.js';
import { matches } from '../../../src/scheduler/labels.js';
import { addLinks, bestLinked, compareLinks, type Linkage, UNLINKED } from '../../../src/scheduler/linked-devices.js';
import { isUnitResource, sumResources, WHOLE } from '../../../src/scheduler/resources.js';
import type { Free, GroupRequest, LabelSelector, NodeView, Resources } from '../../../src/scheduler/types.js';

interface Job {
  readonly want: Resources;
  readonly selector: LabelSelector;
  readonly ways: readonly (readonly Resources[])[];
}

/** `pending`, `infeasible`, or the node of each bundle. */
export function naiveOutcome(nodes: readonly NodeView[], request: GroupRequest): string {
  const usable = nodes.filter((node) => node.schedulable);
  const { domain } = request;
  if (domain === null) return among(usable, request);
  let refused = 'infeasible';
  for (const value of [...new Set(usable.flatMap((node) => node.spec.labels.get(domain.label) ?? []))].sort()) {
    if (domain.value !== null && domain.value !== value) continue;
    const outcome = among(
      usable.filter((node) => node.spec.labels.get(domain.label) === value),
      request,
    );
    if (outcome !== 'pending' && outcome !== 'infeasible') return outcome;
    if (outcome === 'pending') refused = 'pending';
  }
  return refused;
}

function among(nodes: readonly NodeView[], request: GroupRequest): string {
  const { strategy, bundles, occupied, tensorParallel } = request;
  let candidates = nodes.filter(({ spec }) => strategy !== 'STRICT_SPREAD' || !occupied.has(spec.id));
  if (candidates.length === 0 || (strategy === 'STRICT_SPREAD' && candidates.length < bundles.length))
    return 'infeasible';
  const jobs = bundles.map(
    (want, index): Job => ({ want, selector: request.selectors?.[index] ?? [], ways: [[want]] }),
  );
  const order = bundles.map((_, index) => index).sort((a, b) => heavier(jobs[a] as Job, jobs[b] as Job) || a - b);
  const free = new Map(nodes.map((node) => [node.spec.id, node.free]));
  const freeOf = (node: NodeView): Free => free.get(node.spec.id) as Free;
  const rates = (node: NodeView, job: Job): number => (matches(node.spec, job.selector) ? rate(freeOf(node), job) : -1);
  const pick = (from: readonly NodeView[], job: Job, sets: readonly (readonly number[])[]): NodeView | null => {
    const best = Math.max(-1, ...from.map((node) => rates(node, job)));
    if (best < 0) return null;
    const tied = from.filter((node) => rates(node, job) === best);
    const worth = (node: NodeView): Linkage => linkage(node, freeOf(node), request, sets);
    return tied.reduce((a, b) => ((compareLinks(worth(a), worth(b)) || a.order - b.order) <= 0 ? a : b));
  };
  const ever = (job: Job): boolean =>
    candidates.some(
      ({ spec }) =>
        matches(spec, job.selector) && [...job.want].every(([name, units]) => (spec.total.get(name) ?? 0) >= units),
    );
  const block = (bundle: number): number[] =>
    bundles.flatMap((_, other) =>
      Math.floor(other / tensorParallel) === Math.floor(bundle / tensorParallel) ? [other] : [],
    );

  if (strategy === 'STRICT_PACK') {
    const sum: Job = {
      want: sumResources(bundles),
      selector: (request.selectors ?? []).flat(),
      ways: [bundles, order.map((index) => bundles[index] as Resources)],
    };
    if (!ever(sum)) return 'infeasible';
    const target = candidates.find(({ spec }) => spec.id === request.softTarget);
    const blocks = bundles.flatMap((_, index) => (index % tensorParallel === 0 ? [block(index)] : []));
    const node = target !== undefined && rates(target, sum) >= 0 ? target : pick(candidates, sum, blocks);
    return node === null ? 'pending' : bundles.map(() => node.spec.id).join();
  }
  if (!jobs.every(ever)) return 'infeasible';
  const seats: (string | null)[] = bundles.map(() => null);
  const put = (index: number, node: NodeView): boolean => {
    const job = jobs[index] as Job;
    const taken = matches(node.spec, job.selector) ? take(freeOf(node), job.want) : null;
    if (taken === null) return false;
    free.set(node.spec.id, taken.free);
    seats[index] = node.spec.id;
    return true;
  };
  for (const head of order) {
    if (seats[head] !== null) continue;
    const job = jobs[head] as Job;
    const set = strategy === 'PACK' ? block(head).filter((bundle) => seats[bundle] === null) : [head];
    let node = pick(candidates, job, [set]);
    if (node === null && strategy === 'SPREAD') {
      node = pick(
        nodes.filter((other) => !candidates.includes(other)),
        job,
        [set],
      );
    }
    if (node === null) return 'pending';
    for (const index of strategy === 'PACK' ? order : [head]) if (seats[index] === null) put(index, node);
    candidates = candidates.filter((other) => other !== node);
  }
  return seats.join();
}

function heavier(a: Job, b: Job): number {
  const last = ['object_store_memory', 'memory', 'CPU'];
  const custom = [...new Set([...a.want.keys(), ...b.want.keys()])].filter(
    (name) => name !== 'GPU' && !last.includes(name),
  );
  for (const name of ['GPU', ...custom.sort(), ...last]) {
    const difference = (b.want.get(name) ?? 0) - (a.want.get(name) ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function rate(free: Free, { want, ways }: Job): number {
  let score = 0;
  for (const name of [...want.keys()].sort()) {
    const have = free.amounts.get(name) ?? 0;
    if (have < (want.get(name) ?? 0)) return -1;
    score += (have - (want.get(name) ?? 0)) / have;
  }
  return ways.some((way) => {
    let left: Free | undefined = free;
    for (const piece of way) left = left === undefined ? undefined : take(left, piece)?.free;
    return left !== undefined;
  })
    ? score
    : -1;
}

function linkage(node: NodeView, free: Free, request: GroupRequest, sets: readonly (readonly number[])[]): Linkage {
  const first = request.bundles[sets[0]?.[0] ?? -1];
  const name = [...(first?.keys() ?? [])].sort().find(isUnitResource);
  if (request.tensorParallel === 1 || name === undefined) return UNLINKED;
  let wholes = (free.instances.get(name) ?? []).flatMap((units, at) => (units === WHOLE ? [at] : []));
  let sum = UNLINKED;
  const sizes = sets.map((set) =>
    set.reduce((all, at) => all + Math.floor((request.bundles[at]?.get(name) ?? 0) / WHOLE), 0),
  );
  if (sizes.every((size) => size < 2)) return UNLINKED;
  for (const size of sizes) {
    const set = bestLinked(node.spec.devices.get(name) ?? null, wholes, Math.min(size, wholes.length));
    sum = addLinks(sum, set.linkage);
    wholes = wholes.filter((at) => !set.instances.includes(at));
  }
  return sum;
}
