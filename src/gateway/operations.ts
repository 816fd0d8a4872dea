/** Routes for operators that need a key: metrics, load and the API reference. */
import type { FastifyInstance } from 'fastify';
import type { GatewayContext } from './context.js';
import type { RouteSpec } from './http/routes.js';
import { renderOpenApi } from './openapi.js';

/** @param app the instance whose routes the reference shows. */
export function operationRoutes(app: FastifyInstance, { metrics }: GatewayContext): RouteSpec[] {
  const shared = { methods: ['GET'], access: 'keyed', tag: 'operations' } as const;
  return [
    {
      ...shared,
      url: '/metrics',
      summary: 'Metrics in Prometheus text.',
      async handler(_request, reply) {
        const text = await metrics.render();
        reply.header('content-type', metrics.contentType);
        return text;
      },
    },
    {
      ...shared,
      url: '/load',
      summary: 'Requests that are being answered, this one left out.',
      handler: (_request, reply) => reply.send({ server_load: metrics.inFlight() - 1 }),
    },
    {
      ...shared,
      url: '/openapi.json',
      summary: 'This reference.',
      handler: (_request, reply) =>
        reply.header('content-type', 'application/json; charset=utf-8').send(renderOpenApi(app)),
    },
  ];
}
