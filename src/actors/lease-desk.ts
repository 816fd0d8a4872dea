/** Workers for tasks: a client has one from when its place is found until it releases it, ends, or the worker does. */
import { TwinkleError } from '../errors.js';
import type { Demand, Lease } from '../protocol/work.js';
import type { Client } from './client.js';
import type { Job } from './job.js';
import type { Surroundings } from './runtime-envs.js';
import type { Place, Seats } from './seats.js';
import type { Worker } from './worker.js';
import type { Workplaces } from './workplace.js';

export interface LeaseDeskOptions {
  readonly seats: Seats;
  readonly workplaces: Workplaces;
  /** The worker works for that job from now on. */
  employ(worker: Worker, job: Job): void;
  /** The path where that client calls a worker whose own path on its node this is. */
  reach(client: Client, worker: Pick<Worker, 'node' | 'path'>): string;
}

interface Held {
  readonly id: number;
  readonly client: Client;
  readonly worker: Worker;
  readonly place: Place;
  /** It waited inside a task and lent its place meanwhile: it has none of its own any more. */
  lent: boolean;
}

/** What `list tasks` shows of a lease. */
export interface LeaseFacts {
  readonly lease: number;
  readonly client: number;
  readonly worker: number;
  readonly pid: number;
}

export class LeaseDesk {
  readonly #options: LeaseDeskOptions;
  readonly #held = new Map<number, Held>();
  #next = 1;

  constructor(options: LeaseDeskOptions) {
    this.#options = options;
  }

  /**
   * A worker for that client. Waits until there is room; others are asked for what they do not use.
   * @throws `PLACEMENT_INVALID`, `INVALID_REQUEST`, `TASK_UNSCHEDULABLE`, `PYTHON_ENV`, `RUNTIME_ENV`, `RANK_FAILED`, `ABORTED`
   */
  async acquire(client: Client, job: Job, demand: Demand, signal: AbortSignal): Promise<Lease> {
    const { workplaces } = this.#options;
    // Before it has a place: others can use that while an environment is made.
    const around = await workplaces.prepare(job, demand).ready(signal);
    for (;;) {
      try {
        const held = await this.#hold(client, job, demand, around, signal);
        return this.#told(held, client);
      } catch (error) {
        // The box left while a worker was started there: there may be room on another.
        if (!(error instanceof TwinkleError) || error.code !== 'NODE_LOST') throw error;
      }
    }
  }

  /** The client needs it no more. Ignored when it is over. */
  release(client: number, lease: number): void {
    const held = this.#held.get(lease);
    if (held === undefined || held.client.id !== client) return;
    if (held.place.holdsDevices) {
      this.#stop(held);
      return;
    }
    this.#end(held);
    this.#options.workplaces.giveBack(held.worker);
  }

  /** The worker waits for something inside a task: its CPUs are free for others until it is done. Devices stay its own. */
  blocked(worker: number): void {
    const held = [...this.#held.values()].find((one) => one.worker.id === worker);
    if (held === undefined || held.lent || held.place.holdsDevices) return;
    held.lent = true;
    held.place.release();
    // It goes on without CPUs of its own, so it must take no other task.
    held.client.tell('lease.spent', { lease: held.id });
  }

  /** What works for it ends with it. */
  clientGone(client: number): void {
    for (const held of [...this.#held.values()]) {
      if (held.client.id === client) this.#stop(held);
    }
  }

  /** Somebody waits for room: whoever has a worker that does nothing gives it back. */
  press(): void {
    for (const client of new Set([...this.#held.values()].map((held) => held.client))) client.tell('lease.wanted', {});
  }

  list(): LeaseFacts[] {
    return [...this.#held.values()].map(({ id, client, worker }) => ({
      lease: id,
      client: client.id,
      worker: worker.id,
      pid: worker.pid,
    }));
  }

  /** Throws what `reach` throws; then the client does not have it. */
  #told({ id, worker }: Held, client: Client): Lease {
    const { node, pid } = worker;
    try {
      return { lease: id, worker: worker.id, pid, node, path: this.#options.reach(client, worker) };
    } catch (error) {
      this.release(client.id, id);
      throw error;
    }
  }

  async #hold(client: Client, job: Job, demand: Demand, around: Surroundings, signal: AbortSignal): Promise<Held> {
    const { seats, workplaces, employ } = this.#options;
    const place = await seats.ask(demand, null, client.node);
    try {
      const seat = await place.ready(signal, () => this.press());
      signal.throwIfAborted();
      let worker: Worker | null = null;
      let taken = false;
      place.onLost(() => {
        taken = true;
        worker?.kill();
      });
      worker = await workplaces.take(job, seat, demand, around);
      if (taken) worker.kill();
      if (signal.aborted) {
        workplaces.giveBack(worker);
        throw new TwinkleError('ABORTED', 'the question for a worker was withdrawn');
      }
      employ(worker, job);
      const held: Held = { id: this.#next++, client, worker, place, lent: false };
      this.#held.set(held.id, held);
      void worker.ended.then((end) => this.#lost(held, end.how));
      return held;
    } catch (error) {
      place.release();
      throw error;
    }
  }

  #lost(held: Held, how: string): void {
    if (!this.#held.has(held.id)) return;
    this.#end(held);
    held.client.tell('lease.lost', { lease: held.id, how });
  }

  /** Its worker ends, and then its place is free: memory of devices is others' only when the process is gone. */
  #stop({ id, worker, place }: Held): void {
    this.#held.delete(id);
    worker.kill();
    void worker.ended.then(() => place.release());
  }

  #end(held: Held): void {
    this.#held.delete(held.id);
    held.place.release();
  }
}
