/** What every API request carries: tenant, id, start time, and the accounting when its socket is done. */
import { randomBytes } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { RouteMeter } from '../gateway-metrics.js';
import { type Authenticate, LOCAL_TENANT } from './auth.js';
import { whenClosed } from './closed.js';

/** One API request. */
export interface Call {
  /** `local` until authenticated. */
  readonly tenant: string;
  /** The client's `x-request-id` when it is sound, else ours. */
  readonly requestId: string;
  /** `performance.now()` at arrival. */
  readonly startedAt: number;
}

const CALL = Symbol('twinkle.call');
type Carrier = { [CALL]?: Call };

/** Key of the request decorator: a symbol, so that it collides with nothing of a host. */
export const CALL_DECORATOR: symbol = CALL;

/** The call of a request of a guarded route. */
export function callOf(request: FastifyRequest): Call {
  return (
    (request as Carrier)[CALL] ?? { tenant: LOCAL_TENANT, requestId: nextRequestId(), startedAt: performance.now() }
  );
}

const SOUND_ID = /^[\x21-\x7e]{1,128}$/;
const PREFIX = randomBytes(6).toString('hex');
let counter = 0;

/** A new id, unique over processes and cheap: random once, counted from then on. */
export function nextRequestId(): string {
  counter += 1;
  return `${PREFIX}${counter.toString(36).padStart(6, '0')}`;
}

/** The client's id, or a new one when it has none or one that could forge log lines. */
function requestIdOf(header: string | string[] | undefined): string {
  return typeof header === 'string' && SOUND_ID.test(header) ? header : nextRequestId();
}

/** Status in metrics of an answer whose client left first. */
const CLIENT_LEFT = 499;

/** The hook of API routes: id, meter and tenant. */
export function admit(
  request: FastifyRequest,
  reply: FastifyReply,
  authenticate: Authenticate | null,
  meter: RouteMeter,
): void {
  const requestId = requestIdOf(request.headers['x-request-id']);
  const startedAt = performance.now();
  reply.header('x-request-id', requestId);
  meter.begin();
  whenClosed(reply.raw, (complete) => {
    meter.end(complete ? reply.raw.statusCode : CLIENT_LEFT, performance.now() - startedAt);
  });
  const tenant = authenticate === null ? LOCAL_TENANT : authenticate(request.headers);
  (request as Carrier)[CALL] = { tenant, requestId, startedAt };
}
