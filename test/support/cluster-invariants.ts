/** What must hold in a {@link ClusterSimulation}: at every step, and once everything has come to rest. Throws what is wrong. */
import { GroupMachine, requestForMissing } from '../../src/cluster/group-machine.js';
import type { Ledger } from '../../src/cluster/ledger.js';
import { foldJournal } from '../../src/cluster/ledger-restore.js';
import { isLease, type LeaseRequest } from '../../src/cluster/request-shape.js';
import type { GroupView } from '../../src/cluster/types.js';
import { ClusterState } from '../../src/scheduler/cluster-state.js';
import { matches } from '../../src/scheduler/labels.js';
import { placeGroup } from '../../src/scheduler/place-group.js';
import { WHOLE } from '../../src/scheduler/resources.js';
import { placeTask } from '../../src/scheduler/tasks.js';
import type { Free, Grant, NodeSpec } from '../../src/scheduler/types.js';
import type { ClusterSimulation, SimAgent } from './cluster-simulation.js';

function must(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what);
}

/** Taken and free are the whole, device by device; nothing is below zero. */
function checkSums(who: string, { total, id }: NodeSpec, grants: readonly Grant[], free: Free): void {
  const amounts = new Map<string, number>();
  const devices = new Map<string, number>();
  for (const { resources, instances } of grants) {
    for (const [name, units] of resources) amounts.set(name, (amounts.get(name) ?? 0) + units);
    for (const [name, pieces] of instances) {
      for (const [instance, units] of pieces) {
        const key = `${name}:${instance}`;
        devices.set(key, (devices.get(key) ?? 0) + units);
      }
    }
  }
  for (const [name, units] of total) {
    const taken = amounts.get(name) ?? 0;
    const left = free.amounts.get(name) ?? 0;
    must(left >= 0 && taken + left === units, `${who}: ${name} of ${id}: ${taken} taken, ${left} free of ${units}`);
    free.instances.get(name)?.forEach((unit, instance) => {
      const held = devices.get(`${name}:${instance}`) ?? 0;
      must(held <= WHOLE && held + unit === WHOLE, `${who}: ${name} ${instance} of ${id}: ${held} held, ${unit} free`);
    });
  }
}

/** No device is held twice at this agent. */
export function checkAgent({ table, facts }: SimAgent, spec: NodeSpec): void {
  if (table === null) return;
  const grants = [...table.reservations()].flatMap(({ pieces }) => pieces.map(({ grant }) => grant));
  checkSums(`agent ${facts.id}`, spec, grants, table.free);
}

/** No bundle of a stateful group runs in two places: the old one has stopped before the new one begins. */
export function checkFencing({ agents, nowMs, untold }: ClusterSimulation): void {
  const running = new Map<string, string>();
  for (const { id, table } of agents) {
    for (const { txn, group, hold, committed, expiresAtMs, pieces } of table?.reservations() ?? []) {
      if (hold !== 'stateful' || !committed || expiresAtMs <= nowMs || untold.has(txn)) continue;
      for (const { bundle } of pieces) {
        const key = `${group}/${bundle}`;
        const other = running.get(key);
        must(other === undefined, `bundle ${key} runs on ${other} and on ${id}`);
        running.set(key, id);
      }
    }
  }
}

/** What the ledger says of itself agrees with itself. */
export function checkLedger(ledger: Ledger): void {
  const status = ledger.status();
  for (const { spec, state } of ledger.nodes()) {
    const free = status.free(spec.id);
    if (state === 'dead' || free === null) continue;
    checkSums(
      'ledger',
      spec,
      Array.from(status.holdings(spec.id), ({ grant }) => grant),
      free,
    );
  }
  const positions: number[] = [];
  const alive = new Set(Array.from(ledger.nodes(), ({ spec, state }) => (state === 'dead' ? '' : spec.id)));
  for (const view of ledger.groups()) {
    checkView(view);
    if (view.position !== null) positions.push(view.position);
    if (view.state === 'REMOVED') continue;
    for (const seat of view.seats) must(seat === null || alive.has(seat.node), `${view.id} sits on a dead node`);
    checkLease(view, (node) => status.node(node)?.spec ?? null);
    checkStrategy(view, (node) => status.node(node)?.spec.labels.get(view.spec.domainLabel ?? ''));
  }
  must(new Set(positions).size === positions.length, `positions ${positions.join(' ')}`);
  must(
    positions.every((position) => position < positions.length),
    `positions ${positions.join(' ')}`,
  );
}

