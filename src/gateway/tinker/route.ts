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

/** Makes the routes of one service. An `answer` gives the body of the 200. */
export class TinkerRoutes {
  constructor(readonly training: TrainingService) {}

  post(path: string, summary: string, body: TSchema, answer: Answer): RouteSpec {
    return { ...this.#route(['POST'], path, summary, this.#handler(answer)), body };
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
    return { ...this.#route(['POST'], path, summary, this.#handler(answer)), traits: { ...traits, protobuf: true } };
  }

  get(path: string, summary: string, answer: Answer): RouteSpec {
    return this.#route(['GET'], path, summary, this.#handler(answer));
  }

  put(path: string, summary: string, body: TSchema, answer: Answer): RouteSpec {
    return { ...this.#route(['PUT'], path, summary, this.#handler(answer)), body };
  }

  /** Without a body, which the SDK says is JSON. */
  bodiless(methods: RouteSpec['methods'], path: string, summary: string, answer: Answer): RouteSpec {
    const route = this.#route(methods, path, summary, this.#handler(answer));
    return { ...route, traits: { ...traits, bodyText: 'optional' } };
  }

  /** As {@link post}, for what answers in its own way. */
  raw(path: string, summary: string, body: TSchema, handler: RouteSpec['handler']): RouteSpec {
    return { ...this.#route(['POST'], path, summary, handler), body };
  }

  #route(methods: RouteSpec['methods'], path: string, summary: string, handler: RouteSpec['handler']): RouteSpec {
    return { access: 'keyed', tag: 'tinker', traits, methods, url: `/api/v1/${path}`, summary, handler };
  }

  #handler(answer: Answer): RouteSpec['handler'] {
    return (request) => answer({ training: this.training, tenant: callOf(request).tenant, request });
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
