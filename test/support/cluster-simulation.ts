/**
 * A head, its agents and a bad network between them, in one process and under a clock of its own. Everything follows from the seed.
 * Messages take up to `delayMs`, get lost, come twice and overtake each other; heads crash with the end of their journal unwritten.
 */
import { Ledger } from '../../src/cluster/ledger.js';
import { ReservationTable } from '../../src/cluster/reservation-table.js';
import type {
  ClusterTimers,
  FromAgentBatch,
  GroupSpec,
  GroupView,
  LedgerEnvironment,
  LedgerRecord,
  NodeHello,
  ToAgentBatch,
} from '../../src/cluster/types.js';
import { DEFAULT_TIMERS } from '../../src/cluster/types.js';
import { helloToSpec } from '../../src/cluster/wire.js';

/** A short grace, so that serving reservations run out within a run. */
export const SIM_TIMERS: ClusterTimers = { ...DEFAULT_TIMERS, graceMs: 9000 };

/** A disconnected agent looks for a head so often. */
const JOIN_EVERY_MS = 60;

export interface NetworkFaults {
  /** Chance of a message to be lost, 0 to 1. */
  readonly loss: number;
  /** Chance of a message to come twice. */
  readonly repeat: number;
  /** Longest time on the way. */
  readonly delayMs: number;
}

export interface SimAgent {
  readonly id: string;
  facts: Omit<NodeHello, 'held'>;
  /** Null: it was killed. */
  table: ReservationTable | null;
  /** Head that it joined, by number; null: none. */
  joined: number | null;
  /** Nothing gets through in that direction. */
  cut: { toAgent: boolean; fromAgent: boolean };
  /** It does nothing until then; its mail waits, and is read before it looks at its own timers. */
  stalledUntilMs: number;
}

interface Packet {
  readonly dueMs: number;
  readonly deliver: () => void;
}

export class ClusterSimulation {
  nowMs = 1000;
  journal: LedgerRecord[] = [];
  ledger: Ledger | null = null;
  faults: NetworkFaults;
  readonly agents: SimAgent[];
  /** Reservations that agents may have committed but no client was told of: their record was never written. Nothing runs in them. */
  readonly untold = new Set<string>();
  /** Told of every lease that is refused, in that moment. */
  onRefused: (lease: GroupView, ledger: Ledger) => void = () => {};
  /** Told after everything that happens. */
  onStep: (agent: SimAgent | null) => void = () => {};
  readonly #random: () => number;
  #packets: Packet[] = [];
  #refused: string[] = [];
  #heads = 0;
  #groups = 0;
  #incarnations = 0;

  constructor(seed: number, totals: readonly NodeHello['total'][], faults: NetworkFaults) {
    this.#random = mulberry32(seed);
    this.faults = faults;
    this.agents = totals.map((total, at) => ({
      id: `n${at}`,
      facts: this.#facts(`n${at}`, total, { rack: `r${at % 2}` }),
      table: null,
      joined: null,
      cut: { toAgent: false, fromAgent: false },
      stalledUntilMs: 0,
    }));
    this.startHead();
    for (const agent of this.agents) this.startAgent(agent);
  }

  create(spec: GroupSpec, owner: string | null): void {
    if (this.ledger === null) return;
    this.ledger.createGroup(spec, owner);
    this.onStep(null);
  }

  /** A head with what the journal says. */
  startHead(): void {
    if (this.ledger !== null) return;
    this.#heads += 1;
    const number = this.#heads;
    const env: LedgerEnvironment = {
      nowMs: () => this.nowMs,
      wallMs: () => this.nowMs,
      newId: () => {
        this.#groups += 1;
        return `g${this.#groups}`;
      },
      random: () => this.#random(),
      send: (node, batch) => this.#toAgent(node, batch),
      append: (record) => this.journal.push(record),
      event: (event) => {
        if (event.e === 'group' && event.scheduling === 'UNSCHEDULABLE') this.#wasRefused(event.id);
        // The server hangs up on a node that it takes for dead.
        if (event.e !== 'node' || event.state !== 'dead') return;
        const agent = this.agents.find(({ id }) => id === event.id);
        if (agent?.joined === number) agent.joined = null;
      },
    };
    this.ledger = Ledger.restore(env, SIM_TIMERS, this.journal);
    for (const id of this.#refused.splice(0)) this.#wasRefused(id);
    this.onStep(null);
  }

  /** @param unwritten so many records at the end of the journal are lost; never its epoch, which is written before a head speaks */
  crashHead(unwritten: number): void {
    if (this.ledger === null) return;
    this.ledger = null;
    for (const agent of this.agents) agent.joined = null;
    for (let left = unwritten; left > 0 && this.journal.at(-1)?.r !== 'epoch'; left--) {
      const record = this.journal.pop();
      if (record?.r === 'seats') for (const { txn } of record.seats) this.untold.add(txn);
    }
  }

  compact(): void {
    if (this.ledger !== null) this.journal = this.ledger.snapshotRecords();
  }

  /** @param seen the head is told at once */
  kill(agent: SimAgent, seen: boolean): void {
    if (agent.table === null) return;
    agent.table = null;
    agent.joined = null;
    if (seen) this.ledger?.nodeLeft(agent.id, 'its process ended');
    this.onStep(agent);
  }

  startAgent(agent: SimAgent): void {
    if (agent.table !== null) return;
    agent.facts = this.#facts(agent.id, agent.facts.total, agent.facts.labels);
    agent.table = new ReservationTable(helloToSpec(agent.facts));
    this.#join(agent);
  }

  /** The connection breaks; the agent will join again. */
  disconnect(agent: SimAgent): void {
    agent.joined = null;
  }

  /** Let time pass, with all that happens in it. */
  advance(ms: number): void {
    const endMs = this.nowMs + ms;
    for (;;) {
      const dueMs = this.#nextMs();
      if (dueMs > endMs) break;
      this.nowMs = Math.max(this.nowMs, dueMs);
      this.#happen();
    }
    this.nowMs = endMs;
  }

  /** Everything works from now on. */
  heal(): void {
    this.faults = { loss: 0, repeat: 0, delayMs: 5 };
    for (const agent of this.agents) {
      agent.cut = { toAgent: false, fromAgent: false };
      agent.stalledUntilMs = 0;
    }
    this.startHead();
  }

  /** A ledger refuses already while it is restored: such leases are looked at once it is here. */
  #wasRefused(id: string): void {
    const lease = this.ledger?.group(id) ?? null;
    if (this.ledger === null) this.#refused.push(id);
    else if (lease !== null) this.onRefused(lease, this.ledger);
  }

