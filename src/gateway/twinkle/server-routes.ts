/** What this server is, has, and how it is. */
import type { ServedModel } from '../../serving/types.js';
import type { GatewayContext } from '../context.js';
import type { RouteSpec } from '../http/routes.js';
import type { TinkerCall, TinkerRoutes } from '../tinker/route.js';

/** Each model, by the name that clients use. */
function deepHealth(models: readonly ServedModel[]): { healthy: boolean; models: Record<string, object> } {
  const of = (model: ServedModel): object =>
    model.state === 'ready'
      ? { healthy: true, status_code: 200 }
      : { healthy: false, status_code: 503, detail: model.reason ?? model.state };
  return {
    healthy: models.every(({ state }) => state === 'ready'),
    models: Object.fromEntries(models.map((model) => [model.names[0] ?? '', of(model)])),
  };
}

/** What the key has. */
function counts({ tenant, training }: TinkerCall): Record<string, number> {
  const sessions = training.sessions(tenant);
  return {
    sessions: sessions.length,
    models: training.runs(tenant).length,
    sampling_sessions: sessions.reduce((sum, { samplers }) => sum + samplers.length, 0),
  };
}

export function serverRoutes(routes: TinkerRoutes, { inference }: GatewayContext): RouteSpec[] {
  return [
    routes.open('healthz', 'Whether the server is there.', (_request, reply) => reply.send({ status: 'ok' })),
    routes.open('healthz/deep', '200 while all models answer, else 503; each of them.', (_request, reply) => {
      const health = deepHealth(inference.models());
      return reply.code(health.healthy ? 200 : 503).send(health);
    }),
    routes.get('get_server_capabilities', 'Models that clients may name.', ({ training }) => ({
      supported_models: training.capabilities().map(({ model }) => ({ model_name: model })),
    })),
    routes.get('capacity_info', 'Adapters that fit on the ranks of all models, and those that are there.', (call) => {
      const { most, used } = call.training.capacity();
      return { max_loras: most, used_loras: used, free_loras: Math.max(0, most - used) };
    }),
    routes.get('status', 'What the key has.', (call) => ({ resources: counts(call) })),
  ];
}
