/** The ranks that train a model in a placement group of their own: there from the start to the end, wherever the group is. */
import type { TrainedModel } from '../config/types.js';
import { trainerName } from '../engines/placed-parts.js';
import type { GroupPlan } from '../engines/placement.js';
import type { TwinkleError } from '../errors.js';
import type { Logger } from '../observability/logger.js';
import { Gang } from '../supervisor/gang.js';
import type { GangState } from '../supervisor/gang-machine.js';
import type { RankLauncher } from '../supervisor/launcher.js';
import type { Trainer } from '../training/trainer.js';
import { Emitter } from '../util/emitter.js';
import { type GangContext, gangGround } from './gang-ground.js';
import {
  cannotStart,
  EpochTrainer,
  logGang,
  type ModelTrainer,
  ranksReady,
  type WatchedRanks,
} from './model-trainer.js';
import { GroupKeeper, type PlacementSource } from './place-replicas.js';
import { PlacedGang } from './placed-gang.js';
import { detailsOf, type ModelNews } from './watch-model.js';

/** Where its group is made. */
export interface TrainerGround {
  readonly source: PlacementSource;
  readonly namespace: string;
  nowMs(): number;
}

export class PlacedTrainer implements ModelTrainer, WatchedRanks {
  readonly names: readonly string[];
  readonly folder: string;
  readonly limits: NonNullable<ModelTrainer['limits']>;
  readonly launcher: RankLauncher;
  readonly #placed: PlacedGang;
  /** Also when its place is given or taken, which the gang alone does not tell. */
  readonly #events = new Emitter<{ change(): void }>();
  readonly #trainer = new EpochTrainer();
  #keeper: GroupKeeper | null = null;
  #stopped = false;
  /** It was told that the ranks are gone, and not yet that they are back. */
  #failed = false;

  constructor(
    private readonly config: TrainedModel,
    context: GangContext,
    private readonly log: Logger,
    private readonly news: ModelNews,
  ) {
    const { engine, envVars, maxModelLen, model, name, placement, ranks, shard } = config;
    this.names = [name];
    this.folder = model;
    this.limits = {
      maxRuns: config.maxRuns,
      full: config.full,
      maxLifeMs: config.maxLifeMs,
      silenceMs: config.silenceMs,
    };
    const { dependencies, launcher, patience } = gangGround({ engine, model, placement, envVars }, context);
    this.launcher = launcher;
    const options = {
      ...(maxModelLen === null ? {} : { max_model_len: maxModelLen }),
      ...(shard && engine === 'transformers' ? { train_shard: true } : {}),
    };
    const gang = new Gang(
      {
        id: trainerName(config),
        engine: engine === 'mock' ? 'mock' : 'training',
        worldSize: ranks,
        ownEngine: false,
        sharedMask: false,
        load: { model, options },
        ...patience,
      },
      dependencies,
    );
    this.#placed = new PlacedGang(gang);
    logGang(gang, log);
    this.#tell(gang, context);
  }

  get gang(): Gang {
    return this.#placed.gang;
  }

  get state(): GangState {
    // Who waits for a place waits no longer.
    if (this.#stopped && this.#placed.state.at === 'idle') return { at: 'stopped' };
    return this.#placed.state;
  }

  onChange(listener: () => void): () => void {
    return this.#events.on('change', listener);
  }

  /** Why it will never train; null: it does, or may. */
  get failure(): TwinkleError | null {
    const { state } = this.#placed;
    if (state.at !== 'failed') return null;
    if (this.#placed.loss !== null) return this.#placed.loss;
    const { kind, message, retry } = state.failure;
    const code = retry
      ? 'GANG_FAILED'
      : kind === 'load'
        ? 'LOAD_FAILED'
        : kind === 'spawn'
          ? 'PYTHON_ENV'
          : 'GANG_FAILED';
    return cannotStart(this.names[0] ?? '', message, code, detailsOf(this.#placed));
  }

  /** Ask for its group, once. The ranks start when it has its places. */
  place(plan: GroupPlan, { nowMs, namespace, source }: TrainerGround): void {
    const name = trainerName(this.config);
    const keeper = new GroupKeeper(plan, [this.#placed], {
      source,
      namespace,
      log: this.log,
      nowMs,
      news: {
        waiting: (detail, sinceMs) =>
          this.news.progress(name, { phase: 'placement', progress: 0, detail, elapsedMs: nowMs() - sinceMs }),
        moved: (reason) => this.#fail(reason, null),
        changed: () => this.#changed(),
      },
    });
    this.#keeper = keeper;
    void keeper.open();
  }

  async open(): Promise<Trainer> {
    await ranksReady(this, this.names[0] ?? '');
    return this.#trainer.of(this.gang);
  }

  close(): void {
    // Its devices are its own, whether anybody trains or not.
  }

  paused(): string | null {
    return this.#placed.placed ? null : `the ranks that train ${this.names[0] ?? ''} wait for their place`;
  }

  async stop(): Promise<void> {
    this.#keeper?.halt();
    this.#stopped = true;
    this.#events.emit('change');
    await Promise.all([this.gang.stop(), this.launcher[Symbol.asyncDispose]()]);
  }

  /** Remove the group. To be called when its ranks are gone. */
  async release(): Promise<void> {
    await this.#keeper?.release();
  }

  #tell(gang: Gang, { nowMs }: GangContext): void {
    const name = trainerName(this.config);
    gang.events.on('progress', (_, { phase, progress, detail }) =>
      this.news.progress(name, { phase, progress, detail, elapsedMs: nowMs() - gang.startedAtMs }),
    );
    gang.events.on('incident', (failure, incident) => this.#fail(failure.message, incident));
    gang.events.on('change', () => {
      if (this.#failed && gang.state.at === 'ready') {
        this.#failed = false;
        this.news.recovered(name, nowMs() - gang.startedAtMs);
      }
      this.#changed();
    });
  }

  #fail(reason: string, incident: string | null): void {
    this.#failed = true;
    this.news.failed(trainerName(this.config), reason, incident);
  }

  #changed(): void {
    this.#events.emit('change');
    this.news.change();
  }
}
