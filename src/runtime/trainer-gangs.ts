/** The ranks that train the models of a head: started when the first run wants them, where the model's first replica is. */
import { TwinkleError } from '../errors.js';
import type { Logger } from '../observability/logger.js';
import { draining } from '../serving/refusals.js';
import type { Gang } from '../supervisor/gang.js';
import type { Trainer, TrainerHost } from '../training/trainer.js';
import type { BuiltModel } from './build-model.js';
import type { TrainerStatus } from './types.js';

/** A pass over many tokens of a big model takes minutes. A rank that hangs is found by its beats. */
const CALL_DEADLINE_MS = 3_600_000;

export class TrainerGangs implements TrainerHost {
  readonly #models: readonly BuiltModel[];
  /** Of the ranks that run now. */
  readonly #trainers = new WeakMap<Gang, { readonly epoch: number; readonly trainer: Trainer }>();

  constructor(models: readonly BuiltModel[], log: Logger) {
    this.#models = models;
    for (const { trainer } of models) {
      if (trainer !== null) watch(trainer, log);
    }
  }

  trains(model: string): boolean {
    return this.#find(model)?.trainer != null;
  }

  folder(model: string): string {
    return this.#find(model)?.config.model ?? model;
  }

  async open(model: string): Promise<Trainer> {
    const built = this.#find(model);
    const gang = built?.trainer ?? null;
    if (built === undefined || gang === null)
      throw new TwinkleError('UNSUPPORTED_PARAMETER', `model \`${model}\` cannot be trained here`);
    gang.start(built.gangs[0]?.gang.places ?? []);
    await ready(gang, model);
    return this.#trainerOf(gang);
  }

  /** Of those that were ever started. */
  status(): readonly TrainerStatus[] {
    return this.#models.flatMap(({ config, trainer }) =>
      trainer === null || trainer.state.at === 'idle'
        ? []
        : [{ model: config.servedNames[0] ?? '', state: trainer.state.at, epoch: trainer.epoch, pids: trainer.pids }],
    );
  }

  #find(model: string): BuiltModel | undefined {
    return this.#models.find(({ config }) => config.servedNames.includes(model));
  }

  #trainerOf(gang: Gang): Trainer {
    const { epoch } = gang;
    const known = this.#trainers.get(gang);
    if (known?.epoch === epoch) return known.trainer;
    const trainer: Trainer = {
      get gone() {
        return gang.epoch !== epoch || gang.lead === null;
      },
      call: async (method, params) => {
        const { lead } = gang;
        if (lead === null || gang.epoch !== epoch)
          throw new TwinkleError('RANK_FAILED', `the ranks of ${gang.spec.id} were started again`);
        return await lead.call(method, params, { deadlineMs: CALL_DEADLINE_MS });
      },
    };
    this.#trainers.set(gang, { epoch, trainer });
    return trainer;
  }
}

function watch(gang: Gang, log: Logger): void {
  const { id } = gang.spec;
  gang.events.on('change', () => log.info({ gang: id, epoch: gang.epoch, state: gang.state.at }, 'gang_state'));
  gang.events.on('incident', (failure, incident) =>
    log.error({ gang: id, epoch: gang.epoch, ...failure, incident }, 'gang_failed'),
  );
}

/** Resolves when the ranks are up. @throws why they will not be */
async function ready(gang: Gang, model: string): Promise<void> {
  const settled = (): boolean => ['ready', 'failed', 'stopped'].includes(gang.state.at);
  if (!settled()) {
    await new Promise<void>((resolve) => {
      const stop = gang.events.on('change', () => {
        if (!settled()) return;
        stop();
        resolve();
      });
    });
  }
  const { state } = gang;
  if (state.at === 'ready') return;
  if (state.at !== 'failed') throw draining();
  throw new TwinkleError(
    'GANG_FAILED',
    `the ranks that train \`${model}\` cannot be started: ${state.failure.message}`,
  );
}
