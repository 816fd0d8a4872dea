/** What the service needs of the engines that sample from what was trained. The runtime has them. */
import type { GenerateParams } from '../protocol/values.js';
import type { Caller, Generation, TokenSink } from '../serving/types.js';

/** Weights that only who knows of them samples from. */
export interface SamplerWeights {
  /** Begins with `tinker://`. No request can name it. */
  readonly name: string;
  /** A PEFT folder. Engines may read it again until it is forgotten; once replaced, for generations that began before. */
  readonly folder: string;
}

/** All but `adapts` throw `MODEL_NOT_FOUND`, and `UNSUPPORTED_PARAMETER` for a model whose engines take no adapters. */
export interface SamplingHost {
  /** Whether engines of that served model take adapters. Null: none has been loaded yet. */
  adapts(model: string): boolean | null;
  /** Why its requests wait; null: not because it is trained just now. Absent: they never do. */
  paused?(model: string): string | null;
  /**
   * As `Inference.generate`, from those weights: loaded on first use on all replicas, kept while in use, evicted least recently used first.
   * What keeps them from loading the sink hears: `INVALID_REQUEST` with the engine's words, `NOT_READY`. The next use tries again.
   */
  generateWith(
    model: string,
    weights: SamplerWeights,
    params: GenerateParams,
    sink: TokenSink,
    caller: Caller,
  ): Generation;
  /** Load ahead of the first use. Resolves when all replicas that take requests have them; the others are told before they do. */
  prepare(model: string, weights: SamplerWeights): Promise<void>;
  /**
   * The folder's weights take the place of those of that name wherever they are loaded, for generations under way too; not loaded: nothing to
   * do. Take another folder each time: engines know their cached prompts by it.
   * @throws `INVALID_REQUEST` with the engine's words: either all have what they had, or the next use loads anew
   */
  replace(model: string, weights: SamplerWeights): Promise<void>;
  /**
   * Nobody will use it again. Resolves when its last generation is over and the engines were told to forget it: nothing reads its folder any
   * more. Unknown names are fine.
   */
  forget(model: string, name: string): Promise<void>;
}
