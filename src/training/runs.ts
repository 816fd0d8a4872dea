/** The runs of all sessions: made, found, lost with their ranks, dropped with their sessions. */
import { asTwinkleError, TwinkleError } from '../errors.js';
import { failureOf } from './failure.js';
import type { Future, Futures } from './futures.js';
import { jsonAnswer, lostWith, Run } from './run.js';
import type { Session } from './sessions.js';
import type { Trainer, TrainerHost } from './trainer.js';
import { TrainerQueue } from './trainer-queue.js';
import type { NewRun, RunInfo } from './types.js';

/** What a run goes on from. */
export interface Start {
  readonly folder: string;
  readonly optimizer: boolean;
}

export class Runs {
  readonly #all = new Map<string, Run>();
  readonly #queues = new WeakMap<Trainer, TrainerQueue>();

  constructor(
    private readonly host: TrainerHost,
    private readonly futures: Futures,
  ) {}

  /**
   * @param model served name of the base model
   * @param from what it goes on from; null: it is new
   * @throws `UNSUPPORTED_PARAMETER` for a model that cannot be trained, `INVALID_REQUEST` for a number that another run has
   */
  create(session: Session, spec: NewRun, model: string, from: Start | null = null): Run {
    const id = `${session.id}:train:${spec.seqId}`;
    const known = this.#all.get(id);
    if (known !== undefined) {
      if (known.spec.baseModel === spec.baseModel && known.spec.rank === spec.rank) return known;
      throw new TwinkleError('INVALID_REQUEST', `run \`${id}\` exists, and is another one: take another number`, {
        param: 'model_seq_id',
      });
    }
    if (!this.host.trains(model)) {
      throw new TwinkleError(
        'UNSUPPORTED_PARAMETER',
        `model \`${model}\` cannot be trained here: only models of engine transformers are`,
        { param: 'base_model' },
      );
    }
    const future = this.futures.open(
      { tenant: session.tenant, session: session.id },
      { withdraw() {}, forgotten() {} },
    );
    const run = new Run(id, session, spec, future);
    this.#all.set(id, run);
    void this.#make(run, model, from);
    return run;
  }

  /** @throws `RUN_NOT_FOUND` when it is not known, or another tenant's */
  get(tenant: string, id: string): Run {
    const run = this.#all.get(id);
    if (run?.session.tenant === tenant) {
      this.#look(run);
      return run;
    }
    throw new TwinkleError('RUN_NOT_FOUND', `there is no training run \`${id}\` here, or its session has ended`, {
      param: 'model_id',
    });
  }

  /** A number of it is used up. Unknown runs are fine. */
  refuse(tenant: string, id: string, seqId: number): void {
    const run = this.#all.get(id);
    if (run?.session.tenant === tenant) run.refuse(seqId);
  }

  of(tenant: string): readonly Run[] {
    return [...this.#all.values()].filter(({ session }) => session.tenant === tenant);
  }

  describe(run: Run, model: string): RunInfo {
    this.#look(run);
    return {
      ...run.spec,
      id: run.id,
      folder: this.host.folder(model),
      corrupted: run.loss !== null,
      lastRequest: run.lastRequest,
    };
  }

  /** @returns the id of the request of that number, which `begin` begins if it is new */
  ask(tenant: string, id: string, seqId: number, begin: (run: Run, future: Future) => void): string {
    const run = this.get(tenant, id);
    const known = run.requests.get(seqId);
    if (known !== undefined) return known.id;
    if (run.has(seqId)) {
      throw new TwinkleError('FUTURE_EXPIRED', `request ${seqId} of this run was answered, and its answer is gone`, {
        param: 'seq_id',
      });
    }
    const owner = { tenant, session: run.session.id };
    const future = this.futures.open(owner, { withdraw() {}, forgotten: () => run.requests.delete(seqId) });
    run.requests.set(seqId, future);
    begin(run, future);
    return future.id;
  }

  endSession(session: Session): void {
    for (const run of this.#all.values()) {
      if (run.session !== session) continue;
      this.#all.delete(run.id);
      run.lose(new TwinkleError('RUN_NOT_FOUND', `the session of run \`${run.id}\` has ended`));
      // A rank that cannot has lost it anyway.
      void run.trainer?.call('train_drop', { run: run.id }).catch(() => {});
    }
  }

  async #make(run: Run, model: string, from: Start | null): Promise<void> {
    const { attn, mlp, rank, seed, unembed } = run.spec;
    try {
      const trainer = await this.host.open(model);
      if (from !== null) await trainer.call('train_load', { run: run.id, ...from });
      else {
        const parts = { train_attn: attn, train_mlp: mlp, train_unembed: unembed };
        await trainer.call('train_create', { run: run.id, rank, seed, ...parts });
      }
      // Its session may have ended meanwhile.
      if (run.loss !== null) await trainer.call('train_drop', { run: run.id });
      run.begin({ trainer, queue: this.#queueOf(trainer) });
      run.created.settle(jsonAnswer({ model_id: run.id, type: from === null ? 'create_model' : 'load_weights' }));
    } catch (thrown) {
      const error = asTwinkleError(thrown);
      this.#all.delete(run.id); // it never was
      run.lose(error);
      run.created.settle(failureOf(error));
    }
  }

  #queueOf(trainer: Trainer): TrainerQueue {
    const known = this.#queues.get(trainer);
    if (known !== undefined) return known;
    const queue = new TrainerQueue(trainer);
    this.#queues.set(trainer, queue);
    return queue;
  }

  /** Ranks that were started again know nothing of it. */
  #look(run: Run): void {
    if (run.trainer?.gone === true) {
      run.lose(lostWith(run.id, new TwinkleError('RANK_FAILED', 'the ranks that trained it were started again')));
    }
  }
}
