/** What the ranks have added up for a run, and the steps that use it up. */
import { TwinkleError } from '../errors.js';
import type { DirectTraining } from '../training/types.js';
import type { AdapterState } from './adapter-state.js';

type NormParams = Parameters<DirectTraining['norm']>[2];

/** What a step is taken with. */
interface StepWith {
  readonly optimizer: NonNullable<AdapterState['optimizer']>;
  readonly lr: number;
  /** Null: the gradient is taken as it is. */
  readonly clip: AdapterState['clip'];
}

export class Gradient {
  constructor(
    private readonly direct: Pick<DirectTraining, 'norm' | 'step' | 'zero'>,
    private readonly tenant: string,
    private readonly run: string,
  ) {}

  async zero(): Promise<void> {
    await this.direct.zero(this.tenant, this.run);
  }

  /** The norm; one that is not finite is cleared, for with the ranks it stays when it is only looked at. @throws `NON_FINITE` */
  async norm(params: NormParams): Promise<number> {
    try {
      return await this.direct.norm(this.tenant, this.run, params);
    } catch (error) {
      if (error instanceof TwinkleError && error.code === 'NON_FINITE') await this.zero();
      throw error;
    }
  }

  async step({ clip, lr, optimizer }: StepWith): Promise<Readonly<Record<string, number>>> {
    const { beta1, beta2, dampening, eps, kind, momentum, nesterov, weightDecay } = optimizer;
    return await this.direct.step(this.tenant, this.run, {
      ...{ learning_rate: lr, beta1, beta2, eps, weight_decay: weightDecay, kind },
      ...{ momentum, nesterov, dampening },
      grad_clip_norm: clip?.norm ?? 0,
      gradient_scale: clip?.scale ?? 1,
      norm_type: clip?.type ?? 2,
    });
  }
}
