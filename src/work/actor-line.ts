/** Calls of this process to one actor: in their order, through its restarts, to its end. */
import { TwinkleError } from '../errors.js';
import type { ActorCard, ActorState } from '../protocol/work.js';
import { type Call, finish } from './call.js';
import { actorDied, actorInterrupted, cancelledError, errorOf } from './failures.js';
import type { Objects } from './objects.js';
import type { Stored } from './refs.js';
import type { WorkerLine, WorkerLineEvents } from './worker-line.js';

/** A connection with the worker at that path. */
export type Dial = (path: string, events: WorkerLineEvents) => WorkerLine;

type Outcomes = (readonly [Call, Stored])[];

export class ActorLine {
  readonly #card: Pick<ActorCard, 'id' | 'cls_name'>;
  readonly #objects: Objects;
  readonly #dial: Dial;
  /** Not sent yet. */
  #queue: Call[] = [];
  /** Sent to a life that has ended: why, the node will say. */
  #lost: Call[] = [];
  #line: WorkerLine | null = null;
  #epoch = -1;
  #ordered: boolean;
  #over: Error | null = null;
  /** What the node said is taken in one after another: each waits for what the worker of before said. */
  #news = Promise.resolve();
  /** News that are not taken in yet: until then nothing is sent, for the worker may have ended. */
  #untaken = 0;

  constructor(card: Pick<ActorCard, 'id' | 'cls_name' | 'ordered'>, objects: Objects, dial: Dial) {
    this.#card = card;
    this.#objects = objects;
    this.#dial = dial;
    this.#ordered = card.ordered;
  }

  /** Calls that have no result yet. */
  get pending(): number {
    return this.#queue.length + this.#lost.length + (this.#line?.calls.size ?? 0);
  }

  /** Whether the worker has it. */
  isSent(call: Call): boolean {
    return this.#line?.calls.get(call.number) === call;
  }

  /** Send it when it is its turn. */
  submit(call: Call): void {
    if (this.#over !== null) {
      finish(call, { error: this.#over }, this.#objects);
      return;
    }
    this.#queue.push(call);
    for (const slot of call.given) if (!slot.done) slot.whenDone(() => this.flush());
    this.flush();
  }

  /** Send what can be sent: something may have become ready. */
  flush(): void {
    const line = this.#line;
    if (line === null || line.ended || this.#untaken > 0) return;
    const over: Outcomes = [];
    const waiting: Call[] = [];
    let at = 0;
    for (; at < this.#queue.length; at++) {
      const call = this.#queue[at] as Call;
      if (!call.ready) {
        if (this.#ordered) break;
        waiting.push(call);
        continue;
      }
      const failed = call.failedArgument;
      if (failed !== null) {
        over.push([call, failed]);
        continue;
      }
      try {
        line.send(call);
      } catch (error) {
        over.push([call, { error: error as Error }]);
      }
    }
    if (at > 0) this.#queue = [...waiting, ...this.#queue.slice(at)];
    this.#settle(over);
  }

  /** The node says how the actor is. */
  heard(state: ActorState, body: Uint8Array): void {
    this.#untaken += 1;
    this.#news = this.#news.then(async () => {
      await this.#take(state, body);
      this.#untaken -= 1;
      this.flush();
    });
  }

  /** The node is away: nothing will be heard of it any more. */
  fail(error: TwinkleError): void {
    this.#retire();
    this.#over = new TwinkleError('ACTOR_DIED', `actor ${this.#card.id} (${this.#card.cls_name}): ${error.message}`, {
      cause: error,
    });
    this.#settle([...this.#lost.splice(0), ...this.#queue.splice(0)].map((call) => [call, { error }]));
  }

  /** Cancel a call: one that was not sent is gone, of one that was the worker is told. */
  withdraw(call: Call): void {
    for (const calls of [this.#queue, this.#lost]) {
      const at = calls.indexOf(call);
      if (at < 0) continue;
      calls.splice(at, 1);
      finish(call, { error: cancelledError(call.shape.where) }, this.#objects);
      return;
    }
    if (this.isSent(call)) this.#line?.withdraw(call);
  }

  async #take(state: ActorState, body: Uint8Array): Promise<void> {
    const { state: phase, epoch } = state;
    if (phase !== 'ALIVE' && phase !== 'RESTARTING' && phase !== 'DEAD') return;
    if (phase === 'ALIVE' && epoch <= this.#epoch) return;
    if (this.#line !== null) await this.#line.drained();
    this.#retire();
    if (this.#over !== null) return;
    const over: Outcomes = [];
    if (phase === 'DEAD') {
      const cause = state.cause === null ? null : errorOf(body);
      this.#over = actorDied(state, this.#card.cls_name, cause);
      // A call that was cancelled in time is so, whatever ended the actor.
      for (const call of this.#lost)
        over.push([call, { error: call.cancelled ? cancelledError(call.shape.where) : this.#over }]);
      for (const call of this.#queue) over.push([call, { error: this.#over }]);
      this.#lost = [];
      this.#queue = [];
    } else {
      over.push(...this.#again(state.reason || 'its process ended'));
    }
    if (phase === 'ALIVE') {
      this.#epoch = epoch;
      this.#ordered = state.ordered ?? this.#ordered;
      this.#meet(state.path);
    }
    this.#settle(over);
  }

  #meet(path: string): void {
    const line = this.#dial(path, {
      over: (call, stored) => finish(call, stored, this.#objects),
      ended: (broken) => {
        if (this.#line !== line) return;
        this.#retire();
        if (broken === null) return; // the node says what became of it
        const { id } = this.#card;
        this.#over = new TwinkleError('CHANNEL_CLOSED', `no connection with actor ${id} can be made: ${broken}`);
        const error = this.#over;
        this.#settle([...this.#lost.splice(0), ...this.#queue.splice(0)].map((call) => [call, { error }]));
      },
    });
    this.#line = line;
  }

  /** Its calls wait for what the node says. */
  #retire(): void {
    const line = this.#line;
    this.#line = null;
    if (line === null) return;
    this.#lost.push(...line.calls.values());
    line.calls.clear();
    line.close();
  }

  /** Calls of a life that has ended: those that may be repeated go first, in their order; the others fail. */
  #again(reason: string): Outcomes {
    const over: Outcomes = [];
    const repeated: Call[] = [];
    for (const call of this.#lost) {
      if (call.cancelled) over.push([call, { error: cancelledError(call.shape.where) }]);
      else if (call.useRetry()) repeated.push(call);
      else over.push([call, { error: actorInterrupted(this.#card.id, this.#card.cls_name, reason) }]);
    }
    this.#lost = [];
    this.#queue.unshift(...repeated);
    return over;
  }

  #settle(over: Outcomes): void {
    for (const [call, stored] of over) finish(call, stored, this.#objects);
  }
}
