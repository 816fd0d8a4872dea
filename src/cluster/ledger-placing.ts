/**
 * From waiting to placed: who is tried when, the two phases, and what happens when they fail. A pass follows everything that may help
 * somebody, in the same call; no timer wakes anybody.
 */
import { explainGroup } from '../scheduler/explain.js';
import { explainTask } from '../scheduler/explain-task.js';
import { placeGroup } from '../scheduler/place-group.js';
import type { NodeReason, PlacedBundle } from '../scheduler/types.js';
import { type GroupMachine, requestForMissing } from './group-machine.js';
import type { LedgerClaims } from './ledger-claims.js';
import type { LedgerCore } from './ledger-core.js';
import { LedgerLeases } from './ledger-leases.js';
import type { Claim, ClaimPiece, NodeRecord } from './ledger-model.js';
import type { LedgerNodes } from './ledger-nodes.js';
import { PendingQueue, type QueueClock, type Verdict } from './pending-queue.js';
import { isLease, type PlacementRequest } from './request-shape.js';
import type { BundleSeat, GroupView } from './types.js';
import { grantToWire } from './wire.js';

export class LedgerPlacing {
  readonly #queue = new PendingQueue<GroupMachine>();
  readonly #core: LedgerCore;
  readonly #nodes: LedgerNodes;
  readonly #claims: LedgerClaims;
  readonly #leases: LedgerLeases;
  readonly #refuse: (group: GroupMachine, why: string) => void;
  /** Groups with an attempt under way, the one that began first first. */
  readonly #preparing = new Set<GroupMachine>();
  /** Nodes that went: like a return, it changes what the others are answered. */
  #departures = 0;
  #transactions = 0;

  /** @param refuse remove a lease whose strategy allows no node any more */
  constructor(
    core: LedgerCore,
    nodes: LedgerNodes,
    claims: LedgerClaims,
    refuse: (group: GroupMachine, why: string) => void,
  ) {
    this.#core = core;
    this.#nodes = nodes;
    this.#claims = claims;
    this.#leases = new LedgerLeases(core, nodes);
    this.#refuse = refuse;
  }

  /**
   * When the eldest attempt is given up; null: none is under way. Half the life of what it prepared, so that its commits, sent again if
   * need be, come before that is over.
   */
  get nextDeadlineMs(): number | null {
    const [first] = this.#preparing;
    return first?.attempt?.deadlineMs ?? null;
  }

  /** A new group: placed at once when it fits and nobody waits, else in the queue. */
  begin(group: GroupMachine): void {
    if (this.#queue.size > 0) {
      this.wait(group);
      return;
    }
    this.#announce(group);
    const verdict = this.#try(group, group.request);
    if (verdict === null) return;
    group.attempts += 1;
    this.#queue.add(group, group.request, this.#clock(), verdict);
    this.#announce(group);
  }

  /** Let it wait, at its place; the next {@link pass} tries it. */
  wait(group: GroupMachine): void {
    this.#queue.add(group, this.#requestFor(group), this.#clock());
    this.#announce(group);
  }

  /** Try everybody whom anything since the last pass may have helped. */
  pass(): void {
    if (this.#queue.size === 0) return;
    this.#queue.pass(
      () => this.#clock(),
      // Leases of one shape differ in the node that they prefer, and in what they hold.
      (group, request) => this.#try(group, isLease(group.request) ? group.request : request),
      (groups) => {
        for (const group of groups) this.#announce(group);
      },
    );
  }

  /** The agent has reserved its part. */
  prepared(claim: Claim): void {
    const { group } = claim;
    if (claim.phase !== 'preparing' || group?.attempt == null) return;
    this.#claims.prepared(claim);
    group.attempt.open -= 1;
    if (group.attempt.open === 0) this.#decide(group);
  }

