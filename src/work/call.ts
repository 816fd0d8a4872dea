/** One call of this process: what is asked, and where its result goes. */
import type { Objects } from './objects.js';
import { isFailed, type Slot, type Stored } from './refs.js';
import type { Outgoing } from './travelling.js';

/** What of a call its arguments do not decide. */
export interface CallShape {
  /** Method of the actor, or key of the function. */
  readonly target: string;
  /** Who is called, for people. */
  readonly where: string;
  /** -1: without end. */
  readonly retries: number;
  /** Exceptions that it raises use up retries, too. */
  readonly again: boolean;
  /** Concurrency group; empty: the method's own. */
  readonly group: string;
  /** As Invoke has it; null: one value. */
  readonly returns: number | null;
  /** Of a generator: takes each item, then an error, or null at its end. */
  readonly items: ((stored: Stored | null) => void) | null;
}

export class Call {
  /** Its arguments; an error: they cannot travel; null: they are not ready to travel yet. */
  args: Outgoing | Error | null = null;
  retries: number;
  /** On the connection that it was sent on. */
  number = -1;
  cancelled = false;
  /** Items that the generator has given, over all tries. */
  taken = 0;
  /** Of this try: one that is tried again begins at its begin. */
  seen = 0;
  over = false;
  /** Unix ms when it was made, or sent last. */
  since = Date.now();

  /**
   * @param slot what its result becomes
   * @param given references among the arguments, counted for it: it waits for their values
   * @param actor id of the actor, counted for it; null: a task
   */
  constructor(
    readonly shape: CallShape,
    readonly slot: Slot,
    readonly given: readonly Slot[],
    readonly actor: string | null,
  ) {
    this.retries = shape.retries;
  }

  /** All that it waits for before it can be sent is there. */
  get ready(): boolean {
    return this.args !== null && this.given.every(({ done }) => done);
  }

  /** What it fails with instead of being sent; null: nothing. */
  get failedArgument(): Stored | null {
    if (this.args instanceof Error) return { error: this.args };
    return this.given.find(({ stored }) => stored !== null && isFailed(stored))?.stored ?? null;
  }

  /** One retry less. False: there is none. */
  useRetry(): boolean {
    if (this.retries === 0) return false;
    if (this.retries > 0) this.retries -= 1;
    return true;
  }
}

/** That came of it: whoever waits for it is told. The first result counts. */
export function finish(call: Call, stored: Stored, objects: Objects): void {
  if (call.over) return;
  call.over = true;
  const { items } = call.shape;
  if (items !== null) items(isFailed(stored) ? stored : null);
  call.slot.fulfil(stored);
  if (call.args !== null && !(call.args instanceof Error)) objects.release(call.args.keep);
  for (const { id } of call.given) objects.refs.release(id);
  if (call.actor !== null) objects.refs.release(call.actor);
}
