/** Every failure as an error body with its status and headers, OpenAI's where the route has no other. Knows fastify's error codes; knows no route. */
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { asTwinkleError, ERRORS, type ErrorCode, TwinkleError } from '../../errors.js';
import { type ErrorShape, traitsOf } from './route-traits.js';

/** Codes that OpenAI's clients know by another name than ours. */
const OPENAI_CODES: Partial<Record<ErrorCode, string>> = {
  UNAUTHORIZED: 'invalid_api_key',
  OVERLOADED: 'rate_limit_exceeded',
};

/** `Retry-After` when the error itself names no time, in ms. */
const DEFAULT_RETRY_MS: Partial<Record<ErrorCode, number>> = { OVERLOADED: 1_000, NOT_READY: 5_000, DRAINING: 5_000 };

const FASTIFY_CODES: Readonly<Record<string, (error: FastifyError) => TwinkleError>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: () =>
    new TwinkleError(
      'UNSUPPORTED_MEDIA_TYPE',
      'The body of this request is not JSON: send it with the header "content-type: application/json".',
    ),
  FST_ERR_CTP_BODY_TOO_LARGE: () =>
    new TwinkleError(
      'BODY_TOO_LARGE',
      'The request body is over the limit of this server: send fewer prompts at a time, or raise the limit where it is started.',
    ),
};

/** Any thrown value as ours; a client's fault as fastify saw it stays a client's fault. */
export function toTwinkleError(thrown: unknown): TwinkleError {
  if (thrown instanceof TwinkleError) return thrown;
  const { code, statusCode, message } = (thrown ?? {}) as Partial<FastifyError>;
  const known = code === undefined ? undefined : FASTIFY_CODES[code];
  if (known !== undefined) return known(thrown as FastifyError);
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new TwinkleError('INVALID_REQUEST', message ?? 'The request is malformed.', {
      cause: thrown,
      details: { status: statusCode },
    });
  }
  return asTwinkleError(thrown);
}

/** OpenAI's error object, as JSON text. Causes and stacks stay inside. */
export function errorBody(error: TwinkleError): string {
  return JSON.stringify({
    error: {
      message: error.message,
      type: error.type,
      param: error.param,
      code: OPENAI_CODES[error.code] ?? error.code.toLowerCase(),
    },
  });
}

/** OpenAI's errors: the shape of every route that has no other. */
const OPENAI_ERRORS: ErrorShape = { body: errorBody, event: (body) => `data: ${body}\n\n` };

/** How the clients of a request's route expect errors. */
export const errorShapeOf = (request: FastifyRequest): ErrorShape => traitsOf(request).errors ?? OPENAI_ERRORS;

/** HTTP status: the table's, or a more exact 4xx that fastify or a host's hook chose. */
function statusOf(error: TwinkleError): number {
  const { status } = error.details;
  return error.code === 'INVALID_REQUEST' && typeof status === 'number' ? status : ERRORS[error.code].status;
}

/** Whole seconds for `Retry-After`, or null. */
export function retryAfterSeconds(error: TwinkleError): number | null {
  const ms = error.retryAfterMs ?? DEFAULT_RETRY_MS[error.code] ?? null;
  return ms === null ? null : Math.max(1, Math.ceil(ms / 1_000));
}

/** Answer with the error. Does nothing when the answer has begun. */
export function sendError(reply: FastifyReply, error: TwinkleError): void {
  if (reply.sent) return;
  const retryAfter = retryAfterSeconds(error);
  if (retryAfter !== null) reply.header('retry-after', String(retryAfter));
  if (error.code === 'UNAUTHORIZED') reply.header('www-authenticate', 'Bearer');
  const body = errorShapeOf(reply.request).body(error);
  reply.code(statusOf(error)).header('content-type', 'application/json; charset=utf-8').send(body);
}
