/** Runs: made, asked about, trained. */
import { TwinkleError } from '../../errors.js';
import { type Static, Type } from '../../protocol/type.js';
import type { RouteSpec } from '../http/routes.js';
import { readComputeRequest, workOf } from './compute-request.js';
import { Count, checkOptimizer, Id, Metadata, onlyAdam, optional, Request, SeqId } from './fields.js';
import { jsonPass, PassBody } from './json-request.js';
import { accepted, judged, type TinkerCall, type TinkerRoutes } from './route.js';
import { shapeOf } from './run-shape.js';

const Optimizer = Type.Object(
  { type: Type.String(), version: optional(Type.Integer()) },
  { additionalProperties: false },
);
const Lora = Type.Object(
  {
    rank: Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 }),
    seed: optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
    train_unembed: optional(Type.Boolean()),
    train_mlp: optional(Type.Boolean()),
    train_attn: optional(Type.Boolean()),
  },
  { additionalProperties: false },
);
const FULL: Static<typeof Lora> = { rank: 0 };
const CreateModel = Request({
  session_id: Id,
  model_seq_id: SeqId,
  base_model: Id,
  user_metadata: Metadata,
  // Twinkle's clients leave it out to train all of a model.
  lora_config: optional(Lora),
  optimizer_config: optional(Optimizer),
});
const ModelOnly = Request({ model_id: Id });
const Adam = Type.Object(
  {
    learning_rate: optional(Type.Number()),
    beta1: optional(Type.Number()),
    beta2: optional(Type.Number()),
    eps: optional(Type.Number()),
    weight_decay: optional(Type.Number()),
    grad_clip_norm: optional(Type.Number()),
  },
  { additionalProperties: false },
);
const OptimStep = Request({
  model_id: Id,
  seq_id: Count,
  adam_params: optional(Adam),
  optimizer_params: optional(Type.Unknown()),
});

function createModel({ request, tenant, training }: TinkerCall): object {
  const body = request.body as Static<typeof CreateModel>;
  checkOptimizer(body.optimizer_config);
  const { rank, seed, train_attn, train_mlp, train_unembed } = body.lora_config ?? FULL;
  const { requestId, run } = training.createRun(tenant, {
    session: body.session_id,
    seqId: body.model_seq_id,
    baseModel: body.base_model,
    rank,
    seed: seed ?? null,
    attn: train_attn ?? true,
    mlp: train_mlp ?? true,
    unembed: train_unembed ?? true,
    userMetadata: body.user_metadata ?? null,
  });
  return { request_id: requestId, model_id: run };
}

function getInfo({ request, tenant, training }: TinkerCall): object {
  const { model_id } = request.body as Static<typeof ModelOnly>;
  const { baseModel, folder, rank } = training.run(tenant, model_id);
  return {
    type: 'get_info',
    model_data: { arch: null, model_name: baseModel, tokenizer_id: folder },
    model_id,
    ...shapeOf(rank),
    model_name: baseModel,
    optimizer_config: { type: 'adamw' },
  };
}

function forwardBackward(call: TinkerCall): object {
  const { request, tenant, training } = call;
  if (!(request.body instanceof Uint8Array)) return pass(call, 'forward_backward_input');
  const asked = readComputeRequest(request.body);
  const { modelId: run, seqId } = asked;
  if (seqId < 1) throw new TwinkleError('INVALID_REQUEST', `expected a seq_id from 1 on but received ${seqId}`);
  const work = accepted(call, run, seqId, () => workOf(asked));
  return { request_id: training.compute(tenant, { run, seqId, work }), model_id: run };
}

/** As SDKs before 0.24 ask for it, in JSON. */
function pass(call: TinkerCall, field: 'forward_input' | 'forward_backward_input'): object {
  const { request, tenant, training } = call;
  const body = request.body as PassBody;
  const { model_id: run, seq_id: seqId } = body;
  const work = judged(call, run, seqId, () => workOf(jsonPass(body, field)));
  return { request_id: training.compute(tenant, { run, seqId, work }), model_id: run };
}

/** The defaults are the SDK's. */
function optimStep(call: TinkerCall): object {
  const { request, tenant, training } = call;
  const { adam_params, model_id: run, optimizer_params, seq_id: seqId } = request.body as Static<typeof OptimStep>;
  const adam = judged(call, run, seqId, () => {
    if (optimizer_params != null) throw onlyAdam('optimizer_params');
    return {
      learning_rate: adam_params?.learning_rate ?? 1e-4,
      beta1: adam_params?.beta1 ?? 0.9,
      beta2: adam_params?.beta2 ?? 0.95,
      eps: adam_params?.eps ?? 1e-12,
      weight_decay: adam_params?.weight_decay ?? 0,
      grad_clip_norm: adam_params?.grad_clip_norm ?? 0,
    };
  });
  return { request_id: training.step(tenant, { run, seqId, adam }), model_id: run };
}

/** A client whose switch `custom_loss_server_side` somebody has thrown. */
function createCustomLoss(): never {
  throw new TwinkleError(
    'UNSUPPORTED_PARAMETER',
    'this server does not compute losses of its clients: with the switch `custom_loss_server_side` off, forward_backward_custom computes them in the client',
    { param: 'graph' },
  );
}

export function trainingRoutes(routes: TinkerRoutes): RouteSpec[] {
  return [
    routes.post(
      'create_model',
      'A LoRA adapter to train; of rank 0, all parameters of the model.',
      CreateModel,
      createModel,
    ),
    routes.post('get_info', 'What a run trains.', ModelOnly, getInfo),
    routes.postProtobuf(
      'forward_backward',
      'A forward pass, or one with its gradient.',
      PassBody('forward_backward_input'),
      forwardBackward,
    ),
    routes.postJudged('forward', 'A forward pass.', PassBody('forward_input'), (call) => pass(call, 'forward_input')),
    routes.post('create_custom_loss', 'Refused: clients compute their own losses.', Type.Object({}), createCustomLoss),
    routes.postJudged('optim_step', 'Step a run and clear its gradient.', OptimStep, optimStep),
  ];
}
