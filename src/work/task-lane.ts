/** Tasks of one kind of demand: workers are leased as they are needed, kept for the next task, and given back when there is none. */
import { asTwinkleError, TwinkleError } from '../errors.js';
import type { Demand, Lease } from '../protocol/work.js';
import type { Dial } from './actor-line.js';
import { type Call, finish } from './call.js';
import { cancelledError, workerDied } from './failures.js';
import type { Link } from './link.js';
import type { Objects } from './objects.js';
import { isFailed, type Stored } from './refs.js';
import type { WorkerLine } from './worker-line.js';

/** A worker without a task is kept for the next so long, unless somebody else waits. */
const KEEP_MS = 1000;
/** Questions for workers on their way at once. */
const MOST_ASKED = 64;

interface Leased {
  readonly lease: Lease;
  readonly line: WorkerLine;
  call: Call | null;
  since: number;
  /** Its worker waited inside a task and lent its CPUs: it takes no other. */
  spent: boolean;
  lost: boolean;
}

export class TaskLane {
  readonly #demand: Demand;
  readonly #link: Link;
  readonly #objects: Objects;
  readonly #dial: Dial;
  /** Their arguments are not there yet. */
  readonly #early = new Set<Call>();
  #waiting: Call[] = [];
  #idle: Leased[] = [];
  readonly #busy = new Set<Leased>();
  #asked: AbortController[] = [];
  /** Questions without an answer, withdrawn ones too. */
  #open = 0;
  /** Leases that were lost before the answer with them was taken in. */
  readonly #lostEarly = new Set<number>();
  #over: TwinkleError | null = null;
  #tick: NodeJS.Timeout | null = null;

  constructor(demand: Demand, link: Link, objects: Objects, dial: Dial) {
    this.#demand = demand;
    this.#link = link;
    this.#objects = objects;
    this.#dial = dial;
  }

  /** Run it when its arguments are there and a worker is free. */
  submit(call: Call): void {
    if (call.ready) {
      this.#enter(call);
      return;
    }
    this.#early.add(call);
    for (const slot of call.given) if (!slot.done) slot.whenDone(() => this.flush());
  }

