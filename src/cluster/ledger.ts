/**
 * The truth about a cluster: nodes, groups, and who holds what. A machine without I/O: calls, agents' messages and the clock go in;
 * messages, journal records and events come out before the call returns. This file wires the parts; each decides in its own.
 */
import { TwinkleError } from '../errors.js';
import type { Free, Grant, NodeReason } from '../scheduler/types.js';
import { GroupMachine } from './group-machine.js';
import { LedgerClaims } from './ledger-claims.js';
import { LedgerClock } from './ledger-clock.js';
import { LedgerCore } from './ledger-core.js';
import { LedgerGroups } from './ledger-groups.js';
import { LedgerMembership } from './ledger-membership.js';
import type { NodeRecord } from './ledger-model.js';
import { LedgerNodes } from './ledger-nodes.js';
import { LedgerPlacing } from './ledger-placing.js';
import { refill } from './ledger-refill.js';
import { LedgerReports } from './ledger-reports.js';
import { compactRecords, type FoldedJournal, foldJournal, removedRecord } from './ledger-restore.js';
import type {
  ClusterNode,
  ClusterTimers,
  FromAgentBatch,
  GroupSpec,
  GroupView,
  LedgerEnvironment,
  LedgerRecord,
  NodeHello,
} from './types.js';

/** What one bundle takes on a node, seated or on its way there or back. */
export interface Holding {
  readonly group: string;
  readonly bundle: number;
  readonly grant: Grant;
}

/** What a status shows beyond groups and nodes. */
export interface LedgerStatus {
  /** Also a dead one; null: not known. */
  node(id: string): ClusterNode | null;
  /** What is free there; null: not a living node. */
  free(id: string): Free | null;
  /** Everything that is taken there. */
  holdings(id: string): Iterable<Holding>;
}

export class Ledger {
  readonly #core: LedgerCore;
  readonly #nodes: LedgerNodes;
  readonly #groups = new LedgerGroups();
  readonly #placing: LedgerPlacing;
  readonly #reports: LedgerReports;
  readonly #membership: LedgerMembership;
  readonly #clock: LedgerClock;
  #entered = false;

  /**
   * A ledger that knows what `journal` says (default: nothing), under a new epoch.
   * @throws `JOURNAL_DAMAGED`
   */
  constructor(env: LedgerEnvironment, timers: ClusterTimers, journal: FoldedJournal = foldJournal([])) {
    const core = new LedgerCore(env, timers, journal.epoch + 1);
    const nodes = new LedgerNodes(core);
    const claims = new LedgerClaims(core);
    const placing = new LedgerPlacing(core, nodes, claims, (group, why) => this.#remove(group, why));
    const reports = new LedgerReports(core, nodes, claims, placing, (node) => this.#clock.renew(node));
    this.#core = core;
    this.#nodes = nodes;
    this.#placing = placing;
    this.#reports = reports;
    this.#membership = new LedgerMembership({ core, nodes, claims, placing, reports });
    this.#clock = new LedgerClock({ core, nodes, claims, placing, reports, membership: this.#membership });
    this.#run(() => {
      core.append({ r: 'epoch', epoch: core.epoch });
      refill({ nodes, groups: this.#groups, claims, placing }, journal);
    });
  }

  /**
   * The ledger after a restart of its head. Nodes of the journal take nothing new until they join again; groups keep their seats.
   * @throws `JOURNAL_DAMAGED`
   */
  static restore(env: LedgerEnvironment, timers: ClusterTimers, records: Iterable<LedgerRecord>): Ledger {
    return new Ledger(env, timers, foldJournal(records));
  }

  /** Of this start of the head. */
  get epoch(): number {
    return this.#core.epoch;
  }

  /** Grows with every change. */
  get version(): number {
    return this.#core.version;
  }

  /**
   * An agent joins, or joins again after silence or a restart of the head. A new incarnation of a known node ends the old one.
   * @throws `PLACEMENT_INVALID`: what it says of its node is wrong in itself
   */
  nodeHello(hello: NodeHello): void {
    this.#run(() => {
      const node = this.#membership.hello(hello);
      this.#clock.renew(node);
    });
  }