function checkStrategy({ id, seats, spec }: GroupView, domainOf: (node: string) => string | undefined): void {
  const nodes = seats.flatMap((seat) => (seat === null ? [] : [seat.node]));
  const distinct = new Set(nodes);
  if (spec.strategy === 'STRICT_SPREAD') must(distinct.size === nodes.length, `${id} shares a node: ${nodes.join()}`);
  if (spec.strategy === 'STRICT_PACK') must(distinct.size <= 1, `${id} is on ${nodes.join()}`);
  if (spec.domainLabel !== null) must(new Set(nodes.map(domainOf)).size <= 1, `${id} is in several domains`);
}

/** It sits where its strategy and its selectors let it, and has exactly what it holds. */
function checkLease(view: GroupView, specOf: (node: string) => NodeSpec | null): void {
  const seat = view.seats[0] ?? null;
  if (view.spec.task === null || seat === null) return;
  const { strategy } = view.spec.task;
  const { selectors, held } = leaseRequest(view);
  const spec = specOf(seat.node);
  const bound = strategy.kind === 'node-affinity' && !strategy.soft;
  must(!bound || seat.node === strategy.node, `${view.id} sits on ${seat.node} against its affinity`);
  must(spec !== null && selectors.some((selector) => matches(spec, selector)), `${view.id} sits on other labels`);
  must(
    JSON.stringify([...seat.grant.resources]) === JSON.stringify([...held]),
    `${view.id} has ${[...seat.grant.resources]} instead of ${[...held]}`,
  );
}

function leaseRequest(view: GroupView): LeaseRequest {
  const { request } = new GroupMachine({ ...view, sequence: 0 });
  must(isLease(request), `${view.id} is no lease`);
  return request;
}

/** A lease is refused only where no waiting helps: its node is gone, drained or unfit, or it wants to fail. */
export function checkRefused(view: GroupView, ledger: Ledger): void {
  const strategy = view.spec.task?.strategy;
  must(strategy?.kind === 'node-affinity' && !strategy.soft, `${view.id} was refused without a hard affinity`);
  must(view.state === 'REMOVED' && view.reason !== null, `${view.id} is ${view.state} because of ${view.reason}`);
  const node = ledger.status().node(strategy.node);
  if (node === null || node.state === 'dead' || node.state === 'draining') return;
  must(node.state === 'alive', `${view.id} was refused while ${strategy.node} was ${node.state}`);
  const { resources, selectors } = leaseRequest(view);
  const fits = [...resources].every(([name, units]) => (node.spec.total.get(name) ?? 0) >= units);
  const labelled = selectors.some((selector) => matches(node.spec, selector));
  must(strategy.failOnUnavailable || !fits || !labelled, `${view.id} was refused by ${strategy.node}: ${view.reason}`);
}

function checkView({ id, state, scheduling, seats, position, reason }: GroupView): void {
  const seated = seats.filter((seat) => seat !== null).length;
  const as = `${id} is ${state} ${scheduling} with ${seated} of ${seats.length} seats at ${position}`;
  must((position !== null) === ['QUEUED', 'NO_RESOURCES', 'INFEASIBLE'].includes(scheduling), as);
  if (state === 'CREATED') must(scheduling === 'FINISHED' && seated === seats.length && reason === null, as);
  else if (state === 'REMOVED') must(scheduling === (reason === null ? 'REMOVED' : 'UNSCHEDULABLE'), as);
  else must(seated < seats.length && (state === 'RESCHEDULING' || seated === 0) && scheduling !== 'FINISHED', as);
  if (scheduling === 'NO_RESOURCES' || scheduling === 'INFEASIBLE') must(reason !== null, `${as} without a reason`);
}