  /** Something may have become ready. */
  flush(): void {
    for (const call of [...this.#early]) {
      if (!call.ready) continue;
      this.#early.delete(call);
      this.#enter(call);
    }
  }

  /** The node says that a worker has ended. */
  async lost(lease: number, how: string): Promise<void> {
    const leased = this.#of(lease);
    if (leased === undefined && this.#open > 0) this.#lostEarly.add(lease); // it may be another lane's
    if (leased === undefined || leased.lost) return;
    leased.lost = true;
    this.#idle = this.#idle.filter((one) => one !== leased);
    await leased.line.drained(); // what it has answered counts
    this.#busy.delete(leased);
    const { call } = leased;
    leased.call = null;
    if (call === null) return;
    const { where } = call.shape;
    if (call.cancelled) this.#done(call, { error: cancelledError(where) });
    else if (call.useRetry()) this.#enter(call);
    else this.#done(call, { error: workerDied(where, leased.lease.node, leased.lease.pid, how) });
    this.#feed(); // others may have waited for that worker alone
  }

  /** Its worker waited inside a task: it takes no other. */
  spent(lease: number): void {
    const leased = this.#of(lease);
    if (leased === undefined) return;
    leased.spent = true;
    this.#release((one) => one === leased);
  }

  /** Release workers that do nothing. */
  giveBack(): void {
    this.#release(() => true);
  }

  /** Client number of the worker that runs it; null: it does not run. */
  workerOf(call: Call): number | null {
    return [...this.#busy].find((one) => one.call === call)?.lease.worker ?? null;
  }

  /** Cancel a call that has not begun. The one who calls sees to those that have. */
  withdraw(call: Call): void {
    if (!this.#early.delete(call)) {
      const at = this.#waiting.indexOf(call);
      if (at < 0) return;
      this.#waiting.splice(at, 1);
    }
    this.#done(call, { error: cancelledError(call.shape.where) });
    this.#feed(); // it may have asked for a worker that nobody needs now
  }

  /** The node is away. */
  fail(error: TwinkleError): void {
    this.#over = error;
    const leased = [...this.#busy, ...this.#idle];
    const calls = [...this.#early, ...this.#waiting, ...leased.flatMap(({ call }) => (call === null ? [] : [call]))];
    this.#early.clear();
    this.#waiting = [];
    this.#busy.clear();
    this.#idle = [];
    if (this.#tick !== null) clearTimeout(this.#tick);
    for (const { line } of leased) line.close();
    for (const call of calls) this.#done(call, { error });
  }

  #of(lease: number): Leased | undefined {
    return [...this.#busy, ...this.#idle].find((one) => one.lease.lease === lease);
  }

  #enter(call: Call): void {
    const failed = call.failedArgument ?? (this.#over === null ? null : { error: this.#over });
    if (call.cancelled) this.#done(call, { error: cancelledError(call.shape.where) });
    else if (failed !== null) this.#done(call, failed);
    else {
      this.#waiting.push(call);
      this.#feed();
    }
  }

  #feed(): void {
    const failed: (readonly [Call, Error])[] = [];
    while (this.#waiting.length > 0 && this.#idle.length > 0) {
      const leased = this.#idle.pop() as Leased;
      if (leased.line.ended) {
        this.#link.tell('release', { lease: leased.lease.lease }); // should its worker have ended, the node knows
        continue;
      }
      const call = this.#waiting.shift() as Call;
      try {
        leased.line.send(call);
      } catch (error) {
        failed.push([call, error as Error]);
        this.#idle.push(leased);
        continue;
      }
      leased.call = call;
      this.#busy.add(leased);
    }
    const wanted = this.#over === null ? Math.min(this.#waiting.length, MOST_ASKED) : 0;
    // Should a worker come all the same, it is kept for a moment as any other.
    for (const surplus of this.#asked.splice(wanted)) surplus.abort();
    while (this.#asked.length < wanted) void this.#ask();
    for (const [call, error] of failed) this.#done(call, { error });
  }

  async #ask(): Promise<void> {
    const asked = new AbortController();
    this.#asked.push(asked);
    const counted = (): boolean => {
      const before = this.#asked.length;
      this.#asked = this.#asked.filter((one) => one !== asked);
      return this.#asked.length < before;
    };
    let lease: Lease;
    this.#open += 1;
    try {
      lease = (await this.#link.ask('lease', this.#demand, [], asked.signal)).value as Lease;
    } catch (error) {
      this.#heardOf(-1);
      if (counted()) this.#refused(asTwinkleError(error));
      return;
    }
    const lost = this.#heardOf(lease.lease);
    counted();
    if (this.#over !== null) return;
    if (!lost) this.#employ(lease);
    this.#feed();
  }

  /** A question has its answer. Whether the worker has ended meanwhile. */
  #heardOf(lease: number): boolean {
    const lost = this.#lostEarly.has(lease);
    this.#open -= 1;
    if (this.#open === 0) this.#lostEarly.clear();
    return lost;
  }

  #employ(lease: Lease): void {
    const line = this.#dial(lease.path, {
      over: (call, stored) => this.#replied(leased, call, stored),
      ended: (broken) => {
        if (broken !== null) this.#unreachable(leased, broken); // else the node says what became of its worker
      },
    });
    const leased: Leased = { lease, line, call: null, since: performance.now(), spent: false, lost: false };
    this.#idle.push(leased);
    this.#watch();
  }

  /** This process cannot connect with it: more workers would be of no use either. */
  #unreachable(leased: Leased, why: string): void {
    this.#idle = this.#idle.filter((one) => one !== leased);
    this.#busy.delete(leased);
    this.#link.tell('release', { lease: leased.lease.lease });
    const error = new TwinkleError('CHANNEL_CLOSED', `no connection with a worker can be made: ${why}`);
    if (leased.call !== null) this.#done(leased.call, { error });
    this.#refused(error);
  }

  /** No worker can be had: tasks that wait for one fail, when nobody else will take them. */
  #refused(error: TwinkleError): void {
    if (this.#busy.size > 0 || this.#asked.length > 0 || this.#idle.length > 0) return;
    for (const call of this.#waiting.splice(0)) this.#done(call, { error });
  }

  #replied(leased: Leased, call: Call, stored: Stored): void {
    if (this.#busy.delete(leased)) {
      leased.call = null;
      leased.since = performance.now();
      if (!leased.lost) this.#idle.push(leased);
      this.#watch();
    }
    if (leased.spent) this.#release((one) => one === leased);
    if (isFailed(stored) && call.shape.again && !call.cancelled && call.useRetry()) {
      this.#enter(call);
      return;
    }
    this.#done(call, stored);
    this.#feed();
  }

  #release(chosen: (leased: Leased) => boolean): void {
    const gone = this.#idle.filter(chosen);
    this.#idle = this.#idle.filter((one) => !gone.includes(one));
    for (const { line, lease } of gone) {
      line.close();
      this.#link.tell('release', { lease: lease.lease });
    }
  }

  /** Give back what nobody used for a while. */
  #watch(): void {
    if (this.#tick !== null || this.#over !== null) return;
    this.#tick = setTimeout(() => {
      this.#tick = null;
      const before = performance.now() - KEEP_MS;
      this.#release(({ since }) => since <= before);
      if (this.#idle.length > 0) this.#watch();
    }, KEEP_MS).unref();
  }

  #done(call: Call, stored: Stored): void {
    finish(call, stored, this.#objects);
  }
}