  /** The node left, or was seen to end: what was there is lost at once. An unknown one is ignored. */
  nodeLeft(id: string, why: string): void {
    this.#run(() => {
      const node = this.#nodes.get(id);
      if (node !== null) this.#membership.die(node, why);
    });
  }

  /** The node takes nothing new from now on; what is there stays. An unknown one is ignored. */
  drainNode(id: string): void {
    this.#run(() => {
      const node = this.#nodes.get(id);
      if (node !== null) this.#membership.drain(node);
    });
  }

  /** What an agent says. Ignored: of a dead node, of an incarnation before, of one that has not joined this head. */
  receive(id: string, batch: FromAgentBatch): void {
    this.#run(() => {
      const node = this.#nodes.get(id);
      if (node === null || node.state === 'unknown' || node.facts.incarnation !== batch.incarnation) return;
      node.heardAtMs = this.#core.env.nowMs();
      if (node.state === 'suspect') {
        this.#nodes.change(node, 'it is heard again', () => {
          node.state = 'alive';
        });
      }
      for (const message of batch.messages) this.#reports.take(node, message);
    });
  }

  /**
   * Make a group or lease; it is placed at once if that can be, or waits. A lease that no node may ever take is REMOVED at once, and says why.
   * @param owner session that it ends with, unless it is detached; null: nobody's
   * @returns its id
   * @throws `PLACEMENT_INVALID`, `GROUP_NAME_TAKEN`
   */
  createGroup(spec: GroupSpec, owner: string | null): string {
    return this.#run(() => {
      const { env } = this.#core;
      const group = new GroupMachine({
        id: env.newId(),
        spec,
        owner: spec.lifetime === 'detached' ? null : owner,
        createdAt: env.wallMs(),
        sequence: this.#groups.nextSequence(),
      });
      this.#groups.checkName(spec.name, spec.namespace);
      this.#core.append({ r: 'group', id: group.id, spec, owner: group.owner, createdAt: group.createdAt });
      this.#groups.add(group);
      this.#placing.begin(group);
      return group.id;
    });
  }

  /**
   * Remove a group, whatever it is doing. What it held is free when its agents say so. A removed one is left as it is.
   * @throws `GROUP_NOT_FOUND`
   */
  removeGroup(id: string): void {
    this.#run(() => {
      const group = this.#found(id);
      if (group.state === 'REMOVED') return;
      this.#remove(group, null);
    });
  }

  /** A client is gone for good: what it owned goes with it. */
  ownerGone(owner: string): void {
    this.#run(() => {
      const owned = [...this.#groups.living()].filter((group) => group.owner === owner);
      if (owned.length === 0) return;
      this.#core.append({ r: 'owner-gone', owner });
      for (const group of owned) this.#retire(group, null);
    });
  }

  /** Also a removed one, while it is remembered. */
  group(id: string): GroupView | null {
    const group = this.#groups.get(id);
    return group === null ? null : this.#placing.view(group);
  }

  /** The living group of that name. */
  findGroup(name: string, namespace: string): GroupView | null {
    const group = this.#groups.named(name, namespace);
    return group === null ? null : this.#placing.view(group);
  }

  /**
   * Groups and leases that live in the order of creation, then the groups that were removed in the order of removal; leases are too many.
   * @param removed only so many of those, the latest; default: all that are remembered
   */
  *groups(removed?: number): Iterable<GroupView> {
    for (const group of this.#groups.living()) yield this.#placing.view(group);
    for (const group of this.#groups.removed(removed)) yield this.#placing.view(group);
  }

  /** Living ones in joining order, then those that died lately. */
  nodes(): Iterable<ClusterNode> {
    return this.#nodes.views();
  }

  /**
   * Why each node does not take what the group still lacks; empty when it lacks nothing.
   * @throws `GROUP_NOT_FOUND`
   */
  explain(id: string): NodeReason[] {
    return this.#placing.explain(this.#found(id));
  }

  /** Journal records that say all of this and nothing of how it came. */
  snapshotRecords(): LedgerRecord[] {
    const groups = this.#groups;
    return compactRecords({
      epoch: this.epoch,
      nodes: this.#nodes.living(),
      groups: groups.living(),
      removed: [...groups.removed(), ...groups.removedLeases()],
    });
  }

  /** For status views. */
  status(): LedgerStatus {
    return {
      node: (id) => this.#nodes.view(id),
      free: (id) => this.#core.state.node(id)?.free ?? null,
      holdings: (id) => holdingsOf(this.#nodes.get(id)),
    };
  }

  /** Let time pass: call it at {@link nextWakeMs}, or at any other time. */
  tick(): void {
    this.#run(() => this.#clock.tick());
  }

  /** ms of the ledger's clock; null: nothing to do before something happens. */
  nextWakeMs(): number | null {
    return this.#clock.nextWakeMs;
  }

  /** @param refusal see {@link GroupMachine.remove} */
  #remove(group: GroupMachine, refusal: string | null): void {
    this.#core.append(removedRecord(group.id, refusal));
    this.#retire(group, refusal);
  }

  #retire(group: GroupMachine, refusal: string | null): void {
    this.#groups.retire(group);
    this.#placing.remove(group, refusal);
  }

  #found(id: string): GroupMachine {
    const group = this.#groups.get(id);
    if (group !== null) return group;
    throw new TwinkleError('GROUP_NOT_FOUND', `expected the id of a placement group but received "${id}"`);
  }

  /** Does the work, then everything that follows from it. What is called from in there is part of it. */
  #run<T>(work: () => T): T {
    if (this.#entered) return work();
    this.#entered = true;
    try {
      return work();
    } finally {
      try {
        do this.#placing.pass();
        while (this.#core.flush());
      } finally {
        this.#entered = false;
      }
    }
  }
}

function* holdingsOf(node: NodeRecord | null): Iterable<Holding> {
  for (const { group, pieces } of node?.claims.values() ?? []) {
    if (group === null) continue;
    for (const { bundle, grant } of pieces) yield { group: group.id, bundle, grant };
  }
}
