/** The models of a head as the training service samples from them: with adapters that no request can name. */
import { TwinkleError } from '../errors.js';
import type { GenerateParams } from '../protocol/values.js';
import type { ControlledModel } from '../serving/fleet-control.js';
import type { HiddenAdapters } from '../serving/hidden-adapters.js';
import { leased, leasedLater } from '../serving/leased.js';
import { takesNoAdapters } from '../serving/refusals.js';
import type { Caller, Generation, Inference, TokenSink } from '../serving/types.js';
import type { SamplerWeights, SamplingHost } from '../training/sampling-host.js';

export class SamplingModels implements SamplingHost {
  readonly #inference: Inference;
  readonly #models: readonly ControlledModel[];

  /** @param inference where names are those of models alone */
  constructor(inference: Inference, models: readonly ControlledModel[]) {
    this.#inference = inference;
    this.#models = models;
  }

  adapts(model: string): boolean | null {
    const found = this.#find(model);
    if (found === undefined) return false;
    return found.card?.adapters ?? null;
  }

  paused(model: string): string | null {
    return this.#find(model)?.options.paused?.() ?? null;
  }

  generateWith(
    model: string,
    weights: SamplerWeights,
    params: GenerateParams,
    sink: TokenSink,
    caller: Caller,
  ): Generation {
    const adapters = this.#adapters(model);
    const begin = (hears: TokenSink): Generation =>
      this.#inference.generate(model, { ...params, adapter: weights.name }, hears, caller);
    const lease = adapters.lease(weights.name);
    return lease === null ? leasedLater(adapters.use(weights), sink, begin) : leased(lease, sink, begin);
  }

  async prepare(model: string, weights: SamplerWeights): Promise<void> {
    const lease = await this.#adapters(model).use(weights);
    lease.release();
  }

  async replace(model: string, weights: SamplerWeights): Promise<void> {
    await this.#adapters(model).replace(weights);
  }

  async forget(model: string, name: string): Promise<void> {
    await this.#adapters(model).forget(name);
  }

  #find(model: string): ControlledModel | undefined {
    return this.#models.find(({ names }) => names.includes(model));
  }

  /** Before the first load an engine may take them, and requests hear that it is not ready. */
  #adapters(model: string): HiddenAdapters {
    const found = this.#find(model);
    if (found === undefined) throw new TwinkleError('MODEL_NOT_FOUND', `The model \`${model}\` does not exist.`);
    if (found.card?.adapters === false) throw takesNoAdapters('UNSUPPORTED_PARAMETER', found);
    return found.hidden;
  }
}
