/** Routes for operators that need a key: metrics, load and the API reference. */
import type { FastifyInstance } from 'fastify';
import { mergeExposition } from '../observability/merge-exposition.js';
import type { GatewayContext } from './context.js';
import type { RouteSpec } from './http/routes.js';
import { renderOpenApi } from './openapi.js';

/** Metrics of this server and, behind them, of all engines that answer within a second. */
async function allMetrics({ control, metrics, missedPages }: GatewayContext): Promise<string> {
  if (control === null) return await metrics.render();
  const { missed, pages } = await control.enginePages();
  for (const labels of missed) missedPages.with(labels).value += 1;
  const texts = pages.map(({ index, model, text }) => ({ model, engine: String(index), text }));
  return mergeExposition(await metrics.render(), texts);
}

/** @param app the instance whose routes the reference shows. */
export function operationRoutes(app: FastifyInstance, context: GatewayContext): RouteSpec[] {
  const { metrics } = context;
  const shared = { methods: ['GET'], access: 'keyed', tag: 'operations' } as const;
  return [
    {
      ...shared,
      url: '/metrics',
      summary: 'Metrics in Prometheus text, those of the engines included.',
      async handler(_request, reply) {
        const text = await allMetrics(context);
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
