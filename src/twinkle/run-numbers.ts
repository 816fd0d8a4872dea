/** Numbers of runs in their sessions: none twice, since checkpoints of a run, and what its ranks still do for it, outlive it. */
import type { TrainingService } from '../training/types.js';

/** Sessions that are remembered; of others only what is there counts. */
const MOST = 10_000;

export class RunNumbers {
  /** Session → the last that was given. */
  readonly #last = new Map<string, number>();

  constructor(private readonly training: Pick<TrainingService, 'runs' | 'checkpoints'>) {}

  /** One that no run of the session has, or had. */
  next(tenant: string, session: string): number {
    const prefix = `${session}:train:`;
    const { checkpoints } = this.training;
    const ids = [
      ...this.training.runs(tenant).map(({ id }) => id),
      ...checkpoints.of(tenant).map(({ path }) => path.run),
    ];
    let last = this.#last.get(session) ?? -1;
    for (const id of ids) if (id.startsWith(prefix)) last = Math.max(last, Number(id.slice(prefix.length)));
    const next = last + 1;
    this.#last.delete(session); // those that were asked last go last
    this.#last.set(session, next);
    const [oldest] = this.#last.keys();
    if (this.#last.size > MOST && oldest !== undefined) this.#last.delete(oldest);
    return next;
  }
}
