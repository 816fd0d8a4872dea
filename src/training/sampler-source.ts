/** Where the tokens of a sampler come from: its base model, or weights that were trained. */
import { asTwinkleError } from '../errors.js';
import type { GenerateParams } from '../protocol/values.js';
import type { Caller, Generation, Inference, TokenSink } from '../serving/types.js';
import { dropped, type HandOvers } from './hand-overs.js';
import type { Sampler } from './samplers.js';
import type { SamplerWeights, SamplingHost } from './sampling-host.js';

/** Begins a generation. @throws what `Inference.generate` throws */
export type Generate = (params: GenerateParams, sink: TokenSink, caller: Caller) => Generation;

export interface SourceParts {
  readonly inference: Inference;
  readonly host: SamplingHost;
  readonly handOvers: HandOvers;
  /** The served name of a base model. @throws `MODEL_NOT_FOUND` */
  served(baseModel: string): string;
}

/** @throws `MODEL_NOT_FOUND`, `CHECKPOINT_NOT_FOUND`, `SAMPLER_NOT_FOUND` */
export function sourceOf(sampler: Sampler, { handOvers, host, inference, served }: SourceParts): Generate {
  const model = served(sampler.baseModel);
  const weights = weightsOf(sampler, handOvers);
  if (weights === null) return (params, sink, caller) => inference.generate(model, params, sink, caller);
  return (params, sink, caller) => host.generateWith(model, weights, params, sink, caller);
}

function weightsOf({ from, id, session }: Sampler, handOvers: HandOvers): SamplerWeights | null {
  if (from === null) return null;
  try {
    return handOvers.use(session.tenant, from);
  } catch (error) {
    throw from.kind === 'handed_over' ? dropped(id, asTwinkleError(error)) : error;
  }
}
