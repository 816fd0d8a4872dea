/** Routes by which a client learns what this server is, and tells what it did. */
import { Type } from '../../protocol/type.js';
import type { RouteSpec } from '../http/routes.js';
import { optional } from './fields.js';
import type { TinkerRoutes } from './route.js';

/** The SDK's version decides nothing yet, and what later SDKs tell here is no reason to refuse them. */
const Client = Type.Object({ sdk_version: optional(Type.String()) });

/**
 * Where we differ from the SDK's defaults: none of the vendor's tokens. Everything else it is free to do.
 */
const CONFIG = { pjwt_auth_enabled: false };
const DYNAMIC_CONFIG = { refresh_interval_sec: 300, sample_cancel_enabled: true, sample_cancel_max_batch_size: 64 };

export function clientRoutes(routes: TinkerRoutes): RouteSpec[] {
  return [
    routes.open('healthz', 'Whether the server is there.', (_request, reply) => reply.send({ status: 'ok' })),
    routes.post('client/config', "The SDK's switches.", Client, () => CONFIG),
    routes.post('client/dynamic_config', "The SDK's switches that it asks for again.", Client, () => DYNAMIC_CONFIG),
    routes.get('get_server_capabilities', 'Models that clients may name.', ({ training }) => ({
      supported_models: training.capabilities().map(({ maxContextLength, model, trainable }) => ({
        model_name: model,
        max_context_length: maxContextLength,
        trainable,
        sampleable: true,
      })),
    })),
    // Events may hold whatever a client's exception held, keys too: they are taken, and not kept.
    routes.post('telemetry', 'Takes events, and keeps none.', Type.Object({}), () => ({ status: 'accepted' })),
  ];
}
