/** Runs saved, and gone on with. */

import { TwinkleError } from '../../errors.js';
import { type Static, Type } from '../../protocol/type.js';
import { readPath } from '../../training/checkpoint-path.js';
import type { RouteSpec } from '../http/routes.js';
import { Count, checkOptimizer, Id, Metadata, optional, Request, SeqId } from './fields.js';
import { accepted, type TinkerCall, type TinkerRoutes } from './route.js';

/** Ten years. */
export const Ttl = optional(Type.Integer({ minimum: 1, maximum: 315_360_000 }));

const SaveWeights = Request({
  model_id: Id,
  seq_id: Count,
  path: Type.String(),
  ttl_seconds: Ttl,
  overwrite: optional(Type.Boolean()),
  user_metadata: Metadata,
});
const LoadWeights = Request({
  path: Type.String(),
  optimizer: optional(Type.Boolean()),
  session_id: optional(Id),
  model_seq_id: optional(SeqId),
  model_id: optional(Id),
  seq_id: optional(Count),
  base_model: optional(Id),
  user_metadata: Metadata,
  optimizer_config: optional(Type.Object({ type: Type.String() })),
  weights_access_token: optional(Type.String()),
});

function save(call: TinkerCall): object {
  const { request, tenant, training } = call;
  const body = request.body as Static<typeof SaveWeights>;
  const { model_id: run, seq_id: seqId } = body;
  const requestId = accepted(call, run, seqId, () =>
    training.save(tenant, {
      run,
      seqId,
      name: body.path,
      ttlSeconds: body.ttl_seconds ?? null,
      overwrite: body.overwrite ?? false,
      userMetadata: body.user_metadata ?? null,
    }),
  );
  return { request_id: requestId, model_id: run };
}

/** Into a run that there is, or into a new one: which, says what names it. */
function load(call: TinkerCall): object {
  const { request, tenant, training } = call;
  const body = request.body as Static<typeof LoadWeights>;
  const optimizer = body.optimizer ?? false;
  if (body.model_id != null && body.seq_id != null) {
    const { model_id: run, seq_id: seqId } = body;
    const requestId = accepted(call, run, seqId, () =>
      training.load(tenant, { run, seqId, from: readPath(body.path), optimizer }),
    );
    return { request_id: requestId, model_id: run };
  }
  if (body.session_id == null || body.model_seq_id == null) {
    throw new TwinkleError(
      'INVALID_REQUEST',
      'expected `session_id` and `model_seq_id` of a new run, or `model_id` and `seq_id`',
      {
        param: 'model_id',
      },
    );
  }
  checkOptimizer(body.optimizer_config);
  const from = readPath(body.path);
  const { baseModel } = training.checkpoint(tenant, from).run;
  if (body.base_model != null && body.base_model !== baseModel) {
    throw new TwinkleError(
      'INVALID_REQUEST',
      `expected base_model \`${baseModel}\`, which the checkpoint is of, but received \`${body.base_model}\``,
      {
        param: 'base_model',
      },
    );
  }
  const { requestId, run } = training.resume(tenant, {
    session: body.session_id,
    seqId: body.model_seq_id,
    from,
    optimizer,
    userMetadata: body.user_metadata ?? null,
  });
  return { request_id: requestId, model_id: run };
}

export function savingRoutes(routes: TinkerRoutes): RouteSpec[] {
  return [
    routes.post('save_weights', 'Save a run under a name.', SaveWeights, save),
    routes.post('load_weights', 'Go on from a checkpoint.', LoadWeights, load),
  ];
}
