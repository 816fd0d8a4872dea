/**
 * The nodes of a cluster and what is free on them. One owner (the ledger) changes it; placing only reads. Knows nothing of groups, leases
 * or messages.
 */
import { TwinkleError } from '../errors.js';
import { allFree, giveBack, takeGrant } from './free.js';
import { NodePool } from './node-pool.js';
import { fromUnits, isUnitResource, WHOLE } from './resources.js';
import type { Grant, NodeSpec, NodeView, Units } from './types.js';

/** More devices than any box has; each of them is a number in memory. */
const MOST_DEVICES = 65_536;

export class ClusterState {
  /** The same nodes with the indexes that placing uses: for the scheduler only. */
  readonly pool: NodePool;
  #version = 0;
  #nextOrder = 0;

  constructor() {
    this.pool = new NodePool();
  }

  /** Grows with every change. */
  get version(): number {
    return this.#version;
  }

  /** Number of nodes, schedulable or not. */
  get size(): number {
    return this.pool.size;
  }

  /**
   * A node joins, with everything free, last in order also when it was here before.
   * @throws `PLACEMENT_INVALID`: the id is in use, a total is not a whole number above zero, or `devices` do not agree with the totals
   */
  addNode(spec: NodeSpec, schedulable = true): void {
    if (this.pool.get(spec.id) !== null) {
      throw invalid(`expected a new node but received "${spec.id}", which is known; remove it first`);
    }
    for (const [name, units] of spec.total) checkTotal(spec, name, units);
    for (const name of spec.devices.keys()) checkDevices(spec, name);
    // Now, because the first group that wants linked devices should not wait for it.
    for (const name of spec.devices.keys()) this.pool.links.wiring(spec, name);
    this.#set({ spec, order: this.#nextOrder++, free: allFree(spec), schedulable });
  }

  /** Unknown: nothing happens. */
  removeNode(id: string): void {
    if (this.pool.get(id) === null) return;
    this.pool.delete(id);
    this.#version += 1;
  }

  /** Whether the node is a candidate for new work. Unknown: nothing happens. */
  setSchedulable(id: string, on: boolean): void {
    const view = this.pool.get(id);
    if (view !== null && view.schedulable !== on) this.#set({ ...view, schedulable: on });
  }

  node(id: string): NodeView | null {
    return this.pool.get(id);
  }

  /** In joining order. */
  nodes(): Iterable<NodeView> {
    return this.pool.views();
  }

  /** Take exactly that, also on a node that takes no new work. False: unknown node, or it is not free there. */
  claim(id: string, grant: Grant): boolean {
    const view = this.pool.get(id);
    if (view === null || !isWhole(grant)) return false;
    const free = takeGrant(view.free, grant);
    if (free === null) return false;
    this.#set({ ...view, free });
    return true;
  }

  /** Give back what was claimed. Unknown node: nothing happens. */
  giveBack(id: string, grant: Grant): void {
    const view = this.pool.get(id);
    if (view !== null) this.#set({ ...view, free: giveBack(view.free, grant) });
  }

  /** The same nodes, changed independently from now on: for what-if. */
  copy(): ClusterState {
    const copy = new ClusterState();
    for (const view of this.pool.views()) copy.pool.set(view);
    copy.#version = this.#version;
    copy.#nextOrder = this.#nextOrder;
    return copy;
  }

  #set(view: NodeView): void {
    this.pool.set(view);
    this.#version += 1;
  }
}

/** A grant that names other devices than amounts would make sums and devices disagree for ever. */
function isWhole({ resources, instances }: Grant): boolean {
  for (const name of instances.keys()) if (!resources.has(name)) return false;
  for (const [name, units] of resources) {
    if (!isUnitResource(name)) continue;
    const pieces = instances.get(name) ?? [];
    if (new Set(pieces.map(([instance]) => instance)).size !== pieces.length) return false;
    if (pieces.reduce((sum, [, piece]) => sum + piece, 0) !== units) return false;
  }
  return true;
}

function checkTotal({ id }: NodeSpec, name: string, units: Units): void {
  if (!Number.isFinite(units) || units <= 0 || units % WHOLE !== 0) {
    throw invalid(`expected a whole number above zero for ${name} of node "${id}" but received ${fromUnits(units)}`);
  }
  if (isUnitResource(name) && units > MOST_DEVICES * WHOLE) {
    throw invalid(
      `expected at most ${MOST_DEVICES} devices for ${name} of node "${id}" but received ${fromUnits(units)}`,
    );
  }
}

function checkDevices({ id, total, devices }: NodeSpec, name: string): void {
  const count = isUnitResource(name) ? fromUnits(total.get(name) ?? 0) : 0;
  const { ids, numa, links } = devices.get(name) ?? { ids: [], numa: [], links: [] };
  if (ids.length !== count || numa.length !== count) {
    throw invalid(
      `expected ${count} devices for ${name} of node "${id}" but received ${ids.length} ids and ${numa.length} NUMA nodes`,
    );
  }
  for (const { a, b } of links) {
    if (a === b || ![a, b].every((at) => Number.isInteger(at) && at >= 0 && at < count)) {
      throw invalid(
        `expected links between two of the ${count} devices for ${name} of node "${id}" but received ${a}–${b}`,
      );
    }
  }
}

function invalid(message: string): TwinkleError {
  return new TwinkleError('PLACEMENT_INVALID', message);
}
