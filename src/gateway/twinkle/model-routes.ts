/** `<path of a model>/twinkle/…`: adapters of it, as `MultiLoraTransformersModel` of twinkle-kit asks for them. */
import { TwinkleError } from '../../errors.js';
import { type TSchema, Type } from '../../protocol/type.js';
import type { AdapterMethod, TwinkleModels } from '../../twinkle/types.js';
import type { RouteSpec } from '../http/routes.js';
import { optional } from '../openai/fields.js';
import { Id } from '../tinker/fields.js';
import type { TinkerCall, TinkerRoutes } from '../tinker/route.js';
import { sessionOf } from './session-header.js';

/** Other fields are arguments, and judged by what they are arguments of. */
const Body = <T extends Record<string, TSchema>>(fields: T) => Type.Object(fields, { additionalProperties: true });
const Adapter = { adapter_name: optional(Type.String({ maxLength: 512 })) };
const Inputs = { ...Adapter, inputs: Type.Unknown() };
const Class = <K extends string>(field: K) => Body({ ...Adapter, [field]: Id } as Record<string, TSchema>);

/** What each call does, and what it must have. */
const CALLS: Readonly<Record<AdapterMethod, readonly [summary: string, body: TSchema]>> = {
  forward: ['Log-probabilities of targets, kept for calculate_loss and backward.', Body(Inputs)],
  forward_only: ['Log-probabilities of targets, or embeddings; the gradient is left alone.', Body(Inputs)],
  calculate_loss: ['The loss of what forward was given.', Body(Adapter)],
  backward: ['Add the gradient of what forward was given.', Body(Adapter)],
  forward_backward: ['A pass, and its gradient.', Body(Inputs)],
  clip_grad_norm: ['The norm of the gradient, which the next step scales down.', Body(Adapter)],
  step: ['One step of the optimizer; the gradient is zero afterwards.', Body(Adapter)],
  zero_grad: ['Forget the gradient.', Body(Adapter)],
  lr_step: ['One step of the learning-rate scheduler.', Body(Adapter)],
  clip_grad_and_step: ['clip_grad_norm, step, zero_grad and lr_step.', Body(Adapter)],
  get_train_configs: ['What it trains with, as text.', Body(Adapter)],
  set_loss: ['Train by another loss.', Class('loss_cls')],
  set_optimizer: ['Step by another optimizer.', Class('optimizer_cls')],
  set_lr_scheduler: ['Have the learning rate change.', Class('scheduler_cls')],
  set_template: ['How conversations become tokens.', Class('template_cls')],
  set_processor: ['How sequences are laid out: they are packed here, whatever it says.', Class('processor_cls')],
  add_metric: ['One more metric.', Class('metric_cls')],
  calculate_metric: ['What metrics say of the passes since they were last asked.', Body(Adapter)],
  get_state_dict: ['Weights.', Body(Adapter)],
  apply_patch: ['Refused: others train the same model.', Class('patch_cls')],
  save: ['Save under a name, to go on from or to sample from.', Body({ ...Adapter, name: optional(Type.String()) })],
  load: ['Take the weights of a checkpoint.', Body({ ...Adapter, name: Type.String() })],
  resume_from_checkpoint: ['Go on where a checkpoint was.', Body({ ...Adapter, name: Type.String() })],
};

const Add = Body({ adapter_name: Id, config: Type.Unknown() });

function adapterOf(body: Readonly<Record<string, unknown>>): string {
  const { adapter_name: name } = body;
  if (typeof name === 'string' && name !== '') return name;
  throw new TwinkleError('INVALID_REQUEST', 'expected the name of an adapter for `adapter_name`: add one first', {
    param: 'adapter_name',
  });
}

function noHub(): never {
  throw new TwinkleError(
    'UNSUPPORTED_PARAMETER',
    'nothing is uploaded from here: download the checkpoint, and upload it with an account of your own',
    { param: 'hub_model_id' },
  );
}

/** @param routes below the model's path */
export function adapterRoutes(routes: TinkerRoutes, models: TwinkleModels, model: string): RouteSpec[] {
  const callOf = ({ request, tenant }: TinkerCall) => {
    const { adapter_name: _, ...kwargs } = request.body as Readonly<Record<string, unknown>>;
    const adapter = adapterOf(request.body as Readonly<Record<string, unknown>>);
    return { tenant, session: sessionOf(request), model, adapter, kwargs };
  };
  const calls = Object.entries(CALLS).map(([method, [summary, body]]) =>
    routes.post(`twinkle/${method}`, summary, body, (call) => models.call(method as AdapterMethod, callOf(call))),
  );
  return [
    routes.post('twinkle/create', 'Whether the model can be trained here.', Body({}), () => {
      models.check(model);
      return { status: 'ok' };
    }),
    routes.post('twinkle/add_adapter_to_model', 'Begin an adapter.', Add, async (call) => ({
      status: 'ok',
      adapter_name: await models.add(callOf(call)),
    })),
    ...calls,
    routes.post('twinkle/upload_to_hub', 'Refused: this server keeps no account of a hub.', Body({}), noHub),
    routes.get('twinkle/upload_status/:id', 'Refused, as there are no uploads.', noHub),
    routes.open('healthz', 'Whether the server is there.', (_request, reply) => reply.send({ status: 'ok' })),
  ];
}
