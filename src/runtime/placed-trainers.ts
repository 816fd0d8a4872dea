/** All ranks of a head that train in groups of their own, as one: placed, watched and ended together. */
import type { TrainedModel } from '../config/types.js';
import type { GroupPlan } from '../engines/placement.js';
import type { TwinkleError } from '../errors.js';
import type { Logger } from '../observability/logger.js';
import type { GangContext } from './gang-ground.js';
import { PlacedTrainer, type TrainerGround } from './placed-trainer.js';
import type { ModelNews } from './watch-model.js';

export class PlacedTrainers {
  readonly all: readonly PlacedTrainer[];

  /** Engines begin to import their libraries at once. */
  constructor(
    trained: readonly TrainedModel[],
    context: (one: TrainedModel) => GangContext,
    log: Logger,
    news: ModelNews,
  ) {
    this.all = trained.map((one) => new PlacedTrainer(one, context(one), log, news));
    for (const { launcher } of this.all) launcher.prepare();
  }

  /** Ask for their groups, in their order. */
  place(plans: readonly (readonly GroupPlan[])[], ground: TrainerGround): void {
    this.all.forEach((trainer, at) => {
      const [plan] = plans[at] ?? [];
      if (plan !== undefined) trainer.place(plan, ground);
    });
  }

  get ready(): boolean {
    return this.all.every(({ state }) => state.at === 'ready');
  }

  /** Why one of them will never train; null: they all do, or may. */
  get failure(): TwinkleError | null {
    return this.all.map(({ failure }) => failure).find((failure) => failure !== null) ?? null;
  }

  /** None of them can; false where there are none. */
  get lost(): boolean {
    return this.all.length > 0 && this.all.every(({ failure }) => failure !== null);
  }

  /** Remove their groups. To be called when their ranks are gone. */
  async release(): Promise<void> {
    await Promise.all(this.all.map((trainer) => trainer.release()));
  }
}
