/** Replicas of one model that sleep while others need their devices, and wake again: told by their engines' routes. Who needs them, and when, is not its business. */
import { broadcast, type OpenReplica, refusalText, succeeded } from './broadcast.js';
import type { Command, ReplicaAnswer } from './types/control.js';

/** Weights go to host memory and the KV cache away. What runs stays, and is computed again from its tokens. */
const SLEEP: Command = { method: 'POST', path: '/sleep', query: 'level=1&mode=keep', body: '' };
const WAKE: Command = { method: 'POST', path: '/wake_up', query: '', body: '' };
const WAKE_UP = 'wake up, which needs the memory that it had before';
/** Host memory for the weights is pinned the first time: tens of GB take tens of seconds. */
const DEADLINE = { deadlineMs: 120_000 } as const;

export interface ReplicaSleepOptions {
  /** Those that are loaded, whether they take requests or not. */
  engines(): readonly OpenReplica[];
  /** Whether the operator has put them to sleep: then there is nothing to do. */
  held(): boolean;
  /** It woke up: whatever it was told to hold or to pause is over. */
  woken(replica: string): void;
  /** That start of a replica did not do as told: nobody knows what it has in memory. */
  failed(replica: OpenReplica, reason: string): void;
  /** Default 120 s. */
  readonly deadlineMs?: number;
}

export class ReplicaSleep {
  /** Replica → its start that sleeps. */
  readonly #asleep = new Map<string, number>();

  constructor(private readonly options: ReplicaSleepOptions) {}

  /** Whether one is loaded and awake. */
  get awake(): boolean {
    const { engines, held } = this.options;
    return !held() && engines().some((one) => !this.#sleeps(one));
  }

  /** Resolves when all sleep, or have been failed. Never rejects. */
  async sleep(): Promise<void> {
    const { engines, held } = this.options;
    if (held()) return;
    const awake = engines().filter((one) => !this.#sleeps(one));
    await this.#tell(awake, SLEEP, 'go to sleep', ({ id, epoch }) => this.#asleep.set(id, epoch));
  }

  /** Resolves when all that {@link sleep} put to sleep are awake, or have been failed. Never rejects. */
  async wake(): Promise<void> {
    const asleep = this.options.engines().filter((one) => this.#sleeps(one));
    await this.#tell(asleep, WAKE, WAKE_UP, ({ id }) => this.options.woken(id));
    this.#asleep.clear();
  }

  #sleeps({ epoch, id }: OpenReplica): boolean {
    return this.#asleep.get(id) === epoch;
  }

  async #tell(
    replicas: readonly OpenReplica[],
    command: Command,
    what: string,
    done: (replica: OpenReplica) => void,
  ): Promise<void> {
    const { deadlineMs = DEADLINE.deadlineMs, failed } = this.options;
    const answers = await broadcast(replicas, command, { deadlineMs });
    replicas.forEach((replica, at) => {
      const answer = answers[at] as ReplicaAnswer;
      if (succeeded(answer)) done(replica);
      else failed(replica, `it did not ${what}: ${refusalText(answer)}`);
    });
  }
}
