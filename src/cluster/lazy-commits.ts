/**
 * Commits travel with what follows them. Nobody waits for a commit, and each message wakes an agent's process: so a batch that only commits
 * is kept for a moment, goes along with the next one to that node, and is never sent for what is released by then. To the ledger this is a
 * slow network.
 */
import type { ToAgent, ToAgentBatch } from './types.js';

/** Far below the life of what is prepared, and below the time after which the ledger sends again. */
const DELAY_MS = 25;

export class LazyCommits {
  readonly #send: (node: string, batch: ToAgentBatch) => void;
  readonly #held = new Map<string, ToAgentBatch>();
  #timer: NodeJS.Timeout | null = null;

  constructor(send: (node: string, batch: ToAgentBatch) => void) {
    this.#send = send;
  }

  /** Send, now or soon. */
  send(node: string, batch: ToAgentBatch): void {
    const held = this.#held.get(node)?.messages ?? [];
    const messages = held.length === 0 ? batch.messages : [...without(held, batch.messages), ...batch.messages];
    if (messages.every(({ t }) => t === 'commit')) {
      this.#held.set(node, { ...batch, messages });
      this.#timer ??= setTimeout(() => this.flush(), DELAY_MS);
      return;
    }
    this.#held.delete(node);
    this.#send(node, { ...batch, messages });
  }

  /** Send everything that is kept. */
  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const held = [...this.#held];
    this.#held.clear();
    for (const [node, batch] of held) this.#send(node, batch);
  }
}

/** Commits whose transaction is not ended by what follows. */
function without(commits: readonly ToAgent[], next: readonly ToAgent[]): readonly ToAgent[] {
  const ended = new Set(next.flatMap((message) => (message.t === 'release' ? [message.txn] : [])));
  return ended.size === 0 ? commits : commits.filter((message) => message.t === 'renew' || !ended.has(message.txn));
}
