/** The session that a request says it is of. */
import type { FastifyRequest } from 'fastify';

/** Null: none. */
export function sessionOf({ headers }: FastifyRequest): string | null {
  const said = headers['x-twinkle-session-id'];
  return typeof said === 'string' && said !== '' ? said : null;
}
