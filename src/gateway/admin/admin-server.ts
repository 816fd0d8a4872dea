/** The admin socket: HTTP over a unix socket for the CLI. The folder's 0700 mode is its access control; it serves no model. */
import { type FastifyInstance, fastify } from 'fastify';
import { TwinkleError } from '../../errors.js';
import type { FleetControl } from '../../serving/types/control.js';
import type { TrainingWatch } from '../../training/types/progress.js';
import { nextRequestId } from '../http/call.js';
import { sendError, toTwinkleError } from '../http/error-reply.js';
import { mountOperations } from '../operator/routes.js';

/** Options of {@link startAdminServer}. */
export interface AdminOptions {
  /** Path of the unix socket: at most 107 bytes, in a folder that only the user may enter. Must not exist. */
  readonly socketPath: string;
  /** The document of `GET /status`, plain JSON; made anew at each request. */
  status(): unknown;
  /** The document of `GET /cluster`, plain JSON; asked anew at each request. Without it the route answers 404. */
  readonly cluster?: () => Promise<unknown>;
  /** The documents of `GET /work/actors`, `/work/tasks` and `/work/objects`, plain JSON; `GET /work` has all of them. Without it they answer 404. */
  readonly work?: WorkWatch;
  /** The runs of all tenants, as `GET /runs` and `GET /runs/<id>` tell them; without it the routes answer 404. */
  readonly runs?: Pick<TrainingWatch, 'runs' | 'run'>;
  /** Operations on the served models, as `POST /sleep`; absent: the process serves none. */
  readonly control?: FleetControl;
}

/** Actors, tasks and objects, each asked by itself: a list of one waits for none of the others. */
export interface WorkWatch {
  actors(): object;
  tasks(): Promise<object>;
  objects(): object;
}

const MAX_SOCKET_PATH = 107;

/** Listens when it resolves; `close()` removes the socket. Throws `CONFIG_INVALID` and `PORT_IN_USE`. */
export async function startAdminServer(options: AdminOptions): Promise<FastifyInstance> {
  const { socketPath } = options;
  const bytes = Buffer.byteLength(socketPath);
  if (bytes > MAX_SOCKET_PATH) {
    throw new TwinkleError(
      'CONFIG_INVALID',
      `Expected a socket path of at most ${MAX_SOCKET_PATH} bytes but ${socketPath} has ${bytes}: set TWINKLE_HOME to a shorter one.`,
    );
  }
  const app = fastify({ logger: false, forceCloseConnections: true, genReqId: nextRequestId });
  app.setErrorHandler((thrown, _request, reply) => sendError(reply, toTwinkleError(thrown)));
  app.get('/status', (_request, reply) => reply.send(options.status()));
  app.get('/cluster', async (_request, reply) => {
    if (options.cluster === undefined) {
      throw new TwinkleError('ROUTE_NOT_FOUND', 'this process keeps no cluster; ask a head or a server that has one');
    }
    return reply.send(await options.cluster());
  });
  mountWork(app, options.work);
  if (options.runs !== undefined) mountRuns(app, options.runs);
  if (options.control !== undefined) mountOperations(app, options.control);
  try {
    await app.listen({ path: socketPath });
  } catch (error) {
    await app.close();
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    throw new TwinkleError(
      'PORT_IN_USE',
      `The admin socket ${socketPath} exists: another head uses it, or remove it.`,
      {
        cause: error,
      },
    );
  }
  return app;
}

function mountWork(app: FastifyInstance, work: WorkWatch | undefined): void {
  const mount = (path: string, document: (work: WorkWatch) => object): void => {
    app.get(path, async (_request, reply) => {
      if (work === undefined) {
        throw new TwinkleError(
          'ROUTE_NOT_FOUND',
          'this process runs no actors and tasks; ask a head that offers devices',
        );
      }
      return reply.send(await document(work));
    });
  };
  mount('/work', async (work) => ({ ...work.actors(), ...(await work.tasks()), ...work.objects() }));
  mount('/work/actors', (work) => work.actors());
  mount('/work/tasks', (work) => work.tasks());
  mount('/work/objects', (work) => work.objects());
}

function mountRuns(app: FastifyInstance, watch: NonNullable<AdminOptions['runs']>): void {
  app.get('/runs', (_request, reply) => reply.send({ runs: watch.runs() }));
  app.get<{ Params: { id: string } }>('/runs/:id', (request, reply) => {
    const run = watch.run(request.params.id);
    if (run === null) throw new TwinkleError('RUN_NOT_FOUND', `there is no training run \`${request.params.id}\` here`);
    return reply.send(run);
  });
}
