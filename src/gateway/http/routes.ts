/** How a route is declared and mounted: schema, access, accounting, and a 405 for every method that it does not have. */
import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify';
import { TwinkleError } from '../../errors.js';
import type { TSchema } from '../../protocol/type.js';
import type { GatewayContext } from '../context.js';
import { admit } from './call.js';
import { configOf, type RouteTraits } from './route-traits.js';

/** One route of the API. */
export interface RouteSpec {
  readonly methods: readonly ('GET' | 'POST' | 'PUT' | 'DELETE')[];
  readonly url: string;
  /** `open`: no key, no accounting, no headers of ours. `keyed`: all of them. */
  readonly access: 'open' | 'keyed';
  readonly tag: string;
  readonly summary: string;
  readonly body?: TSchema;
  /** Schema of the 200 answer, for the reference only: answers are not filtered by it. */
  readonly response?: TSchema;
  /** Absent: none. */
  readonly traits?: RouteTraits;
  /** A body that breaks the schema reaches the handler, with `request.validationError`. */
  readonly judgesBody?: boolean;
  /** Left out of `/openapi.json`. */
  readonly hidden?: boolean;
  /** Answers by `reply`, now or later, or returns a promise of the payload. */
  handler(request: FastifyRequest, reply: FastifyReply): unknown;
}

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const satisfies HTTPMethods[];

function refuseMethod(
  app: FastifyInstance,
  context: GatewayContext,
  { traits, url }: RouteSpec,
  allowed: ReadonlySet<string>,
): void {
  const meter = context.metrics.route(url, 'other');
  const list = [...allowed].sort().join(', ');
  app.route({
    method: METHODS.filter((method) => !allowed.has(method)),
    url,
    exposeHeadRoute: false,
    config: configOf(traits),
    schema: { hide: true },
    onRequest: (request, reply, done) => {
      admit(request, reply, null, meter);
      reply.header('allow', list);
      done(new TwinkleError('METHOD_NOT_ALLOWED', `${request.method} is not a method of ${url}: use ${list}.`));
    },
    handler: (_request, reply) => reply.send(),
  });
}

/** The schema of the body, for the one of its types that has one. */
function bodyOf({ body, traits }: RouteSpec): object | undefined {
  return body === undefined || traits?.protobuf !== true ? body : { content: { 'application/json': { schema: body } } };
}

/** Mount the routes in an instance that is ours. */
export function mountRoutes(app: FastifyInstance, context: GatewayContext, specs: readonly RouteSpec[]): void {
  for (const spec of specs) {
    const { access, response, url } = spec;
    const body = bodyOf(spec);
    const meter = context.metrics.route(url, spec.methods.join(','));
    const { authenticate } = context;
    app.route({
      method: [...spec.methods],
      url,
      exposeHeadRoute: spec.methods.includes('GET'),
      bodyLimit: context.bodyLimit,
      attachValidation: spec.judgesBody ?? false,
      config: configOf(spec.traits),
      schema: {
        hide: spec.hidden ?? false,
        tags: [spec.tag],
        summary: spec.summary,
        ...(access === 'keyed' ? { security: [{ key: [] }] } : {}),
        ...(body === undefined ? {} : { body }),
        ...(response === undefined ? {} : { response: { 200: response } }),
      },
      ...(access === 'open'
        ? {}
        : {
            onRequest: (request, reply, done) => {
              admit(request, reply, authenticate, meter);
              done();
            },
          }),
      handler: spec.handler,
    });
    const allowed = new Set<string>(spec.methods);
    if (allowed.has('GET')) allowed.add('HEAD');
    refuseMethod(app, context, spec, allowed);
  }
}
