/** Sampling sessions and requests for samples. */

import { TwinkleError } from '../../errors.js';
import { type Static, Type } from '../../protocol/type.js';
import { takeBodyText } from '../http/json-body.js';
import type { RouteSpec } from '../http/routes.js';
import { Id, optional, Request, SeqId } from './fields.js';
import type { TinkerRoutes } from './route.js';
import { AsampleBody, sampleRequestOf } from './sample-request.js';

const CreateSamplingSession = Request({
  session_id: Id,
  sampling_session_seq_id: SeqId,
  base_model: optional(Id),
  model_path: optional(Type.String()),
});
const JoinSamplingSession = Request({ sampling_session_id: Id });

function baseModelOf({ base_model, model_path }: Static<typeof CreateSamplingSession>): string {
  if (model_path != null) {
    const shown = JSON.stringify(model_path.slice(0, 200));
    throw new TwinkleError('MODEL_NOT_FOUND', `there is no checkpoint ${shown} here: give base_model`, {
      param: 'model_path',
    });
  }
  if (base_model != null) return base_model;
  throw new TwinkleError('INVALID_REQUEST', 'expected `base_model` or `model_path` but received neither', {
    param: 'base_model',
  });
}

export function samplingRoutes(routes: TinkerRoutes): RouteSpec[] {
  return [
    routes.post(
      'create_sampling_session',
      'Weights to sample from.',
      CreateSamplingSession,
      ({ request, tenant, training }) => {
        const body = request.body as Static<typeof CreateSamplingSession>;
        const { id } = training.createSampler(tenant, {
          session: body.session_id,
          seqId: body.sampling_session_seq_id,
          baseModel: baseModelOf(body),
        });
        return { type: 'create_sampling_session', sampling_session_id: id };
      },
    ),
    routes.post(
      'join_sampling_session',
      'A number for one more client of a sampling session.',
      JoinSamplingSession,
      ({ request, tenant, training }) => {
        const { sampling_session_id } = request.body as Static<typeof JoinSamplingSession>;
        return { type: 'join_sampling_session', client_counter: training.joinSampler(tenant, sampling_session_id) };
      },
    ),
    routes.get('samplers/:id', 'What a sampling session samples from.', ({ request, tenant, training }) => {
      const { baseModel, id } = training.sampler(tenant, (request.params as { id: string }).id);
      return { sampler_id: id, base_model: baseModel, model_path: null };
    }),
    routes.postText(
      'asample',
      'Ask for samples; retrieve_future has them.',
      AsampleBody,
      ({ request, tenant, training }) => {
        const asked = sampleRequestOf(request.body as AsampleBody, takeBodyText(request));
        const { requestId, sequenceIds } = training.sample(tenant, asked);
        return { request_id: requestId, model_id: null, sample_sequence_ids: sequenceIds };
      },
    ),
  ];
}
