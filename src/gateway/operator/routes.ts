/** Operator routes on the gateway and, the same, on the admin socket: operations, weights and LoRA adapters. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { AuthConfig } from '../../config/types.js';
import type { FleetControl } from '../../serving/types/control.js';
import type { RouteSpec } from '../http/routes.js';
import { validatorCompiler } from '../http/validation.js';
import { LoadAdapterRequest, UnloadAdapterRequest } from './adapter-requests.js';
import { combineAnswers } from './combine-answers.js';
import { commandOf, OPERATIONS, type Operation, type Query } from './commands.js';
import { checkOperator } from './guard.js';
import { UPDATE_WEIGHTS, UpdateWeightsRequest, updateWeights } from './weights.js';

async function operate(control: FleetControl, operation: Operation, request: FastifyRequest, reply: FastifyReply) {
  const { command, model } = commandOf(operation, request.query as Query, request.body);
  const { body, status } = combineAnswers(operation.path, await control.operate(model, command));
  reply.code(status);
  return body === null ? reply.send() : reply.send(body);
}

async function replaceWeights(control: FleetControl, request: FastifyRequest, reply: FastifyReply) {
  const { body, status } = await updateWeights(control, request.body);
  return reply.code(status).send(body);
}

/** `model` of a body that names one of several. */
const modelOf = ({ model }: { readonly model?: string | null }): string | null => model ?? null;

async function load(control: FleetControl, body: LoadAdapterRequest, reply: FastifyReply) {
  const name = body.lora_name;
  await control.loadAdapter(modelOf(body), {
    name,
    path: body.lora_path ?? null,
    inPlace: body.load_inplace ?? false,
    is3d: body.is_3d_lora_weight ?? null,
  });
  return reply.type('text/plain; charset=utf-8').send(`Success: LoRA adapter '${name}' added successfully.`);
}

async function unload(control: FleetControl, body: UnloadAdapterRequest, reply: FastifyReply) {
  await control.unloadAdapter(modelOf(body), body.lora_name);
  return reply
    .type('text/plain; charset=utf-8')
    .send(`Success: LoRA adapter '${body.lora_name}' removed successfully.`);
}

/** The routes for everybody whom {@link checkOperator} lets pass; adapters only need what every keyed route needs. */
export function operatorRoutes(control: FleetControl, mode: AuthConfig['mode']): RouteSpec[] {
  const shared = { access: 'keyed', tag: 'operations' } as const;
  const operations = OPERATIONS.map((operation): RouteSpec => {
    const { method, path, summary } = operation;
    return {
      ...shared,
      methods: [method],
      url: path,
      summary,
      handler: async (request, reply) => {
        if (method === 'POST') checkOperator(mode, request.headers);
        return await operate(control, operation, request, reply);
      },
    };
  });
  return [
    ...operations,
    {
      ...shared,
      methods: [UPDATE_WEIGHTS.method],
      url: UPDATE_WEIGHTS.url,
      summary: 'Replace the weights on every replica, without a restart.',
      body: UpdateWeightsRequest,
      handler: async (request, reply) => {
        checkOperator(mode, request.headers);
        return await replaceWeights(control, request, reply);
      },
    },
    {
      ...shared,
      methods: ['POST'],
      url: '/v1/load_lora_adapter',
      summary: 'Load a LoRA adapter on every replica.',
      body: LoadAdapterRequest,
      handler: (request, reply) => load(control, request.body as LoadAdapterRequest, reply),
    },
    {
      ...shared,
      methods: ['POST'],
      url: '/v1/unload_lora_adapter',
      summary: 'Forget a LoRA adapter on every replica.',
      body: UnloadAdapterRequest,
      handler: (request, reply) => unload(control, request.body as UnloadAdapterRequest, reply),
    },
  ];
}

/** The operations on the admin socket, which is access control enough. */
export function mountOperations(admin: FastifyInstance, control: FleetControl): void {
  for (const operation of OPERATIONS) {
    admin.route({
      method: operation.method,
      url: operation.path,
      exposeHeadRoute: false,
      handler: (request, reply) => operate(control, operation, request, reply),
    });
  }
  admin.route({
    ...UPDATE_WEIGHTS,
    schema: { body: UpdateWeightsRequest },
    validatorCompiler: validatorCompiler(),
    handler: (request, reply) => replaceWeights(control, request, reply),
  });
}
