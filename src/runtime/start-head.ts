/** From what `start --head` was told to a running head: devices of this box, log, timers. Wiring only. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { DEFAULT_TIMERS } from '../cluster/types.js';
import { makeHomeFolder } from '../config/home-folder.js';
import { packageVersion } from '../config/package-root.js';
import type { Native } from '../native/types.js';
import { fileLogger } from '../observability/logger.js';
import { type BoxRequest, offeredHere, storeBytes } from './box-offer.js';
import { type ClusterDaemon, startClusterDaemon } from './cluster-daemon.js';
import { localNode } from './local-node.js';
import type { TcpAddress } from './tcp-address.js';

type Env = Readonly<Record<string, string | undefined>>;

export interface HeadRequest extends BoxRequest {
  /** Time that serving replicas go on without a head. */
  readonly graceMs: number;
  /** Where other boxes join; port 0: any free one. Absent or null: nowhere. */
  readonly listen?: TcpAddress | null;
}

/**
 * Start a head for this box.
 * @throws `DEVICE_MISSING`, `CONFIG_INVALID`, `PORT_IN_USE`, `JOURNAL_DAMAGED`
 */
export async function startStandaloneHead(request: HeadRequest, native: Native, env: Env): Promise<ClusterDaemon> {
  const { home, listen = null } = request;
  const instance = randomBytes(6).toString('hex');
  const offer = offeredHere(request, native, env);
  const store = storeBytes(request, native);
  const identity = {
    name: hostname(),
    address: listen?.host ?? '127.0.0.1',
    version: packageVersion(),
    pid: process.pid,
  };
  const folder = makeHomeFolder(home, 'logs', instance);
  const log = fileLogger(request.logLevel, join(folder, 'head.log'));
  for (const reason of offer.leftOut) log.warn({ reason }, 'device_left_out');
  const timers = { ...DEFAULT_TIMERS, graceMs: request.graceMs };
  const node = localNode({ ...identity, id: '', incarnation: '' }, offer, native.cpu(), store);
  try {
    const { devices } = offer;
    const more = { devices, inherited: env, logLevel: request.logLevel, spillParent: request.objectSpillDir };
    const daemon = await startClusterDaemon({ home, node, timers, native, log, instance, listen, ...more });
    return {
      ...daemon,
      [Symbol.asyncDispose]: async () => {
        await daemon[Symbol.asyncDispose]();
        log.close();
      },
    };
  } catch (error) {
    log.close();
    throw error;
  }
}