  /** The agent holds nothing for it. The node takes nothing new until its report has come, and not before the time of a resend. */
  refused(claim: Claim, reason: string): void {
    const { group, node } = claim;
    if (claim.phase !== 'preparing' || group === null) return;
    const untilMs = this.#core.env.nowMs() + this.#core.timers.resendMs;
    this.#nodes.change(node, reason, () => {
      node.refusal = { untilMs, reported: false };
    });
    this.#claims.forget(claim);
    this.abandon(group, `${node.spec.id} refused: ${reason}`);
  }

  /** Give up the attempt under way, if any: release what it took, wait again. */
  abandon(group: GroupMachine, reason: string): void {
    if (!this.#cancel(group)) return;
    group.abandon(reason);
    this.wait(group);
  }

  /** What an agent held for it is gone: its bundles wait again, before all others. */
  lost(claims: readonly Claim[], reason: string): void {
    const groups = new Set(claims.flatMap(({ group }) => (group === null ? [] : [group])));
    for (const group of groups) {
      const seated = claims.filter((claim) => claim.group === group && hasSeats(claim));
      if (seated.length === 0) continue;
      if (this.#cancel(group)) group.abandon(reason);
      this.#queue.delete(group);
      const bundles = seated.flatMap(({ pieces }) => pieces.map(({ bundle }) => bundle)).sort((a, b) => a - b);
      this.#core.append({ r: 'lost', id: group.id, bundles });
      group.lose(bundles, reason);
      this.wait(group);
    }
  }

  /** It is over: it waits no longer and wants nothing that it has. @param refusal see {@link GroupMachine.remove} */
  remove(group: GroupMachine, refusal: string | null): void {
    this.#queue.delete(group);
    this.#preparing.delete(group);
    for (const claim of [...group.claims]) this.#claims.release(claim);
    group.remove(refusal);
    this.#announce(group);
  }

  view(group: GroupMachine): GroupView {
    return group.view(this.#queue.waiting(group));
  }

  /** Why each node does not take what the group lacks; empty when it lacks nothing. */
  explain(group: GroupMachine): NodeReason[] {
    const { attempt, state } = group;
    if (attempt !== null) return attempt.claims.map(reasonOf);
    if (state === 'REMOVED' || state === 'CREATED') return [];
    const request = this.#requestFor(group);
    const reasons = isLease(request) ? explainTask(this.#core.state, request) : explainGroup(this.#core.state, request);
    return reasons.map((reason) => {
      const node = reason.kind === 'not-schedulable' ? this.#nodes.get(reason.node) : null;
      return node === null ? reason : { ...reason, reason: whyClosed(node, this.#core.env.nowMs()) };
    });
  }

  /** A node is gone: nothing can be placed there. */
  departed(): void {
    this.#departures += 1;
  }

  /** Give up what should have been prepared by now. */
  expireAttempts(nowMs: number): void {
    for (const group of [...this.#preparing]) {
      const { attempt } = group;
      if (attempt === null || attempt.deadlineMs > nowMs) return;
      const silent = attempt.claims.filter(({ phase }) => phase === 'preparing').map(({ node }) => node.spec.id);
      this.abandon(group, `no answer from ${silent.join(', ')}`);
    }
  }

  /** Null: it waits no longer, because it is being prepared or was refused for good. */
  #try(group: GroupMachine, request: PlacementRequest): Verdict | null {
    const { state } = this.#core;
    const plannedOn = state.version;
    const placement = isLease(request) ? this.#leases.place(request) : placeGroup(state, request);
    if (placement.outcome === 'refused') {
      group.attempts += 1;
      this.#refuse(group, placement.reason);
      return null;
    }
    if (placement.outcome !== 'placed') {
      const { reason } = placement;
      const forGood = placement.outcome === 'infeasible' && !this.#nodes.someRest;
      return { scheduling: forGood ? 'INFEASIBLE' : 'NO_RESOURCES', reason };
    }
    // Nothing runs between plan and claim; should that ever change, a stale plan must not be claimed.
    if (state.version !== plannedOn) throw new Error(`the plan of group ${group.id} is of another version`);
    this.#prepare(group, placement.bundles);
    return null;
  }

  #prepare(group: GroupMachine, placed: readonly PlacedBundle[]): void {
    const missing = group.missing();
    const byNode = new Map<string, ClaimPiece[]>();
    for (const { index, node, grant } of placed) {
      const bundle = missing[index];
      if (bundle === undefined) throw new Error(`group ${group.id} has no missing bundle ${index}`);
      const piece = { bundle, grant };
      const pieces = byNode.get(node);
      if (pieces === undefined) byNode.set(node, [piece]);
      else pieces.push(piece);
    }
    const claims = Array.from(byNode, ([id, pieces]) => {
      this.#transactions += 1;
      // The epoch keeps those of another head apart.
      const txn = `${group.id}.${this.#core.epoch}.${this.#transactions}`;
      return this.#claims.prepare(group, txn, this.#node(id), pieces);
    });
    const deadlineMs = this.#core.env.nowMs() + this.#core.timers.prepareTtlMs / 2;
    group.prepare({ claims, open: claims.length, deadlineMs });
    this.#preparing.add(group);
    this.#announce(group);
  }

  /** Everything is prepared: from here on the group has its seats, whatever happens to this head. */
  #decide(group: GroupMachine): void {
    const { attempt } = group;
    if (attempt === null) return;
    const seats = new Map<number, BundleSeat>();
    for (const { txn, node, pieces } of attempt.claims) {
      for (const { bundle, grant } of pieces) seats.set(bundle, { node: node.spec.id, grant, txn });
    }
    this.#preparing.delete(group);
    this.#core.append({ r: 'seats', id: group.id, seats: seatRecords(attempt.claims) });
    group.seat(seats);
    for (const claim of attempt.claims) this.#claims.commit(claim);
    this.#announce(group);
  }

  #cancel(group: GroupMachine): boolean {
    const { attempt } = group;
    if (attempt === null) return false;
    this.#preparing.delete(group);
    for (const claim of attempt.claims) if (group.claims.has(claim)) this.#claims.release(claim);
    return true;
  }

  #clock(): QueueClock {
    const { joins } = this.#nodes;
    const changes = joins + this.#departures + this.#claims.returned;
    return { joins, changes, version: changes + this.#core.state.version };
  }

  #node(id: string): NodeRecord {
    const node = this.#nodes.get(id);
    if (node === null) throw new Error(`a plan names ${id}, which is not there`);
    return node;
  }

  #requestFor(group: GroupMachine): PlacementRequest {
    const { request, seats } = group;
    if (isLease(request)) return request;
    return requestForMissing({ request, seats }, group.missing(), (id) => this.#node(id).spec.labels);
  }

  #announce(group: GroupMachine): void {
    const { id, state } = group;
    const waiting = this.#queue.waiting(group);
    this.#core.event({
      e: 'group',
      id,
      state,
      scheduling: group.scheduling(waiting),
      reason: group.reason(waiting),
    });
  }
}

