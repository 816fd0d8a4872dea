/** What a route differs in from the others where code that serves all routes must know it: body parsing and errors. */
import type { FastifyRequest } from 'fastify';
import type { TwinkleError } from '../../errors.js';

/** How errors look to the clients of an API. */
export interface ErrorShape {
  /** The body of an error, JSON on one line. */
  body(error: TwinkleError): string;
  /** A body as the last event of a stream. */
  event(body: string): string;
  /** An error's body of an engine's own server in this form. Absent: it is so already. */
  ofEngine?(status: number, body: string): string;
}

/** Traits of a route. */
export interface RouteTraits {
  /** Absent: OpenAI's. */
  readonly errors?: ErrorShape;
  /** The body may also be protobuf, given to the handler as bytes. Absent: JSON alone. */
  readonly protobuf?: boolean;
  /** `kept`: handlers need the JSON text itself. `optional`: and a request may have none. Absent: only the parsed value. */
  readonly bodyText?: 'kept' | 'optional';
}

/** Traits as the `config` of a fastify route; a copy, because fastify writes into it. */
export const configOf = (traits: RouteTraits = {}): object => ({ ...traits });

/** The traits of the route that a request is for. Unknown routes have none. */
export function traitsOf(request: FastifyRequest): RouteTraits {
  return (request.routeOptions.config ?? {}) as RouteTraits;
}
