/** `/v1/models`: every name that a model answers to is an entry. */
import type { ServedModel } from '../../serving/types.js';
import type { GatewayContext } from '../context.js';
import type { RouteSpec } from '../http/routes.js';
import { Model, ModelList } from './answer-schemas.js';

function entry(id: string, { card, created }: ServedModel): object {
  return {
    id,
    object: 'model',
    created,
    owned_by: 'twinkle-node',
    root: card?.model ?? null,
    parent: null,
    max_model_len: card?.max_model_len ?? null,
  };
}

/** List and look-up. */
export function modelRoutes({ inference }: GatewayContext): RouteSpec[] {
  const one = (name: string): object => entry(name, inference.find(name));
  const shared = { methods: ['GET'], access: 'keyed', tag: 'openai' } as const;
  return [
    {
      ...shared,
      url: '/v1/models',
      summary: 'The models that are served.',
      response: ModelList,
      handler: (_request, reply) =>
        reply.send({
          object: 'list',
          data: inference.models().flatMap((model) => model.names.map((name) => entry(name, model))),
        }),
    },
    {
      ...shared,
      url: '/v1/models/:model',
      summary: 'One model.',
      response: Model,
      handler: (request, reply) => reply.send(one((request.params as { model: string }).model)),
    },
    {
      // Names of the hub have a slash, and not every client escapes it.
      ...shared,
      url: '/v1/models/*',
      summary: 'One model whose name has a slash.',
      hidden: true,
      handler: (request, reply) => reply.send(one((request.params as { '*': string })['*'])),
    },
  ];
}