/** Whether its bundles have been given their seats. */
function hasSeats({ phase }: Claim): boolean {
  return phase === 'committing' || phase === 'committed';
}

function reasonOf({ node, phase, pieces }: Claim): NodeReason {
  const what = pieces.length === 1 ? 'a bundle' : `${pieces.length} bundles`;
  const reason = phase === 'preparing' ? `was asked to reserve ${what}, no answer yet` : `has reserved ${what}`;
  return { node: node.spec.id, kind: 'available', reason };
}

function whyClosed(node: NodeRecord, nowMs: number): string {
  if (node.state === 'unknown') return 'has not joined again since the head was restarted';
  if (node.state === 'suspect') return `silent for ${Math.round(nowMs - node.heardAtMs)} ms`;
  if (node.draining) return 'is drained: what is there stays, nothing new comes';
  return 'takes nothing new until it has been reconciled: it holds, or refused, what the head did not expect';
}

/** As the journal has them, by bundle. */
export function seatRecords(claims: Iterable<Claim>) {
  const seats = Array.from(claims).flatMap(({ txn, node, pieces, wire }) =>
    pieces.map(({ bundle, grant }, at) => ({
      bundle,
      node: node.spec.id,
      txn,
      grant: wire?.[at]?.grant ?? grantToWire(grant),
    })),
  );
  return seats.sort((a, b) => a.bundle - b.bundle);
}
