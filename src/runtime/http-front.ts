/** The head's doors: the gateway on its address, the admin socket, and the instance file that tells the CLI where they are. */
import { rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { ClusterSnapshot } from '../cluster/api.js';
import { isLocal } from '../config/address.js';
import { packageVersion } from '../config/package-root.js';
import type { ServeConfig } from '../config/types.js';
import { TwinkleError } from '../errors.js';
import { startAdminServer } from '../gateway/admin/admin-server.js';
import { buildGateway } from '../gateway/server.js';
import type { Logger } from '../observability/logger.js';
import { Metrics } from '../observability/metrics.js';
import type { FleetControl } from '../serving/types/control.js';
import type { Inference } from '../serving/types.js';
import type { TrainingService } from '../training/types.js';
import { describeInstance, removeInstance, writeInstance } from './instance-file.js';
import { listenPrivately } from './private-socket.js';
import { removeStaleSocket } from './stale-socket.js';
import { twinkleOffer } from './twinkle-offer.js';
import type { HeadStatus } from './types.js';

export interface HttpFront {
  readonly url: string;
  /** Stop listening, cut open connections, remove the instance file. */
  close(): Promise<void>;
}

export interface HttpFrontOptions {
  readonly config: ServeConfig;
  readonly inference: Inference;
  readonly control: FleetControl;
  readonly training: TrainingService;
  readonly instance: string;
  readonly startedAt: number;
  readonly logger: Logger;
  readonly logFolder: string;
  readonly socketFolder: string;
  phase(): HeadStatus['phase'];
  status(): HeadStatus;
  /** The cluster that the head is a member of, for `list`; without it the admin socket answers 404 for it. */
  readonly cluster?: () => Promise<ClusterSnapshot>;
}

/** Listen. Throws `PORT_IN_USE` with the address, or the system's error. */
export async function openHttp(options: HttpFrontOptions): Promise<HttpFront> {
  const { config, instance, startedAt } = options;
  const { http } = config;
  const gateway = await buildGateway({
    inference: options.inference,
    control: options.control,
    training: options.training,
    twinkle: twinkleOffer(config, options.training, config.auth.mode !== 'keys' && isLocal(http)),
    auth: config.auth,
    http,
    version: packageVersion(),
    startedAt,
    phase: () => options.phase(),
    logger: options.logger,
    metrics: new Metrics(),
  });
  const adminSocket = join(options.socketFolder, 'admin.sock');
  try {
    const url = await listen(gateway, http);
    const admin = await startAdminServer({
      socketPath: adminSocket,
      status: () => options.status(),
      runs: options.training.watch,
      control: options.control,
      ...(options.cluster === undefined ? {} : { cluster: options.cluster }),
    });
    try {
      writeInstance(
        config.home,
        describeInstance({
          kind: 'serve',
          instance,
          startedAt,
          url,
          address: null,
          adminSocket,
          logs: options.logFolder,
        }),
      );
    } catch (error) {
      await admin.close();
      throw error;
    }
    return {
      url,
      close: async () => {
        removeInstance(config.home, instance);
        if (http.uds !== null) rmSync(http.uds, { force: true });
        await Promise.all([gateway.close(), admin.close()]);
      },
    };
  } catch (error) {
    await gateway.close();
    throw error;
  }
}

async function listen(gateway: Awaited<ReturnType<typeof buildGateway>>, http: ServeConfig['http']): Promise<string> {
  const where = http.uds ?? `${http.host}:${http.port}`;
  try {
    if (http.uds !== null) {
      await removeStaleSocket(http.uds);
      await listenPrivately(http.uds, (path) => gateway.listen({ path }));
      return `unix:${http.uds}`;
    }
    await gateway.listen({ host: http.host, port: http.port });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') {
      throw new TwinkleError('PORT_IN_USE', `${where} is in use; give another --port, or stop what listens there`, {
        cause: error,
      });
    }
    throw new TwinkleError('USAGE', `cannot listen on ${where}: ${(error as Error).message}`, { cause: error });
  }
  const { port } = gateway.server.address() as AddressInfo;
  return `http://${http.host.includes(':') ? `[${http.host}]` : http.host}:${port}`;
}
