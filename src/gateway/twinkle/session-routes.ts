/** Sessions: begun, and heard of. */
import { TwinkleError } from '../../errors.js';
import { type Static, Type } from '../../protocol/type.js';
import type { RouteSpec } from '../http/routes.js';
import { Id, Metadata } from '../tinker/fields.js';
import type { TinkerRoutes } from '../tinker/route.js';

const Create = Type.Object({ metadata: Metadata }, { additionalProperties: false });
const Heartbeat = Type.Object({ session_id: Id }, { additionalProperties: false });

export function sessionRoutes(routes: TinkerRoutes): RouteSpec[] {
  return [
    routes.post('create_session', 'Begin a session.', Create, ({ request, tenant, training }) => {
      const { metadata } = request.body as Static<typeof Create>;
      const session = { idempotencyKey: null, userMetadata: metadata ?? null, displayName: null };
      return { session_id: training.createSession(tenant, session).id };
    }),
    routes.post('session_heartbeat', 'Keep a session.', Heartbeat, ({ request, tenant, training }) => {
      const { session_id: id } = request.body as Static<typeof Heartbeat>;
      try {
        training.heartbeat(tenant, id);
      } catch (error) {
        // 410 would be the end of an iterator to this client.
        if (!(error instanceof TwinkleError) || error.code !== 'SESSION_ENDED') throw error;
        throw new TwinkleError('SESSION_NOT_FOUND', error.message, { param: 'session_id', cause: error });
      }
      return {};
    }),
  ];
}
