/** Everything of a head that ranks compute: models that are served, and ranks that train. Built, placed and ended together. Wiring only. */
import type { ModelConfig, ServeConfig } from '../config/types.js';
import type { TwinkleError } from '../errors.js';
import type { Logger } from '../observability/logger.js';
import { buildModel } from './build-model.js';
import { Fleet } from './fleet.js';
import type { GangContext } from './gang-ground.js';
import type { ModelBuckets } from './model-buckets.js';
import type { PlacementSource } from './place-replicas.js';
import { PlacedTrainers } from './placed-trainers.js';
import { groupsOf } from './plan-groups.js';
import { TrainerGangs } from './trainer-gangs.js';
import type { HeadStatus } from './types.js';
import type { ModelNews } from './watch-model.js';

export interface HeadModelsParts {
  readonly config: ServeConfig;
  /** Of it, as they are served: from folders of this machine. */
  readonly models: readonly ModelConfig[];
  readonly buckets: ModelBuckets;
  readonly log: Logger;
  readonly news: ModelNews;
  /** What gangs of an engine have. */
  context(of: Pick<ModelConfig, 'engine'>): GangContext;
  nowMs(): number;
}

export class HeadModels {
  readonly fleet: Fleet;
  /** All ranks that train, wherever they are. */
  readonly trainers: TrainerGangs;
  /** Those in groups of their own. */
  readonly #placed: PlacedTrainers;

  constructor(private readonly parts: HeadModelsParts) {
    const { buckets, config, context, log, models, news, nowMs } = parts;
    const built = models.map((model) =>
      buildModel(model, {
        ...context(model),
        maxQueue: config.http.maxQueue,
        sleepWhileTraining: config.training.sleepWhileTraining,
        shardTraining: config.training.shard,
        log,
        buckets: buckets.of(model),
        // The file of a Twinkle Server says what is trained.
        trainable: config.twinkle === null,
      }),
    );
    this.#placed = new PlacedTrainers(config.trained, context, log, news);
    this.fleet = new Fleet(built, log, nowMs, news);
    this.trainers = new TrainerGangs(built, config.training, log, this.#placed.all);
  }

  /** Ask for all groups; ranks start when theirs have their places. */
  async place(source: PlacementSource): Promise<void> {
    const { config, models, nowMs } = this.parts;
    const groups = await groupsOf({ models, trained: config.trained }, source);
    const ground = { source, namespace: groups.namespace, nowMs };
    this.fleet.place(groups.models, ground);
    this.#placed.place(groups.trained, ground);
    this.trainers.startOwn();
  }

  /** `degraded` once it was ready. */
  phase(wasReady: boolean): HeadStatus['phase'] {
    const phase = this.fleet.phase(wasReady);
    if (phase !== 'ready' || this.#placed.ready) return phase;
    return wasReady ? 'degraded' : 'starting';
  }

  /** What ends the head. At the start one thing that cannot be had is one too many; later the others go on. */
  fatal(wasReady: boolean): TwinkleError | null {
    const trained = !wasReady || (this.parts.models.length === 0 && this.#placed.lost) ? this.#placed.failure : null;
    return this.fleet.fatal(wasReady) ?? trained;
  }

  /** End every rank. */
  async stop(): Promise<void> {
    await Promise.all([this.trainers.stop(), this.fleet.stop()]);
  }

  /** Remove all groups: nothing of their ranks may be left. */
  async release(): Promise<void> {
    await Promise.all([this.fleet.release(), this.#placed.release()]);
  }
}
