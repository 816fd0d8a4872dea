/** What a datum says about where its tokens come from. No loss here reads it; it has to fit the datum all the same. */
import { TwinkleError } from '../../errors.js';
import type { WireDatum } from '../../protocol/tinker/forward-backward-request.js';

/**
 * @param tokens - how many positions the datum's `model_input` has
 * @throws `INVALID_REQUEST` for spans that do not tile `model_input` and, of one dimension, `target_tokens`; one list of spans without the other is none that fits
 */
export function checkProvenance({ inputs, spans }: WireDatum, tokens: number, at: number): void {
  if (spans === null) return;
  const fits = (field: string, path: string, covered: number, positions: number): void => {
    if (covered === positions) return;
    const problem = `spans of \`${field}\` cover ${covered} positions, but it has ${positions}: send spans that tile it`;
    throw new TwinkleError('INVALID_REQUEST', `datum ${at}: ${problem}`, { param: `data[${at}].${path}` });
  };
  fits('model_input', 'model_input_spans', spans.input, tokens);
  const [length, ...more] = inputs.get('target_tokens')?.shape ?? [];
  if (length !== undefined && more.length === 0) fits('target_tokens', 'loss_fn_input_spans', spans.targets, length);
}