  #nextMs(): number {
    let next = this.ledger?.nextWakeMs() ?? Number.POSITIVE_INFINITY;
    const [packet] = this.#packets;
    if (packet !== undefined) next = Math.min(next, packet.dueMs);
    for (const agent of this.agents) {
      next = Math.min(next, expiryOf(agent));
      if (this.#canJoin(agent)) next = Math.min(next, Math.ceil((this.nowMs + 1) / JOIN_EVERY_MS) * JOIN_EVERY_MS);
    }
    return next;
  }

  #happen(): void {
    while ((this.#packets[0]?.dueMs ?? Number.POSITIVE_INFINITY) <= this.nowMs) this.#packets.shift()?.deliver();
    for (const agent of this.agents) {
      if (expiryOf(agent) <= this.nowMs) {
        agent.table?.expire(this.nowMs);
        this.onStep(agent);
      }
      if (this.#canJoin(agent) && this.nowMs % JOIN_EVERY_MS === 0) this.#join(agent);
    }
    if ((this.ledger?.nextWakeMs() ?? Number.POSITIVE_INFINITY) <= this.nowMs) {
      this.ledger?.tick();
      this.onStep(null);
    }
  }

  #canJoin({ table, joined, cut, stalledUntilMs }: SimAgent): boolean {
    if (table === null || joined !== null || this.ledger === null) return false;
    return !cut.toAgent && !cut.fromAgent && stalledUntilMs <= this.nowMs;
  }

  #join(agent: SimAgent): void {
    if (!this.#canJoin(agent) || agent.table === null) return;
    agent.table.expire(this.nowMs);
    agent.joined = this.#heads;
    this.ledger?.nodeHello({ ...agent.facts, held: agent.table.held() });
    this.onStep(agent);
  }

  #toAgent(node: string, batch: ToAgentBatch): void {
    const agent = this.agents.find(({ id }) => id === node);
    if (agent === undefined || agent.joined === null) return;
    const deliver = (): void => {
      const { table, facts, cut, stalledUntilMs } = agent;
      if (table === null || cut.toAgent) return;
      if (stalledUntilMs > this.nowMs) {
        this.#post(stalledUntilMs, deliver);
        return;
      }
      const messages = table.apply(batch, this.nowMs);
      table.expire(this.nowMs);
      if (messages.length > 0) this.#fromAgent(agent, { incarnation: facts.incarnation, messages });
      this.onStep(agent);
    };
    this.#send(deliver);
  }

  #fromAgent(agent: SimAgent, batch: FromAgentBatch): void {
    this.#send(() => {
      if (this.ledger === null || agent.cut.fromAgent) return;
      this.ledger.receive(agent.id, batch);
      this.onStep(null);
    });
  }

  #send(deliver: () => void): void {
    const { loss, repeat, delayMs } = this.faults;
    if (this.#random() < loss) return;
    const copies = this.#random() < repeat ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      this.#post(this.nowMs + 1 + Math.floor(this.#random() * delayMs), deliver);
    }
  }

  #post(dueMs: number, deliver: () => void): void {
    let at = this.#packets.length;
    while (at > 0 && (this.#packets[at - 1]?.dueMs ?? 0) > dueMs) at -= 1;
    this.#packets.splice(at, 0, { dueMs, deliver });
  }

  #facts(id: string, total: NodeHello['total'], labels: NodeHello['labels']): Omit<NodeHello, 'held'> {
    this.#incarnations += 1;
    const incarnation = `i${this.#incarnations}`;
    return { id, name: id, address: 'here', incarnation, version: '0', pid: null, total, labels, devices: {} };
  }
}

/** When it looks at its reservations next. */
function expiryOf({ table, stalledUntilMs }: SimAgent): number {
  return Math.max(stalledUntilMs, table?.nextExpiryMs() ?? Number.POSITIVE_INFINITY);
}

function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
