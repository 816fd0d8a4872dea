/** What all of Tinker's routes have in common. */

import type { FastifyRequest } from 'fastify';
import { asTwinkleError, TwinkleError } from '../../errors.js';
import type { TSchema } from '../../protocol/type.js';
import type { TrainingService } from '../../training/types.js';
import type { Authenticate } from '../http/auth.js';
import { callOf } from '../http/call.js';
import { DETAIL_ERRORS } from '../http/detail-errors.js';
import type { RouteSpec } from '../http/routes.js';
import { noProjects } from './fields.js';
import { Repeats } from './repeats.js';

/** A handler's view of a request. */
export interface TinkerCall {
  readonly training: TrainingService;
  readonly tenant: string;
  readonly authenticate: Authenticate;
  readonly request: FastifyRequest;
}

/** The number of a request that is refused is used up, unless it is to be sent again. */
export function accepted<T>({ tenant, training }: TinkerCall, run: string, seqId: number, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (![429, 503].includes(asTwinkleError(error).status)) training.refused(tenant, run, seqId);
    throw error;
  }
}

/** As {@link accepted}, where the body may break its schema: then its fields may have any type. */
export function judged<T>(call: TinkerCall, run: string, seqId: number, make: () => T): T {
  const { request, tenant, training } = call;
  const refusal = request.validationError;
  if (refusal === undefined) return accepted(call, run, seqId, make);
  if (typeof run === 'string' && Number.isSafeInteger(seqId)) training.refused(tenant, run, seqId);
  throw refusal;
}

type Answer = (call: TinkerCall) => unknown;

const traits = { errors: DETAIL_ERRORS } as const;

/** Where the routes of an API are, and under which heading they are listed. */
export interface RouteFamily {
  /** Before each path. */
  readonly prefix: string;
  readonly tag: string;
}

/** Makes the routes of one service. An `answer` gives the body of the 200. */
export class TinkerRoutes {
  readonly #repeats = new Repeats();

  constructor(
    readonly training: TrainingService,
    readonly authenticate: Authenticate,
    readonly family: RouteFamily = { prefix: '/api/v1/', tag: 'tinker' },
  ) {}

  post(path: string, summary: string, body: TSchema, answer: Answer): RouteSpec {
    return { ...this.#route(['POST'], path, summary, this.#handler(answer)), body };
  }

  /** As {@link post}, for what is to happen once however often it is sent, and has no number to tell by. */
  postOnce(path: string, summary: string, body: TSchema, answer: (call: TinkerCall) => object): RouteSpec {
    return this.post(path, summary, body, this.#repeats.once(answer));
  }

  /** As {@link post}, with the body's text kept for the handler to take. */
  postText(path: string, summary: string, body: TSchema, answer: Answer): RouteSpec {
    return { ...this.post(path, summary, body, answer), traits: { ...traits, bodyText: 'kept' } };
  }

  /** As {@link post}; a body that breaks the schema reaches `answer`, with `request.validationError`. */
  postJudged(path: string, summary: string, body: TSchema, answer: Answer): RouteSpec {
    return { ...this.post(path, summary, body, answer), judgesBody: true };
  }

  /** As {@link postJudged}; the body may also be a protobuf message, which reaches `answer` as bytes. */
  postProtobuf(path: string, summary: string, body: TSchema, answer: Answer): RouteSpec {
    return { ...this.postJudged(path, summary, body, answer), traits: { ...traits, protobuf: true } };
  }

  get(path: string, summary: string, answer: Answer): RouteSpec {
    return this.#route(['GET'], path, summary, this.#handler(answer));
  }

  put(path: string, summary: string, body: TSchema, answer: Answer): RouteSpec {
    return { ...this.#route(['PUT'], path, summary, this.#handler(answer)), body };
  }

  /** Without a body, which the SDK says is JSON. What was sent twice happens once. */
  bodiless(
    methods: RouteSpec['methods'],
    path: string,
    summary: string,
    answer: (call: TinkerCall) => object,
  ): RouteSpec {
    const route = this.#route(methods, path, summary, this.#handler(this.#repeats.once(answer)));
    return { ...route, traits: { ...traits, bodyText: 'optional' } };
  }

  /** As {@link post}, for what answers in its own way. */
  raw(path: string, summary: string, body: TSchema, handler: RouteSpec['handler']): RouteSpec {
    return { ...this.#route(['POST'], path, summary, handler), body };
  }

  /** For who shows no key. */
  open(path: string, summary: string, handler: RouteSpec['handler']): RouteSpec {
    return { ...this.#route(['GET'], path, summary, handler), access: 'open' };
  }

  #route(methods: RouteSpec['methods'], path: string, summary: string, handler: RouteSpec['handler']): RouteSpec {
    const { prefix, tag } = this.family;
    return { access: 'keyed', tag, traits, methods, url: `${prefix}${path}`, summary, handler };
  }

  #handler(answer: Answer): RouteSpec['handler'] {
    return (request) => {
      const { authenticate, training } = this;
      const given = answer({ training, tenant: callOf(request).tenant, authenticate, request });
      return given instanceof Promise ? given.then((body) => this.#safe(body)) : this.#safe(given);
    };
  }

  /** Nothing is promised before it survives the process. */
  #safe(body: unknown): unknown {
    const written = this.training.written();
    return written === null ? body : written.then(() => body);
  }
}

/** There is nothing that a key could see beside its own, and there are no projects. @throws `INVALID_REQUEST`, `UNSUPPORTED_PARAMETER` */
export function checkScope(request: FastifyRequest): void {
  const { access_scope: scope, project_id: project } = request.query as Record<string, unknown>;
  if (project !== undefined) throw noProjects('project_id');
  if (scope === undefined || scope === 'owned' || scope === 'accessible') return;
  throw new TwinkleError('INVALID_REQUEST', 'expected `access_scope` owned or accessible', { param: 'access_scope' });
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
