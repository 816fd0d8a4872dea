/** What of a node a demand looks at: resource names and labels. Nodes that are equal in it are interchangeable. Pure. */
import type { Demand } from './demand.js';
import { isUnitResource } from './resources.js';

export interface Projection {
  readonly key: string;
  /** Resource names in alphabetical order. */
  readonly names: readonly string[];
  /** Which two of them have the amounts that order nodes which are equal in the rest; −1: none is fit for it. */
  readonly sorted: readonly [first: number, second: number];
  readonly units: readonly string[];
  readonly labels: readonly string[];
  /** Label by whose value nodes are kept apart; null: together. */
  readonly domain: string | null;
  /** The resource of which it matters which devices are free, all else being equal; null: how many is enough. */
  readonly linked: string | null;
}

/** Bytes take the most different values, CPUs come next; devices cannot be ordered by their sum. */
const BEST_SORTED = ['memory', 'object_store_memory', 'CPU'];

/** By demand: a demand is asked for once per bundle and node pool, and making the key costs more than the search. */
const known = new WeakMap<Demand, Projection[]>();

export function projectionOf(demand: Demand, domain: string | null, linked: string | null): Projection {
  const before = known.get(demand);
  const found = before?.find((projection) => projection.domain === domain && projection.linked === linked);
  if (found !== undefined) return found;
  const made = project(demand, domain, linked);
  known.set(demand, before === undefined ? [made] : [...before, made]);
  return made;
}

function project(demand: Demand, domain: string | null, linked: string | null): Projection {
  const all = demand.names;
  const amounts = all.filter((name) => !isUnitResource(name) && !BEST_SORTED.includes(name));
  const [first, second] = [...BEST_SORTED.filter((name) => demand.resources.has(name)), ...amounts];
  const labels = demand.labels.length === 0 ? [] : [...new Set(demand.labels.map(({ key }) => key))].sort();
  return {
    key: JSON.stringify([all, labels, domain, linked]),
    names: all,
    sorted: [first === undefined ? -1 : all.indexOf(first), second === undefined ? -1 : all.indexOf(second)],
    units: all.filter(isUnitResource),
    labels,
    domain,
    linked,
  };
}
