/** What all of Tinker's routes have in common. */

import type { FastifyRequest } from 'fastify';
import { TwinkleError } from '../../errors.js';
import type { TSchema } from '../../protocol/type.js';
import type { TrainingService } from '../../training/types.js';
import { callOf } from '../http/call.js';
import type { RouteSpec } from '../http/routes.js';
import { TINKER_ERRORS } from './errors.js';

/** A handler's view of a request. */
export interface TinkerCall {
  readonly training: TrainingService;
  readonly tenant: string;
  readonly request: FastifyRequest;
}

/** The number of a request that is refused is used up. */
export function accepted<T>({ tenant, training }: TinkerCall, run: string, seqId: number, make: () => T): T {
  try {
    return make();
  } catch (error) {
    training.refused(tenant, run, seqId);
    throw error;
  }
}

type Answer = (call: TinkerCall) => unknown;

const traits = { errors: TINKER_ERRORS } as const;
const shared = { access: 'keyed', tag: 'tinker', traits } as const;

/** Makes the routes of one service. */
export class TinkerRoutes {
  constructor(readonly training: TrainingService) {}

  /** @param answer gives the body of the 200 */
  post(path: string, summary: string, body: TSchema, answer: Answer): RouteSpec {
    return { ...shared, methods: ['POST'], url: `/api/v1/${path}`, summary, body, handler: this.#handler(answer) };
  }

  /** As {@link post}, with the body's text kept for the handler to take. */
  postText(path: string, summary: string, body: TSchema, answer: Answer): RouteSpec {
    return { ...this.post(path, summary, body, answer), traits: { ...traits, bodyText: 'kept' } };
  }

  /** As {@link post}; a body that breaks the schema reaches `answer`, with `request.validationError`. */
  postJudged(path: string, summary: string, body: TSchema, answer: Answer): RouteSpec {
    return { ...this.post(path, summary, body, answer), judgesBody: true };
  }

  /** The body is a protobuf message, as bytes. */
  postProtobuf(path: string, summary: string, answer: Answer): RouteSpec {
    const url = `/api/v1/${path}`;
    return {
      ...shared,
      traits: { ...traits, protobuf: true },
      methods: ['POST'],
      url,
      summary,
      handler: this.#handler(answer),
    };
  }

  get(path: string, summary: string, answer: Answer): RouteSpec {
    return { ...shared, methods: ['GET'], url: `/api/v1/${path}`, summary, handler: this.#handler(answer) };
  }

  /** As {@link get}, by other methods; a body is what `body` says. */
  other(methods: RouteSpec['methods'], path: string, summary: string, answer: Answer, body?: TSchema): RouteSpec {
    const handler = this.#handler(answer);
    const route = { ...shared, methods, url: `/api/v1/${path}`, summary, handler };
    // The SDK says that its empty bodies are JSON.
    return body === undefined ? { ...route, traits: { ...traits, bodyText: 'optional' } } : { ...route, body };
  }

  /** As {@link post}, for what answers in its own way. */
  raw(path: string, summary: string, body: TSchema, handler: RouteSpec['handler']): RouteSpec {
    return { ...shared, methods: ['POST'], url: `/api/v1/${path}`, summary, body, handler };
  }

  #handler(answer: Answer): RouteSpec['handler'] {
    return async (request, reply) => {
      const body = answer({ training: this.training, tenant: callOf(request).tenant, request });
      return await reply.type('application/json; charset=utf-8').send(JSON.stringify(body));
    };
  }
}

/** A number of a query string. @throws `INVALID_REQUEST` */
export function countOf(request: FastifyRequest, name: string, fallback: number): number {
  const written = (request.query as Record<string, unknown>)[name];
  if (written === undefined) return fallback;
  if (typeof written === 'string' && /^\d{1,9}$/.test(written)) return Number(written);
  throw new TwinkleError(
    'INVALID_REQUEST',
    `expected a count for \`${name}\` but received ${JSON.stringify(written)}`,
    {
      param: name,
    },
  );
}
