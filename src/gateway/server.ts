/** The gateway as a server of its own and as a plugin of a user's fastify. Only wires; installs nothing outside its own scope. */
import { type FastifyError, type FastifyInstance, type FastifyPluginAsync, fastify } from 'fastify';
import { TwinkleError } from '../errors.js';
import { type GatewayContext, gatewayContext } from './context.js';
import { healthRoutes } from './health.js';
import { CALL_DECORATOR, nextRequestId } from './http/call.js';
import { answerBrokenRequest } from './http/client-error.js';
import { acceptEncodings } from './http/content-encoding.js';
import { sendError, toTwinkleError } from './http/error-reply.js';
import { acceptBodies } from './http/json-body.js';
import { mountRoutes } from './http/routes.js';
import { validatorCompiler } from './http/validation.js';
import { generationRoutes } from './openai/completions.js';
import { modelRoutes } from './openai/models.js';
import { tokenizeRoutes } from './openai/tokenize.js';
import { collectOpenApi } from './openapi.js';
import { operationRoutes } from './operations.js';
import { operatorRoutes } from './operator/routes.js';
import { relayRoutes } from './relay/routes.js';
import { tinkerRoutes } from './tinker/routes.js';
import { twinkleRoutes } from './twinkle/routes.js';
import type { GatewayOptions } from './types.js';

/** How long answers may take to leave when the gateway closes, in ms. */
const CLOSE_GRACE_MS = 1_000;
/** Clients name models in paths. */
const MAX_PARAM_LENGTH = 512;

const notFound = (method: string, url: string): TwinkleError =>
  new TwinkleError(
    'ROUTE_NOT_FOUND',
    `There is no ${method} ${url.slice(0, 200)} here: GET /openapi.json lists the routes.`,
  );

function handleErrors(app: FastifyInstance, { logger }: Pick<GatewayContext, 'logger'>): void {
  app.setErrorHandler((thrown, request, reply) => {
    const error = toTwinkleError(thrown);
    if (error.status >= 500 && error.code !== 'NOT_READY' && error.code !== 'DRAINING') {
      const { method, routeOptions } = request;
      logger?.error({ method, route: routeOptions.url, code: error.code, err: error }, 'request_failed');
    }
    sendError(reply, error);
  });
}

/**
 * The gateway's routes for a fastify of the user: `app.register(gatewayPlugin, { prefix: '/llm', ...options })`. Encapsulated: the
 * host's parsers, hooks, error handler and decorators stay as they are; with a prefix, unknown routes below it answer in OpenAI's shape.
 */
export const gatewayPlugin: FastifyPluginAsync<GatewayOptions> = async (app, options) => {
  const context = gatewayContext(options);
  acceptEncodings(app);
  acceptBodies(app);
  handleErrors(app, context);
  app.setValidatorCompiler(validatorCompiler());
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
  app.decorateRequest(CALL_DECORATOR, null);
  if (app.prefix !== '') app.setNotFoundHandler((request) => Promise.reject(notFound(request.method, request.url)));
  await collectOpenApi(app, context.version);
  const openai = [...modelRoutes(context), ...generationRoutes(context)];
  mountRoutes(app, context, [
    ...healthRoutes(context),
    ...openai,
    // Where a Twinkle Server has them.
    ...(context.twinkle === null ? [] : openai.map((spec) => ({ ...spec, url: `/api${spec.url}`, hidden: true }))),
    ...tokenizeRoutes(context),
    ...relayRoutes(context),
    ...operationRoutes(app, context),
    ...(context.control === null ? [] : operatorRoutes(context.control, context.authMode)),
    ...(context.training === null ? [] : tinkerRoutes(context.training, context.authenticate)),
    ...(context.training === null ? [] : twinkleRoutes(context.training, context)),
  ]);
  app.addHook('preClose', () =>
    context.live.shutdown(
      new TwinkleError('DRAINING', 'The server was closed before the answer was complete: ask again.'),
      CLOSE_GRACE_MS,
    ),
  );
  app.addHook('onClose', async () => {
    context.metrics.close();
    context.stopTrainingMetrics();
  });
};

/**
 * A gateway that is ready to `listen` or `inject`. Closing it ends what still runs with an error event and cuts what does not
 * leave within a second; drain first. Throws what fastify throws for options that contradict each other.
 */
export async function buildGateway(options: GatewayOptions): Promise<FastifyInstance> {
  const app = fastify({
    logger: false,
    genReqId: nextRequestId,
    bodyLimit: options.http.bodyLimit,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    clientErrorHandler: answerBrokenRequest,
    frameworkErrors: (error: FastifyError, _request, reply) => sendError(reply, toTwinkleError(error)),
  });
  // A route that does not exist answers 404 whatever its body is.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => done(null));
  const logger = options.logger === false ? null : options.logger;
  handleErrors(app, { logger });
  app.setNotFoundHandler((request) => Promise.reject(notFound(request.method, request.url)));
  await app.register(gatewayPlugin, options);
  await app.ready();
  return app;
}
