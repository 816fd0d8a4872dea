/**
 * Weights that go from a run to the engines that sample, under no name: each to a sampler of its own, or to all of the run's that follow it. They
 * lie on disk like checkpoints, so engines that are started again find them, and go when nobody samples from them any more.
 */
import { basename } from 'node:path';
import { TwinkleError } from '../errors.js';
import { Agreement } from './agreement.js';
import { type CheckpointPath, pathText } from './checkpoint-path.js';
import type { Checkpoints } from './checkpoints.js';
import { isFull, notSampled } from './full-runs.js';
import { noAdapters } from './no-adapters.js';
import type { Run } from './run.js';
import type { Runs } from './runs.js';
import type { Generate } from './sampler-source.js';
import type { Samplers } from './samplers.js';
import type { SamplerWeights, SamplingHost } from './sampling-host.js';
import type { Trainer } from './trainer.js';
import type { Checkpoint, HandOverRequest } from './types/checkpoints.js';
import { writeCheckpoint } from './write-checkpoint.js';

/** Weights that nobody sampled from for so long are dropped, unless they are the run's newest. A checkpoint has a name and stays. */
export const IDLE_MS = 1_800_000;
const FOLLOWED = 'followed';

export interface HandOverParts {
  readonly runs: Runs;
  readonly samplers: Samplers;
  readonly checkpoints: Checkpoints;
  readonly host: SamplingHost;
  /** The served name of a base model. @throws `MODEL_NOT_FOUND` */
  served(baseModel: string): string;
  /** Unix ms. */
  now(): number;
}

export class HandOvers {
  /** Path → when it was last sampled from. */
  readonly #used = new Map<string, number>();
  readonly #agreement: Agreement;

  constructor(private readonly parts: HandOverParts) {
    this.#agreement = new Agreement(() => parts.now());
  }

  /** See `TrainingService.handOver`. */
  give(tenant: string, request: HandOverRequest): string {
    const { host, runs, served } = this.parts;
    const { run: id, seqId } = request;
    const { spec } = runs.get(tenant, id);
    if (isFull(spec)) throw notSampled('model_id');
    const model = served(spec.baseModel);
    if (host.adapts(model) === false) throw noAdapters(model);
    return runs.ask(tenant, id, seqId, (run, future) =>
      run.order(seqId, future, async (trainer) => {
        const path = { run: id, kind: 'handed_over', name: request.follows ? FOLLOWED : `step-${seqId}` } as const;
        await this.#write(run, path, model, trainer);
        // Its session may have ended meanwhile.
        if (run.loss !== null) throw run.loss;
        const { id: sampler } = this.parts.samplers.create(run.session, request.samplerSeqId, run.spec.baseModel, path);
        return { path: null, sampling_session_id: sampler, type: 'save_weights_for_sampler' };
      }),
    );
  }

  /** Somebody samples from weights that were handed over, or saved. @throws `CHECKPOINT_NOT_FOUND` */
  use(tenant: string, from: CheckpointPath): SamplerWeights {
    const found = this.parts.checkpoints.readable(tenant, from);
    if (from.kind === 'handed_over') this.#used.set(pathText(from), this.parts.now());
    return weightsOf(found);
  }

  /** Drop what nobody uses. To be called now and then. */
  sweep(): void {
    const newest = new Map<string, Checkpoint>();
    const all = this.parts.checkpoints.ofKind('handed_over');
    for (const one of all) {
      const { time = 0 } = newest.get(one.path.run) ?? {};
      if (one.time >= time) newest.set(one.path.run, one);
    }
    const before = this.parts.now() - IDLE_MS;
    for (const one of all) {
      const used = this.#used.get(pathText(one.path)) ?? one.time;
      if (used < before && (newest.get(one.path.run) !== one || !this.#living(one))) this.#drop(one);
    }
  }

  /** The session of those runs is over. */
  endSession(session: string): void {
    for (const one of this.parts.checkpoints.ofKind('handed_over'))
      if (one.path.run.startsWith(`${session}:`)) this.#drop(one);
  }

  async #write(run: Run, path: CheckpointPath, model: string, trainer: Trainer): Promise<void> {
    const { checkpoints, host } = this.parts;
    const saved = writeCheckpoint(checkpoints, run, path, trainer, 'handed over');
    const comparison = this.#agreement.begin(run, trainer);
    const written = await saved;
    const weights = weightsOf(written);
    if (path.name !== FOLLOWED) {
      // The first sample need not wait for it, and whoever saves hears what engines say against it.
      await host.prepare(model, weights);
      checkpoints.add(written);
    } else {
      const discardOlder = checkpoints.addBeside(written);
      await host.replace(model, weights);
      await host.prepare(model, weights);
      discardOlder();
    }
    const generate: Generate = (params, sink, caller) => host.generateWith(model, weights, params, sink, caller);
    if (comparison !== null) void this.#agreement.end(run, comparison, generate);
  }

  #living({ path: { run }, tenant }: Checkpoint): boolean {
    return this.parts.runs.of(tenant).some(({ id }) => id === run);
  }

  #drop(one: Checkpoint): void {
    this.#used.delete(pathText(one.path));
    const { checkpoints, host, served } = this.parts;
    checkpoints.forget(one);
    const gone = (): void => checkpoints.discard(one);
    try {
      void host.forget(served(one.run.baseModel), weightsOf(one).name).then(gone, gone);
    } catch {
      gone(); // its model is not served any more
    }
  }
}

/** The same name for all that follows a run, else one for each time that weights were written. */
function weightsOf({ folder, path }: Pick<Checkpoint, 'folder' | 'path'>): SamplerWeights {
  const follows = path.kind === 'handed_over' && path.name === FOLLOWED;
  return { name: follows ? pathText(path) : pathText({ ...path, name: basename(folder) }), folder };
}

/** What to do about weights that were dropped. */
export function dropped(sampler: string, cause: TwinkleError): TwinkleError {
  return new TwinkleError(
    'SAMPLER_NOT_FOUND',
    `the weights of sampling session \`${sampler}\` were dropped, as nobody sampled from it for ${IDLE_MS / 60_000} minutes: save them again, under a name if they are to stay`,
    { param: 'sampling_session_id', cause },
  );
}
