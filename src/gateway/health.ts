/** Health of the head for probes: derived from its phase and its models at every request, never remembered. */
import type { FastifyReply } from 'fastify';
import { TwinkleError } from '../errors.js';
import type { GatewayContext } from './context.js';
import { retryAfterSeconds } from './http/error-reply.js';
import type { RouteSpec } from './http/routes.js';

type State = Pick<GatewayContext, 'inference' | 'phase'>;

const someModelReady = ({ inference }: State): boolean => inference.models().some(({ state }) => state === 'ready');

/** Whether work that is under way is served: true while draining, false while no model answers. */
function isHealthy(context: State): boolean {
  const phase = context.phase();
  return phase === 'ready' || phase === 'draining' || (phase === 'degraded' && someModelReady(context));
}

/** Whether new work is taken. The first thing that turns false when a drain begins. */
function isReady(context: State): boolean {
  if (!context.inference.accepting) return false;
  const phase = context.phase();
  return phase === 'ready' || (phase === 'degraded' && someModelReady(context));
}

/** Whether a restart of the whole process would not help. */
function isAlive({ phase }: Pick<State, 'phase'>): boolean {
  const now = phase();
  return now !== 'failed' && now !== 'stopped';
}

/** Whether the start is behind us, well or badly: `failed` counts as not started. */
function hasStarted({ phase }: Pick<State, 'phase'>): boolean {
  const now = phase();
  return now === 'ready' || now === 'degraded' || now === 'draining';
}

const RETRY_SECONDS = String(retryAfterSeconds(new TwinkleError('NOT_READY', '')) ?? 1);

function startReport({ inference, phase, startedAt }: GatewayContext): object {
  return {
    phase: phase(),
    elapsed_seconds: (Date.now() - startedAt) / 1e3,
    models: inference.models().map(({ held, names, progress, reason, state, weights }) => ({
      model: names[0] ?? null,
      state,
      ...(held === undefined ? {} : { held }),
      ...(weights === undefined ? {} : { weights: { source: weights.source, since: weights.since / 1e3 } }),
      reason,
      progress:
        progress === null
          ? null
          : {
              phase: progress.phase,
              progress: progress.progress,
              detail: progress.detail,
              elapsed_seconds: progress.elapsedMs / 1e3,
            },
    })),
  };
}

/** The routes of probes; they need no key and run no hook of ours. */
export function healthRoutes(context: GatewayContext): RouteSpec[] {
  const shared = { methods: ['GET'], access: 'open', tag: 'health' } as const;
  const probe = (check: (context: GatewayContext) => boolean) => (_request: unknown, reply: FastifyReply) => {
    if (!check(context)) reply.code(503).header('retry-after', RETRY_SECONDS);
    reply.send();
  };
  return [
    { ...shared, url: '/health', summary: '200 while models answer, else 503.', handler: probe(isHealthy) },
    { ...shared, url: '/livez', summary: '503 when only a restart helps.', handler: probe(isAlive) },
    { ...shared, url: '/readyz', summary: '200 while new work is taken, else 503.', handler: probe(isReady) },
    {
      ...shared,
      url: '/startupz',
      summary: '503 until the start is done, with phase and progress of each model.',
      handler: (_request, reply) => reply.code(hasStarted(context) ? 200 : 503).send(startReport(context)),
    },
    { ...shared, methods: ['GET', 'POST'], url: '/ping', summary: 'As /health.', handler: probe(isHealthy) },
    {
      ...shared,
      url: '/version',
      summary: 'Version of twinkle-node.',
      handler: (_request, reply) => reply.send({ version: context.version }),
    },
  ];
}
