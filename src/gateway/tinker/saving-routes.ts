/** Runs saved, and gone on with. */

import { TwinkleError } from '../../errors.js';
import { type Static, Type } from '../../protocol/type.js';
import type { NamedKind } from '../../training/checkpoint-path.js';
import type { RouteSpec } from '../http/routes.js';
import { Count, checkOptimizer, Id, Metadata, optional, Request, SeqId } from './fields.js';
import { checkBaseModel, readBy } from './reader.js';
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
const SaveForSampler = Request({
  model_id: Id,
  seq_id: Count,
  path: optional(Type.String()),
  sampling_session_seq_id: optional(SeqId),
  kind: optional(Type.Union([Type.Literal('snapshot'), Type.Literal('inflight')])),
  ttl_seconds: Ttl,
  user_metadata: Metadata,
});
const SaveExternal = Request({
  model_id: Id,
  seq_id: Count,
  path: Type.String(),
  ttl_seconds: Ttl,
  age_encryption_recipients: optional(Type.Array(Type.String())),
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

/** What all saves have in common. */
interface Save {
  readonly model_id: string;
  readonly seq_id: number;
  readonly ttl_seconds?: number | null;
  readonly overwrite?: boolean | null;
  readonly user_metadata?: Readonly<Record<string, unknown>> | null;
}

/** @param check refuses, with the request's number used up */
function save(call: TinkerCall, kind: NamedKind, name: string, check: () => void = () => {}): object {
  const { request, tenant, training } = call;
  const body = request.body as Save;
  const { model_id: run, seq_id: seqId } = body;
  const requestId = accepted(call, run, seqId, () => {
    check();
    const ttlSeconds = body.ttl_seconds ?? null;
    const more = { overwrite: body.overwrite ?? false, userMetadata: body.user_metadata ?? null };
    return training.save(tenant, { run, seqId, kind, name, ttlSeconds, ...more });
  });
  return { request_id: requestId, model_id: run };
}

/** Under a name, or handed over to a new sampler of the session. */
function saveForSampler(call: TinkerCall): object {
  const { request, tenant, training } = call;
  const body = request.body as Static<typeof SaveForSampler>;
  if (body.path != null) return save(call, 'sampler_weights', body.path, () => checkNamed(body));
  const { model_id: run, seq_id: seqId } = body;
  const requestId = accepted(call, run, seqId, () => {
    if (body.sampling_session_seq_id == null) throw wanted('path', 'a name, or `sampling_session_seq_id`');
    if (body.ttl_seconds != null || body.user_metadata != null)
      throw wanted('path', 'a name, for `ttl_seconds` and `user_metadata` to belong to');
    const follows = body.kind === 'inflight';
    return training.handOver(tenant, { run, seqId, samplerSeqId: body.sampling_session_seq_id, follows });
  });
  return { request_id: requestId, model_id: run };
}

function checkNamed(body: Static<typeof SaveForSampler>): void {
  if (body.kind === 'inflight') throw wanted('kind', 'snapshot: weights with a name do not change');
  if (body.sampling_session_seq_id != null) throw wanted('sampling_session_seq_id', 'none beside `path`');
}

const wanted = (param: string, what: string): TwinkleError =>
  new TwinkleError('INVALID_REQUEST', `expected ${what} for \`${param}\``, { param });

function saveExternal(call: TinkerCall): object {
  const body = call.request.body as Static<typeof SaveExternal>;
  return save(call, 'external_weights', body.path, () => {
    if ((body.age_encryption_recipients ?? []).length === 0) return;
    throw new TwinkleError(
      'UNSUPPORTED_PARAMETER',
      'weights are not encrypted here: leave `age_encryption_recipients` out',
      { param: 'age_encryption_recipients' },
    );
  });
}

/** Into a run that there is, or into a new one: which, says what names it. */
function load(call: TinkerCall): object {
  const { request, tenant, training } = call;
  const body = request.body as Static<typeof LoadWeights>;
  const optimizer = body.optimizer ?? false;
  if (body.model_id != null && body.seq_id != null) {
    const { model_id: run, seq_id: seqId } = body;
    const requestId = accepted(call, run, seqId, () =>
      training.load(tenant, { run, seqId, ...readBy(call, body.path, body.weights_access_token), optimizer }),
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
  const { from, reader } = readBy(call, body.path, body.weights_access_token);
  checkBaseModel(call, reader, from, body.base_model);
  const { requestId, run } = training.resume(tenant, {
    session: body.session_id,
    seqId: body.model_seq_id,
    from,
    reader,
    optimizer,
    userMetadata: body.user_metadata ?? null,
  });
  return { request_id: requestId, model_id: run };
}

export function savingRoutes(routes: TinkerRoutes): RouteSpec[] {
  return [
    routes.post('save_weights', 'Save a run under a name, to go on from.', SaveWeights, (call) =>
      save(call, 'weights', (call.request.body as Static<typeof SaveWeights>).path),
    ),
    routes.post('save_weights_for_sampler', 'Weights of a run to sample from.', SaveForSampler, saveForSampler),
    routes.post('save_weights_external', 'Weights of a run to be downloaded.', SaveExternal, saveExternal),
    routes.post('load_weights', 'Go on from a checkpoint.', LoadWeights, load),
  ];
}
