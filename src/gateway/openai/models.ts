/** `/v1/models`: every name that a model answers to is an entry, and every loaded adapter. */
import type { ServedModel } from '../../serving/types.js';
import type { GatewayContext } from '../context.js';
import type { RouteSpec } from '../http/routes.js';
import { Model, ModelList } from './answer-schemas.js';

function entry(id: string, { card, created, parent }: ServedModel): object {
  return {
    id,
    object: 'model',
    created,
    owned_by: 'twinkle-node',
    // An adapter that loads on first use has no folder yet.
    root: parent === undefined ? (card?.model ?? null) : null,
    parent: parent ?? null,
    max_model_len: card?.max_model_len ?? null,
  };
}

/** Loaded adapters, as vLLM lists them: by their own name, or as `model:adapter` where two models have one of that name. */
function adapterEntries(models: readonly ServedModel[]): { readonly id: string; readonly names: readonly string[] }[] {
  const all = models.flatMap((model) => (model.adapters ?? []).map((adapter) => ({ model, adapter })));
  return all.map(({ adapter: { name, path }, model }) => {
    const parent = model.names[0] ?? '';
    const full = `${parent}:${name}`;
    const alone = all.filter(({ adapter }) => adapter.name === name).length === 1;
    const id = alone ? name : full;
    return { ...entry(id, { ...model, parent }), id, root: path, names: alone ? [name, full] : [full] };
  });
}

const shown = ({ names: _names, ...answer }: { readonly names: readonly string[] }): object => answer;

/** List and look-up. */
export function modelRoutes({ inference }: GatewayContext): RouteSpec[] {
  const one = (name: string): object => {
    const adapter = adapterEntries(inference.models()).find(({ names }) => names.includes(name));
    return adapter === undefined ? entry(name, inference.find(name)) : { ...shown(adapter), id: name };
  };
  const shared = { methods: ['GET'], access: 'keyed', tag: 'openai' } as const;
  return [
    {
      ...shared,
      url: '/v1/models',
      summary: 'The models that are served.',
      response: ModelList,
      handler: (_request, reply) => {
        const models = inference.models();
        const own = models.flatMap((model) => model.names.map((name) => entry(name, model)));
        reply.send({ object: 'list', data: [...own, ...adapterEntries(models).map(shown)] });
      },
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
