/** Sampling sessions and requests for samples. */

import { TwinkleError } from '../../errors.js';
import { type Static, Type } from '../../protocol/type.js';
import { pathText, readPath } from '../../training/checkpoint-path.js';
import type { NewSampler } from '../../training/types.js';
import { takeBodyText } from '../http/json-body.js';
import type { RouteSpec } from '../http/routes.js';
import { Id, optional, Request, SeqId } from './fields.js';
import { checkBaseModel } from './reader.js';
import type { TinkerCall, TinkerRoutes } from './route.js';
import { AsampleBody, sampleRequestOf } from './sample-request.js';

const CreateSamplingSession = Request({
  session_id: Id,
  sampling_session_seq_id: SeqId,
  base_model: optional(Id),
  model_path: optional(Type.String()),
});
const JoinSamplingSession = Request({ sampling_session_id: Id });

function sourceOf(
  call: TinkerCall,
  { base_model, model_path }: Static<typeof CreateSamplingSession>,
): NewSampler['of'] {
  if (model_path != null) {
    const from = readPath(model_path, 'model_path');
    checkBaseModel(call, call.tenant, from, base_model);
    return { from };
  }
  if (base_model != null) return { baseModel: base_model };
  throw new TwinkleError('INVALID_REQUEST', 'expected `base_model` or `model_path` but received neither', {
    param: 'base_model',
  });
}

export function samplingRoutes(routes: TinkerRoutes): RouteSpec[] {
  return [
    routes.post('create_sampling_session', 'Weights to sample from.', CreateSamplingSession, (call) => {
      const body = call.request.body as Static<typeof CreateSamplingSession>;
      const { id } = call.training.createSampler(call.tenant, {
        session: body.session_id,
        seqId: body.sampling_session_seq_id,
        of: sourceOf(call, body),
      });
      return { type: 'create_sampling_session', sampling_session_id: id };
    }),
    routes.postOnce(
      'join_sampling_session',
      'A number for one more client of a sampling session.',
      JoinSamplingSession,
      ({ request, tenant, training }) => {
        const { sampling_session_id } = request.body as Static<typeof JoinSamplingSession>;
        return { type: 'join_sampling_session', client_counter: training.joinSampler(tenant, sampling_session_id) };
      },
    ),
    routes.get('samplers/:id', 'What a sampling session samples from.', ({ request, tenant, training }) => {
      const { baseModel, from, id } = training.sampler(tenant, (request.params as { id: string }).id);
      const named = from !== null && from.kind !== 'handed_over';
      return { sampler_id: id, base_model: baseModel, model_path: named ? pathText(from) : null };
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
