/** Sessions: begun, heard of, finished, looked at. */
import { type Static, Type } from '../../protocol/type.js';
import type { RouteSpec } from '../http/routes.js';
import { Id, Metadata, noProjects, optional, Request } from './fields.js';
import { checkScope, countOf, type TinkerRoutes } from './route.js';

const CreateSession = Request({
  /** For the vendor's console: nothing that the SDK asks shows them. */
  tags: optional(Type.Array(Type.String())),
  user_metadata: Metadata,
  sdk_version: optional(Type.String()),
  project_id: optional(Type.String()),
  display_name: optional(Type.String()),
});
const SessionOnly = Request({ session_id: Id });
const Finish = Type.Object({ reason: optional(Type.Unknown()), detail: optional(Type.Unknown()) });

interface Params {
  readonly sid: string;
}

export function sessionRoutes(routes: TinkerRoutes): RouteSpec[] {
  return [
    routes.post('create_session', 'Begin a session.', CreateSession, ({ request, tenant, training }) => {
      const { display_name, project_id, user_metadata } = request.body as Static<typeof CreateSession>;
      if (project_id != null) throw noProjects('project_id');
      const key = request.headers['x-idempotency-key'];
      const { id } = training.createSession(tenant, {
        idempotencyKey: typeof key === 'string' && key !== '' ? key : null,
        userMetadata: user_metadata ?? null,
        displayName: display_name ?? null,
      });
      return { type: 'create_session', session_id: id, info_message: null, warning_message: null, error_message: null };
    }),
    routes.post('session_heartbeat', 'Keep a session.', SessionOnly, ({ request, tenant, training }) => {
      training.heartbeat(tenant, (request.body as Static<typeof SessionOnly>).session_id);
      return { type: 'session_heartbeat' };
    }),
    routes.post('sessions/:sid/finish', 'End a session.', Finish, ({ request, tenant, training }) => {
      training.finish(tenant, (request.params as Params).sid);
      return {};
    }),
    routes.get('sessions', "The key's sessions.", ({ request, tenant, training }) => {
      checkScope(request);
      const offset = countOf(request, 'offset', 0);
      const all = training.sessions(tenant).map(({ id }) => id);
      return { sessions: all.slice(offset, offset + countOf(request, 'limit', 20)) };
    }),
    routes.get('sessions/:sid', 'What a session has.', ({ request, tenant, training }) => {
      checkScope(request);
      const { displayName, runs, samplers, userMetadata } = training.session(tenant, (request.params as Params).sid);
      return {
        training_run_ids: runs,
        sampler_ids: samplers,
        user_metadata: userMetadata,
        display_name: displayName,
      };
    }),
  ];
}
