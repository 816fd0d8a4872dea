/** All ranks of a head that train, by the names of their models: those in groups of their own, and those of models that are served. */
import type { TrainingConfig } from '../config/types.js';
import { TwinkleError } from '../errors.js';
import type { Logger } from '../observability/logger.js';
import type { ModelLimits, TrainedOnly, Trainer, TrainerHost } from '../training/trainer.js';
import type { NewRun } from '../training/types.js';
import type { BuiltModel } from './build-model.js';
import { type ModelTrainer, trainerStatus } from './model-trainer.js';
import type { PlacedTrainer } from './placed-trainer.js';
import { checkSamplable } from './samplable-run.js';
import { SharedTrainer, type TrainableModel } from './shared-trainer.js';
import type { RunStatus, TrainerStatus } from './types.js';

export class TrainerGangs implements TrainerHost {
  readonly #shared: readonly SharedTrainer[];
  readonly #all: readonly ModelTrainer[];

  constructor(
    private readonly models: readonly BuiltModel[],
    config: TrainingConfig,
    log: Logger,
    private readonly placed: readonly PlacedTrainer[] = [],
  ) {
    this.#shared = models.filter(isTrainable).map((model) => new SharedTrainer(model, config, log));
    this.#all = [...placed, ...this.#shared];
  }

  /** Start those that have devices which the server was told of. */
  startOwn(): void {
    for (const trainer of this.#shared) trainer.startOwn();
  }

  async stop(): Promise<void> {
    for (const { turns } of this.models) turns?.[Symbol.dispose]();
    await Promise.all(this.#all.map((trainer) => trainer.stop()));
  }

  trainedOnly(): readonly TrainedOnly[] {
    const served = new Set(this.models.flatMap(({ config }) => config.servedNames));
    return this.placed.flatMap(({ gang, names }) =>
      names
        .filter((name) => !served.has(name))
        .map((name) => ({ name, maxModelLen: gang.card?.max_model_len ?? null })),
    );
  }

  trains(model: string): boolean {
    return this.#find(model) !== undefined;
  }

  checkRun(model: string, run: Pick<NewRun, 'rank' | 'unembed'>): void {
    const built = this.models.find(({ config }) => config.servedNames.includes(model));
    if (built !== undefined) checkSamplable(built.config, run);
  }

  limits(model: string): ModelLimits | null {
    return this.#find(model)?.limits ?? null;
  }

  folder(model: string): string {
    const served = this.models.find(({ config }) => config.servedNames.includes(model));
    return this.#find(model)?.folder ?? served?.config.model ?? model;
  }

  async open(model: string): Promise<Trainer> {
    const found = this.#find(model);
    if (found === undefined)
      throw new TwinkleError('UNSUPPORTED_PARAMETER', `model \`${model}\` cannot be trained here`);
    return await found.open();
  }

  paused(model: string): string | null {
    return this.#find(model)?.paused() ?? null;
  }

  close(model: string): void {
    this.#find(model)?.close();
  }

  /** Of those that were ever started. @param runs of the service */
  status(runs: readonly RunStatus[]): readonly TrainerStatus[] {
    return this.#all.flatMap((trainer) => trainerStatus(trainer, runs) ?? []);
  }

  #find(model: string): ModelTrainer | undefined {
    return this.#all.find(({ names }) => names.includes(model));
  }
}

const isTrainable = (model: BuiltModel): model is TrainableModel => model.trainer != null;
