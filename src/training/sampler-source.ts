/** Where the tokens of a sampler come from: its base model, or weights that were trained. */
import { asTwinkleError } from '../errors.js';
import type { GenerateParams } from '../protocol/values.js';
import type { Caller, Generation, Inference, TokenSink } from '../serving/types.js';
import { generateLater } from './generate-later.js';
import { dropped, type HandOvers } from './hand-overs.js';
import type { NamedCheckpoints } from './named-checkpoints.js';
import type { Sampler } from './samplers.js';
import type { SamplerWeights, SamplingHost } from './sampling-host.js';

/** Begins a generation. @throws what `Inference.generate` throws */
export type Generate = (params: GenerateParams, sink: TokenSink, caller: Caller) => Generation;

/** What of a sampler says where its tokens come from. */
export interface SampledFrom extends Pick<Sampler, 'id' | 'baseModel' | 'from'> {
  readonly session: Pick<Sampler['session'], 'tenant'>;
}

export interface SourceParts {
  readonly inference: Inference;
  readonly host: SamplingHost;
  readonly handOvers: HandOvers;
  readonly checkpoints: NamedCheckpoints;
  /** The served name of a base model. @throws `MODEL_NOT_FOUND` */
  served(baseModel: string): string;
}

/** @throws `MODEL_NOT_FOUND`, `CHECKPOINT_NOT_FOUND`, `SAMPLER_NOT_FOUND` */
export function sourceOf(sampler: SampledFrom, parts: SourceParts): Generate {
  const { checkpoints, handOvers, host, inference, served } = parts;
  const model = served(sampler.baseModel);
  const weights = weightsOf(sampler, handOvers);
  if (weights === null) return (params, sink, caller) => inference.generate(model, params, sink, caller);
  const { from, session } = sampler;
  return (params, sink, caller) => {
    const begin = (): Generation => host.generateWith(model, weights, params, sink, caller);
    const coming = from === null ? null : checkpoints.bring(session.tenant, from);
    return coming === null ? begin() : generateLater(coming, begin, sink);
  };
}

function weightsOf({ from, id, session }: SampledFrom, handOvers: HandOvers): SamplerWeights | null {
  if (from === null) return null;
  try {
    return handOvers.use(session.tenant, from);
  } catch (error) {
    throw from.kind === 'handed_over' ? dropped(id, asTwinkleError(error)) : error;
  }
}
