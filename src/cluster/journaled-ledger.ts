/**
 * The ledger with its journal and its clock: what it decided is written before anybody is told. Batches to the head's own node are
 * delivered in this process, after the call that made them; all others go where the caller says. Knows no sockets.
 */
import { TwinkleError } from '../errors.js';
import type { Journal } from '../store/journal.js';
import { Ledger } from './ledger.js';
import type {
  ClusterTimers,
  FromAgentBatch,
  LedgerEnvironment,
  LedgerEvent,
  LedgerRecord,
  ToAgentBatch,
} from './types.js';

/** The journal is rewritten when it has grown by so much since the last time. */
const COMPACT_BYTES = 8 * 1024 * 1024;

/** Between attempts to write a journal whose disk is full. */
const RETRY_MS = 500;

/** An agent in this process. */
export interface LocalAgent {
  readonly node: string;
  /** Answers at once. */
  deliver(batch: ToAgentBatch): FromAgentBatch | null;
}

export interface JournaledLedgerOptions {
  readonly journal: Journal;
  /** What the journal held when it was opened. */
  readonly records: readonly LedgerRecord[];
  readonly timers: ClusterTimers;
  readonly newId: () => string;
  readonly nowMs: () => number;
  /** To the agent of another process; it may be lost. */
  readonly send: (node: string, batch: ToAgentBatch) => void;
  /** Told of what happened in one turn, after it is in the journal. */
  readonly onEvents: (events: readonly LedgerEvent[]) => void;
  /** The journal cannot be written now (a full disk): nobody is told anything until it can. */
  readonly onFailure: (error: unknown) => void;
}

export class JournaledLedger {
  readonly #options: JournaledLedgerOptions;
  readonly #ledger: Ledger;
  #local: LocalAgent | null = null;
  #outbox: ToAgentBatch[] = [];
  #events: LedgerEvent[] = [];
  #timer: NodeJS.Timeout | null = null;
  #depth = 0;
  #compactedAt = 0;
  #telling: Promise<void> = Promise.resolve();
  #closed = false;

  /** @throws `JOURNAL_DAMAGED` */
  constructor(options: JournaledLedgerOptions) {
    this.#options = options;
    const environment: LedgerEnvironment = {
      nowMs: options.nowMs,
      wallMs: () => Date.now(),
      newId: options.newId,
      random: () => Math.random(),
      send: (node, batch) => {
        if (node === this.#local?.node) this.#outbox.push(batch);
        else options.send(node, batch);
      },
      append: (record) => {
        // An agent may be seen to end while the head does: the next head finds out by itself.
        if (!this.#closed) options.journal.append(record);
      },
      event: (event) => this.#events.push(event),
    };
    this.#ledger = restored(environment, options);
    this.enter(() => {});
  }

  /** For reading. Whatever changes it goes through {@link enter}. */
  get state(): Pick<Ledger, 'epoch' | 'version' | 'group' | 'groups' | 'findGroup' | 'nodes' | 'explain' | 'status'> {
    return this.#ledger;
  }

  /** The agent of this process's own node, if it has one: batches go to it directly. */
  attach(agent: LocalAgent): void {
    this.#local = agent;
  }

  /** Change the ledger; what follows from it (own node, timer, journal, events) is done when it returns, or soon. */
  enter<T>(act: (ledger: Ledger) => T): T {
    this.#depth += 1;
    try {
      return act(this.#ledger);
    } finally {
      this.#depth -= 1;
      if (this.#depth === 0) this.#settle();
    }
  }

  /** Resolves when everything decided so far is in the journal. */
  flushed(): Promise<void> {
    return this.#options.journal.flush();
  }

  /** Stops the clock and closes the journal. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#options.journal.close();
  }

  #settle(): void {
    if (this.#closed) return;
    for (let batch = this.#outbox.shift(); batch !== undefined; batch = this.#outbox.shift()) {
      const local = this.#local;
      const answer = local?.deliver(batch) ?? null;
      if (local !== null && answer !== null && answer.messages.length > 0) this.#ledger.receive(local.node, answer);
    }
    this.#arm();
    const events = this.#events.splice(0);
    this.#telling = this.#telling.then(() => this.#tell(events));
  }

  #arm(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    const wake = this.#ledger.nextWakeMs();
    this.#timer = null;
    if (wake === null) return;
    this.#timer = setTimeout(() => this.enter((ledger) => ledger.tick()), Math.max(0, wake - this.#options.nowMs()));
  }

  async #tell(events: readonly LedgerEvent[]): Promise<void> {
    if (!(await this.#written())) return;
    if (events.length > 0) this.#options.onEvents(events);
    const { journal } = this.#options;
    if (journal.size - this.#compactedAt <= COMPACT_BYTES) return;
    this.#compactedAt = journal.size; // whether it succeeds or not: not at every turn
    try {
      await journal.compact(this.#ledger.snapshotRecords());
      this.#compactedAt = journal.size;
    } catch (error) {
      if (!this.#closed) this.#options.onFailure(error);
    }
  }

  /** Waits until everything decided so far is in the journal, however long its disk is full. False: closed meanwhile. */
  async #written(): Promise<boolean> {
    while (!this.#closed) {
      try {
        await this.#options.journal.flush();
        return !this.#closed;
      } catch (error) {
        if (this.#closed) return false;
        this.#options.onFailure(error);
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS).unref());
      }
    }
    return false;
  }
}

/** Says also which file it is that is damaged. */
function restored(environment: LedgerEnvironment, { journal, timers, records }: JournaledLedgerOptions): Ledger {
  try {
    return Ledger.restore(environment, timers, records);
  } catch (error) {
    if (!(error instanceof TwinkleError) || error.code !== 'JOURNAL_DAMAGED') throw error;
    const { path } = journal;
    throw new TwinkleError(error.code, `${path}: ${error.message}`, { cause: error, details: { path } });
  }
}
