/** `POST /update_weights`: what it takes, and its answer of all replicas, on the gateway and on the admin socket. */
import { type Static, Type } from '../../protocol/type.js';
import type { FleetControl } from '../../serving/types/control.js';
import { optional } from '../openai/fields.js';
import { type CombinedAnswer, combineAnswers } from './combine-answers.js';

export const UPDATE_WEIGHTS = { method: 'POST', url: '/update_weights' } as const;

export const UpdateWeightsRequest = Type.Object(
  {
    path: Type.String({ minLength: 1, description: 'Folder with safetensors on this machine: absolute, or from ~/.' }),
    mode: optional(
      Type.Union([Type.Literal('wait'), Type.Literal('keep'), Type.Literal('abort')], {
        description: 'Requests that run end first (default), go on with the new weights, or are aborted.',
      }),
    ),
    model: optional(Type.String({ description: 'May be left out when only one is served.' })),
  },
  { additionalProperties: false },
);
type UpdateWeightsRequest = Static<typeof UpdateWeightsRequest>;

/** @param body checked against {@link UpdateWeightsRequest} */
export async function updateWeights(control: FleetControl, body: unknown): Promise<CombinedAnswer> {
  const { path, mode, model } = body as UpdateWeightsRequest;
  const update = { source: { folder: path }, mode: mode ?? 'wait' };
  return combineAnswers(UPDATE_WEIGHTS.url, await control.updateWeights(model ?? null, update));
}
