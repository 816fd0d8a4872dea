/** A ledger whose agents answer when the test says so, or at once. */
import { Ledger } from '../../../src/cluster/ledger.js';
import { ReservationTable } from '../../../src/cluster/reservation-table.js';
import {
  type ClusterTimers,
  DEFAULT_TIMERS,
  type FromAgent,
  type GroupSpec,
  type LedgerEnvironment,
  type LedgerEvent,
  type LedgerRecord,
  type NodeHello,
  type Quantities,
  type TaskPlacementSpec,
  type ToAgent,
} from '../../../src/cluster/types.js';
import { helloToSpec } from '../../../src/cluster/wire.js';
import type { TaskStrategy } from '../../../src/scheduler/types.js';

/** A group of one GPU, unless `some` says otherwise. */
export function groupOf(some: Partial<GroupSpec> = {}): GroupSpec {
  return {
    name: '',
    namespace: 'default',
    lifetime: 'owner',
    strategy: 'PACK',
    domainLabel: null,
    bundles: [{ GPU: 1 }],
    selectors: null,
    softTarget: null,
    tensorParallel: 1,
    hold: 'serving',
    task: null,
    ...some,
  };
}

/** A lease of one CPU, placed by the default strategy, unless `task` and `some` say otherwise. */
export function leaseOf(task: Partial<TaskPlacementSpec> = {}, some: Partial<GroupSpec> = {}): GroupSpec {
  const rules = { strategy: { kind: 'default' }, preferred: null, fallbacks: [], needs: null, ...task } as const;
  return groupOf({ bundles: [{ CPU: 1 }], task: rules, ...some });
}

/** An affinity to that node: hard, unless `some` says otherwise. */
export function affinityTo(node: string, some: Partial<NodeAffinity> = {}): NodeAffinity {
  return { kind: 'node-affinity', node, soft: false, spillOnUnavailable: false, failOnUnavailable: false, ...some };
}

type NodeAffinity = Extract<TaskStrategy, { readonly kind: 'node-affinity' }>;

/** `count` bundles of one GPU. */
export function gpus(count: number): Quantities[] {
  return Array.from({ length: count }, () => ({ GPU: 1 }));
}

/** A node of 2 GPUs and 4 CPUs, unless `some` says otherwise. */
export function helloOf(id: string, some: Partial<NodeHello> = {}): NodeHello {
  return {
    id,
    name: id,
    address: 'here',
    incarnation: `${id}-1`,
    version: '0',
    pid: null,
    total: { GPU: 2, CPU: 4 },
    labels: {},
    devices: {},
    held: [],
    ...some,
  };
}

export class LedgerKit {
  nowMs = 0;
  readonly journal: LedgerRecord[] = [];
  readonly events: LedgerEvent[] = [];
  /** Everything sent, as `node: message`. */
  readonly sent: { readonly node: string; readonly message: ToAgent }[] = [];
  /** Agents that answer at once. Take one out and it is silent. */
  readonly agents = new Map<string, { incarnation: string; table: ReservationTable }>();
  readonly timers: ClusterTimers;
  ledger: Ledger;
  /** What chance draws: 0 ≤ x < 1. */
  chance = 0;
  #ids = 0;

  constructor(nodes: readonly NodeHello[] = [], timers: Partial<ClusterTimers> = {}) {
    this.timers = { ...DEFAULT_TIMERS, ...timers };
    this.ledger = new Ledger(this.#environment(), this.timers);
    for (const node of nodes) this.join(node);
  }

  /** An agent with nothing reserved joins and answers from now on. */
  join(hello: NodeHello): void {
    const table = new ReservationTable(helloToSpec(hello));
    this.agents.set(hello.id, { incarnation: hello.incarnation, table });
    this.ledger.nodeHello(hello);
  }

  /** An agent that is there joins again. */
  rejoin(hello: NodeHello): void {
    this.ledger.nodeHello({ ...hello, held: this.agents.get(hello.id)?.table.held() ?? [] });
  }

  say(node: string, ...messages: FromAgent[]): void {
    const incarnation = this.agents.get(node)?.incarnation ?? `${node}-1`;
    this.ledger.receive(node, { incarnation, messages });
  }

  /** Another head with the same journal. */
  restart(): void {
    this.ledger = Ledger.restore(this.#environment(), this.timers, [...this.journal]);
  }

  /** Time passes, tick by tick. */
  pass(ms: number): void {
    const endMs = this.nowMs + ms;
    for (;;) {
      const wake = this.ledger.nextWakeMs();
      if (wake === null || wake > endMs) break;
      this.nowMs = Math.max(this.nowMs, wake);
      this.ledger.tick();
    }
    this.nowMs = endMs;
  }

  /** Messages of that kind to that node. */
  sentTo<T extends ToAgent['t']>(node: string, kind: T): (ToAgent & { t: T })[] {
    return this.sent.flatMap(({ node: to, message }) =>
      to === node && message.t === kind ? [message as ToAgent & { t: T }] : [],
    );
  }

  /** How a group is, in short: `CREATED FINISHED n0 n1 -`. */
  state(id: string): string {
    const view = this.ledger.group(id);
    const seats = view?.seats.map((seat) => seat?.node ?? '-') ?? [];
    return [view?.state, view?.scheduling, ...seats].join(' ');
  }

  #environment(): LedgerEnvironment {
    return {
      nowMs: () => this.nowMs,
      wallMs: () => 1_000_000 + this.nowMs,
      newId: () => {
        this.#ids += 1;
        return `g${this.#ids}`;
      },
      random: () => this.chance,
      send: (node, batch) => {
        for (const message of batch.messages) this.sent.push({ node, message });
        const agent = this.agents.get(node);
        if (agent === undefined) return;
        const messages = agent.table.apply(batch, this.nowMs);
        if (messages.length > 0) this.ledger.receive(node, { incarnation: agent.incarnation, messages });
      },
      append: (record) => this.journal.push(record),
      event: (event) => this.events.push(event),
    };
  }
}
