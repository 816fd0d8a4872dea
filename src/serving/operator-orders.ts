/** An operator's commands to all replicas of a model, and to those that start while they hold. What holds is `standing-orders.ts`'s to know. */
import { broadcast, broke, type OpenReplica, succeeded } from './broadcast.js';
import type { Upkeep } from './prepared-gang.js';
import { isStanding, StandingOrders } from './standing-orders.js';
import type { Command, Held, ReplicaAnswer } from './types/control.js';

/** Weights of a big model move to the host, and a pause may wait for what runs. */
const DEADLINE = { deadlineMs: 600_000 } as const;
/** A replica that starts runs nothing that a command could wait for. */
const START_DEADLINE = { deadlineMs: 120_000 } as const;

export class OperatorOrders implements Upkeep {
  readonly #orders = new StandingOrders();
  /** Orders that went out and of which nobody has said yet whether they were carried out. */
  readonly #undecided = new Set<Promise<unknown>>();

  /** What the operator has said of the model; null: nothing that holds. */
  get held(): Held | null {
    return this.#orders.held;
  }

  /** Whether nothing can be loaded into the engines now. */
  get asleep(): boolean {
    return this.#orders.asleep;
  }

  /**
   * Tell all at once. Never rejects. What one replica did holds for all: those that broke under it, or start later, are told. A command that
   * none did, because they refused it or broke, is answered with errors alone and has changed nothing: whoever comes back hears only of what
   * held before.
   */
  async carryOut(command: Command, open: readonly OpenReplica[]): Promise<readonly ReplicaAnswer[]> {
    if (!isStanding(command)) return await broadcast(open, command, DEADLINE);
    const order = this.#orders.give(command);
    const asked = broadcast(open, command, DEADLINE);
    this.#undecided.add(asked);
    const answers = await asked;
    this.#undecided.delete(asked);
    if (answers.some(succeeded)) this.#orders.carriedOut(order, wholeOf(answers));
    else this.#orders.refused(order);
    return answers;
  }

  /** That replica woke up by somebody else's order: it is to be told again what holds. */
  woken(replica: string): void {
    this.#orders.forgotten(replica);
  }

  settled(replica: string, epoch: number): boolean {
    return this.#undecided.size === 0 && this.#orders.missing(replica, epoch).length === 0;
  }

  /** What a replica refuses of it, it does without: out of step, and not gone for ever. An order that all refuse never was. */
  async settle(replica: OpenReplica): Promise<void> {
    await Promise.all(this.#undecided);
    const { version } = this.#orders;
    for (const command of this.#orders.missing(replica.id, replica.epoch)) {
      const [answer] = await broadcast([replica], command, START_DEADLINE);
      if (answer !== undefined && broke(answer)) throw answer.error;
    }
    this.#orders.told(replica.id, replica.epoch, version);
  }
}

/** Whether all that answered a `/wake_up` are awake as a whole; null: none said. */
function wholeOf(answers: readonly ReplicaAnswer[]): boolean | null {
  const said = answers.filter(succeeded).flatMap(({ body }) => statusIn(body) ?? []);
  const about = said.filter((status) => status === 'awake' || status === 'sleeping');
  return about.length === 0 ? null : about.every((status) => status === 'awake');
}

function statusIn(body: string): string | null {
  try {
    const { status } = JSON.parse(body) as { status?: unknown };
    return typeof status === 'string' ? status : null;
  } catch {
    return null;
  }
}
