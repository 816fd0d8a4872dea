/** What is asked of runs and waited for at once: see `DirectTraining`. */

import { TwinkleError } from '../errors.js';
import type { EncodedConversations, EncodeParams, TrainOutcome } from '../protocol/training.js';
import type { GenerateParams } from '../protocol/values.js';
import type { Generation, TokenSink } from '../serving/types.js';
import type { Admissions } from './admission.js';
import { isFull, notSampled } from './full-runs.js';
import { noAdapters } from './no-adapters.js';
import type { Run } from './run.js';
import { passFailure, tokensOf } from './run-answers.js';
import type { Runs } from './runs.js';
import { type SourceParts, sourceOf } from './sampler-source.js';
import type { Trainer, TrainerHost } from './trainer.js';
import type { ComputeRequest, DirectSource, DirectTraining, StepRequest } from './types.js';

export interface DirectParts {
  readonly runs: Runs;
  readonly source: SourceParts;
  readonly admissions: Admissions;
  readonly trainers: Pick<TrainerHost, 'open'>;
  /** A session lives on. */
  heard(session: string): void;
}

export class Direct implements DirectTraining {
  constructor(private readonly parts: DirectParts) {}

  async pass(tenant: string, id: string, work: ComputeRequest['work']): Promise<TrainOutcome> {
    const run = this.#run(tenant, id);
    this.parts.runs.admit(run, tokensOf(work));
    return await new Promise((resolve, reject) => {
      const done = (outcome: TrainOutcome): void =>
        outcome.failure === null ? resolve(outcome) : reject(passFailure(outcome.failure));
      run.behind(run.pass(work, done, (error) => reject(run.judged(error))));
    });
  }

  async step(tenant: string, id: string, params: StepRequest['adam']): Promise<Readonly<Record<string, number>>> {
    const run = this.#run(tenant, id);
    const { metrics } = await call(run, (trainer) => run.takeStep(trainer, params), 'step');
    return metrics;
  }

  async norm(tenant: string, id: string, params: Parameters<DirectTraining['norm']>[2]): Promise<number> {
    const run = this.#run(tenant, id);
    const { norm } = await call(run, (trainer) => trainer.call('train_norm', { run: id, ...params }));
    return norm;
  }

  async zero(tenant: string, id: string): Promise<void> {
    const run = this.#run(tenant, id);
    await call(run, async (trainer) => {
      await trainer.call('train_zero', { run: id });
      run.dropped();
    });
  }

  async made(tenant: string, id: string): Promise<void> {
    await call(this.#run(tenant, id), async () => {});
  }

  async encode(model: string, params: EncodeParams): Promise<EncodedConversations> {
    const trainer = await this.parts.trainers.open(model);
    return await trainer.call('train_encode', params);
  }

  sampled(): readonly string[] {
    return this.parts.source.inference.models().flatMap(({ names }) => names);
  }

  admitSamples(tenant: string, baseModel: string, tokens: number): void {
    this.parts.admissions.sampling(this.parts.source.served(baseModel))?.admit(tenant, tokens);
  }

  generate(tenant: string, { baseModel, from }: DirectSource, params: GenerateParams, sink: TokenSink): Generation {
    const { checkpoints, host, served } = this.parts.source;
    const model = served(baseModel);
    if (from !== undefined) {
      const { run } = checkpoints.readable(tenant, from);
      if (isFull(run)) throw notSampled('adapter_uri');
      if (served(run.baseModel) !== model) {
        const message = `expected weights of \`${baseModel}\` but those were trained of \`${run.baseModel}\``;
        throw new TwinkleError('INVALID_REQUEST', message, { param: 'adapter_uri' });
      }
      if (host.adapts(model) === false) throw noAdapters(model);
    }
    const session = { tenant };
    return sourceOf({ id: 'direct', baseModel, from: from ?? null, session }, this.parts.source)(params, sink, {
      tenant,
    });
  }

  #run(tenant: string, id: string): Run {
    const run = this.parts.runs.get(tenant, id);
    this.parts.heard(run.session.id);
    return run;
  }
}

/** Something for its ranks to do, behind all that was asked for so far. */
async function call<T>(run: Run, act: (trainer: Trainer) => Promise<T>, kind: 'step' | 'other' = 'other'): Promise<T> {
  return await new Promise((resolve, reject) => {
    const send = async (trainer: Trainer): Promise<void> => resolve(await act(trainer));
    const failed = (error: unknown): void => reject(run.judged(error));
    const operation = { kind: 'call', sent: run.progress.taken(kind), send, failed } as const;
    run.behind(kind === 'step' ? run.timed(operation) : operation);
  });
}
