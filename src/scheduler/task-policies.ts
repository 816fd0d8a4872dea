/** The policies by which Ray chooses a node for a task among candidates: hybrid, with its avoidance of GPU nodes, and round robin. Pure. */
import { nthSmallest } from './order-statistic.js';
import type { TaskCandidate } from './task-candidates.js';
import type { NodeView, Resources, TaskChance } from './types.js';

/** Nodes that are less used than this count as unused. */
const SPREAD_THRESHOLD = 0.5;
/** Share of all nodes among which the hybrid policy draws. */
const TOP_SHARE = 0.2;
/** Only these count as use. */
const MEASURED = ['CPU', 'memory', 'object_store_memory'];

/**
 * Hybrid: the preferred node when none is less used, else one of the least used fifth, drawn by `random`. Nodes that are free come before
 * those that are only big enough, and for work without GPU, free nodes without GPU before all.
 * @param alive nodes of the cluster, the fifth is of these
 * @param candidates at least one
 */
export function chooseHybrid(
  candidates: readonly TaskCandidate[],
  resources: Resources,
  alive: number,
  preferred: string | null,
  random: number,
): TaskCandidate {
  const free = candidates.filter(({ available }) => available);
  const withoutGpu = resources.has('GPU') ? [] : free.filter(({ view }) => !view.spec.total.has('GPU'));
  const pool = [withoutGpu, free, candidates].find(({ length }) => length > 0) ?? candidates;
  const scored = pool.map((candidate) => ({ candidate, id: candidate.view.spec.id, score: useOf(candidate.view) }));
  const least = scored.reduce((lowest, { score }) => Math.min(lowest, score), 1);
  const own = scored.find(({ id }) => id === preferred);
  if (own !== undefined && own.score <= least) return own.candidate;
  const top = Math.min(scored.length, Math.max(1, Math.floor(TOP_SHARE * alive)));
  const drawn = Math.min(top - 1, Math.floor(random * top));
  return nthSmallest(scored, drawn, (a, b) => a.score - b.score || byText(a.id, b.id)).candidate;
}

/** 0 below the threshold, else the share in use of what is used most. */
function useOf({ spec, free }: NodeView): number {
  let most = 0;
  for (const name of MEASURED) {
    const total = spec.total.get(name) ?? 0;
    if (total > 0) most = Math.max(most, 1 - (free.amounts.get(name) ?? 0) / total);
  }
  return most < SPREAD_THRESHOLD ? 0 : most;
}

/**
 * Round robin over all ids in order, from the cursor on: the next that is free, else the next that is big enough.
 * @param ids of every node that is alive, in any order; reordered
 * @param candidates at least one
 * @returns the node, and the cursor for the next call
 */
export function chooseSpread(
  candidates: readonly TaskCandidate[],
  ids: string[],
  { cursor }: TaskChance,
): { readonly chosen: TaskCandidate; readonly cursor: number } {
  const first = nthSmallest(ids, ((cursor % ids.length) + ids.length) % ids.length, byText);
  const free = candidates.filter(({ available }) => available);
  const pool = free.length > 0 ? free : candidates;
  const ahead = pool.filter(({ view }) => view.spec.id >= first);
  const chosen = (ahead.length > 0 ? ahead : pool).reduce((best, candidate) =>
    candidate.view.spec.id < best.view.spec.id ? candidate : best,
  );
  const passed = ids.reduce((count, id) => (id <= chosen.view.spec.id ? count + 1 : count), 0);
  return { chosen, cursor: passed % ids.length };
}

function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
