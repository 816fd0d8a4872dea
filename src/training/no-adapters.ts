/** Why a model does not sample from what was trained of it. */
import { TwinkleError } from '../errors.js';

export function noAdapters(model: string): TwinkleError {
  return new TwinkleError(
    'UNSUPPORTED_PARAMETER',
    `model \`${model}\` was started without LoRA adapters, so it cannot sample from what was trained: start it with --enable-lora, or save the weights and download them`,
    { param: 'model_id' },
  );
}
