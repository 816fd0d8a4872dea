/** Conversations made sequences by the ranks that train their model: with the model's own chat template, answers as targets. */
import type { EncodedConversations } from '../protocol/training.js';
import type { DirectTraining } from '../training/types.js';
import type { Named } from './adapter-state.js';
import { IGNORED } from './feature-fields.js';
import type { Feature, Trajectory } from './features.js';
import { readTemplate } from './template.js';

export class Encoders {
  constructor(private readonly direct: Pick<DirectTraining, 'encode'>) {}

  /**
   * One sequence of each conversation.
   * @throws `INVALID_REQUEST` for what the template does not take
   */
  async encode(
    model: string,
    { kwargs, name }: Named,
    trajectories: readonly Trajectory[],
  ): Promise<readonly Feature[]> {
    const { maxLength, system, truncation, variables } = readTemplate(name, kwargs);
    const encoded = await this.direct.encode(model, {
      conversations: trajectories.map(({ messages, tools }) => ({ messages, tools: tools ?? null })),
      system,
      template_kwargs: variables,
      max_length: maxLength,
      truncation,
    });
    return featuresOf(encoded);
  }
}

function featuresOf({ labels, lengths, tokens }: EncodedConversations): readonly Feature[] {
  const [ids, targets] = [numbers(tokens), numbers(labels)];
  let at = 0;
  return lengths.map((length) => {
    at += length;
    const own = [...targets.subarray(at - length, at)];
    return {
      tokens: [...ids.subarray(at - length, at)],
      // Without an answer there is nothing that would count.
      labels: own.every((one) => one === IGNORED) ? null : own,
      anchor: null,
      padding: 0,
    };
  });
}

/** Bytes of a message may begin anywhere; integers may not. */
function numbers(bytes: Uint8Array): Int32Array {
  const { buffer, byteLength, byteOffset } = Uint8Array.from(bytes);
  return new Int32Array(buffer, byteOffset, byteLength / 4);
}