/** The journal says what the ledger knows. */
export function checkJournal({ ledger, journal }: ClusterSimulation): void {
  if (ledger === null) return;
  const written = JSON.stringify(plain(foldJournal(journal)));
  const known = JSON.stringify(plain(foldJournal(ledger.snapshotRecords())));
  must(written === known, `the journal says\n${written}\nthe ledger\n${known}`);
  const living = Array.from(ledger.groups()).filter(({ state }) => state !== 'REMOVED');
  const { groups } = foldJournal(journal);
  must(living.map(({ id }) => id).join() === [...groups.keys()].join(), 'other groups live than the journal says');
}

function plain({ epoch, nodes, groups, removed, removedLeases }: ReturnType<typeof foldJournal>): unknown {
  const group = ({ seats, ...rest }: typeof groups extends Map<string, infer G> ? G : never) => ({
    ...rest,
    seats: [...seats]
      .sort((a, b) => a[0] - b[0])
      .map(([bundle, { node, txn, grant }]) => {
        return [bundle, node, txn, [...grant.resources], [...grant.instances]];
      }),
  });
  return {
    epoch,
    nodes: [...nodes.values()],
    groups: [...groups.values()].map(group),
    removed: [...removed.values()].map(group),
    removedLeases: [...removedLeases.values()].map(group),
  };
}

/** After a time without faults: agents hold exactly the seats, and who still waits does not fit. */
export function checkRest({ ledger, agents }: ClusterSimulation): void {
  must(ledger !== null, 'no head');
  const status = ledger.status();
  const views = Array.from(ledger.groups()).filter(({ state }) => state !== 'REMOVED');
  for (const { id, table } of agents) {
    const node = status.node(id);
    if (table === null) {
      must(node === null || node.state === 'dead', `${id} is gone but ${node?.state}`);
      continue;
    }
    must(node?.state === 'alive' || node?.state === 'draining', `${id} is there but ${node?.state}`);
    const seats = views.flatMap((view) => view.seats.flatMap((seat) => (seat?.node === id ? [seat.txn] : [])));
    const wanted = [...new Set(seats)].sort().join();
    const held = table.held();
    must(
      held.every(({ committed }) => committed),
      `${id} holds something prepared`,
    );
    must(
      held
        .map(({ txn }) => txn)
        .sort()
        .join() === wanted,
      `${id} holds ${JSON.stringify(held)}, wanted ${wanted}`,
    );
    const holdings = [...status.holdings(id)].length;
    must(holdings === seats.length, `the ledger has ${holdings} holdings on ${id} for ${seats.length} seats`);
  }
  const state = stateOf(ledger, views);
  for (const view of views.filter(({ state }) => state !== 'CREATED')) {
    const group = new GroupMachine({ ...view, sequence: 0 });
    group.seat(new Map(view.seats.flatMap((seat, bundle) => (seat === null ? [] : [[bundle, seat]]))));
    const { request, seats } = group;
    const labels = (node: string) => status.node(node)?.spec.labels ?? new Map();
    const { outcome } = isLease(request)
      ? placeTask(state, request, { random: 0, cursor: 0 })
      : placeGroup(state, requestForMissing({ request, seats }, group.missing(), labels));
    must(outcome !== 'refused', `${view.id} waits though its strategy allows no node`);
    const expected = outcome === 'placed' ? 'a place' : outcome === 'pending' ? 'NO_RESOURCES' : 'INFEASIBLE';
    must(view.scheduling === expected, `${view.id} is ${view.scheduling} (${view.reason}), expected ${expected}`);
  }
}

/** The state as it follows from nodes and seats alone. */
function stateOf(ledger: Ledger, views: readonly GroupView[]): ClusterState {
  const state = new ClusterState();
  for (const { spec, state: is } of ledger.nodes()) if (is !== 'dead') state.addNode(spec, is === 'alive');
  for (const { seats } of views) {
    for (const seat of seats) must(seat === null || state.claim(seat.node, seat.grant), `two seats on one device`);
  }
  return state;
}
