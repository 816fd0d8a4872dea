/** Where workers run: the box of this process, and others whose agents have joined. */
import { TwinkleError } from '../errors.js';
import type { Demand } from '../protocol/work.js';
import { type Job, setupOf } from './job.js';
import { type MaskRules, masked } from './masks.js';
import type { Preparation, RuntimeEnvs, Surroundings } from './runtime-envs.js';
import type { Seat } from './seats.js';
import type { Worker } from './worker.js';
import type { WorkerPool } from './worker-pool.js';
import type { WorkerProcess } from './worker-process.js';

/** One box. */
export interface Workplace<W extends Worker = Worker> {
  /** Id of the node. */
  readonly node: string;
  /**
   * A worker that is set up for that.
   * @throws `PYTHON_ENV`, `RANK_FAILED`, `RUNTIME_ENV`, `DRAINING`; `NODE_LOST`: the box has left
   */
  take(job: Job, seat: Seat, demand: Demand): Promise<W>;
  /** It has nothing to do. */
  giveBack(worker: Worker): void;
}

export interface OwnWorkplaceOptions extends MaskRules {
  readonly node: string;
  readonly pool: WorkerPool;
  readonly envs: RuntimeEnvs;
}

/** The box of this process. */
export class OwnWorkplace implements Workplace<WorkerProcess> {
  readonly #options: OwnWorkplaceOptions;

  constructor(options: OwnWorkplaceOptions) {
    this.#options = options;
  }

  get node(): string {
    return this.#options.node;
  }

  /** Ask for what its workers find around them. Nothing begins before `ready`. */
  prepare(job: Job, demand: Demand): Preparation {
    return this.#options.envs.prepare(job, demand);
  }

  /** @param around where they were prepared before; default: they are now */
  async take(job: Job, seat: Seat, demand: Demand, around?: Surroundings): Promise<WorkerProcess> {
    const { pool } = this.#options;
    const found = around ?? (await this.prepare(job, demand).ready(new AbortController().signal));
    const { devices, env } = masked(seat.held, this.#options);
    const setup = setupOf(job, { devices, env: { ...env, ...demand.env }, facts: seat.facts }, demand, found);
    return await pool.take({ driver: job.driver, python: found.python }, setup);
  }

  giveBack(worker: Worker): void {
    this.#options.pool.giveBack(worker as WorkerProcess);
  }
}

/** All boxes. */
export class Workplaces {
  readonly #own: OwnWorkplace;
  readonly #others = new Map<string, Workplace>();

  constructor(own: OwnWorkplace) {
    this.#own = own;
  }

  add(place: Workplace): void {
    this.#others.set(place.node, place);
  }

  /** Ignored when that node is another's by now. */
  remove(place: Workplace): void {
    if (this.#others.get(place.node) === place) this.#others.delete(place.node);
  }

  /**
   * Ask for the surroundings of a worker before its place is known, so that others can use that meanwhile: on the own box, since most places are
   * there; another makes them when the worker is taken. Nothing begins before `ready`.
   */
  prepare(job: Job, demand: Demand): Preparation {
    const elsewhere = demand.strategy === 'node' && !demand.soft && demand.node !== this.#own.node;
    if (!elsewhere) return this.#own.prepare(job, demand);
    return { reason: null, ready: async () => ({ python: job.python, cwd: job.cwd, firstPath: [] }) };
  }

  /**
   * A worker at that seat.
   * @param around what `prepare` gave, for a seat on the own box
   * @throws as {@link Workplace.take}; `TASK_UNSCHEDULABLE`: no worker can be started there
   */
  async take(job: Job, seat: Seat, demand: Demand, around: Surroundings): Promise<Worker> {
    if (seat.node === this.#own.node) return await this.#own.take(job, seat, demand, around);
    const place = this.#others.get(seat.node);
    if (place !== undefined) return await place.take(job, seat, demand);
    throw new TwinkleError('TASK_UNSCHEDULABLE', `no worker can be started on node ${seat.node}: it runs none`);
  }

  giveBack(worker: Worker): void {
    const place = worker.node === this.#own.node ? this.#own : this.#others.get(worker.node);
    place?.giveBack(worker);
  }
}
