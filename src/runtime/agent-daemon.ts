/** The agent of `start --address`: this box as a node of another box's head, its folders, the admin socket. Wiring only. */
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import type { BoxService } from '../actors/boxes/box-service.js';
import { sessionId } from '../cluster/session.js';
import type { NodeHello } from '../cluster/types.js';
import { homeError, makeHomeFolder } from '../config/home-folder.js';
import { packageVersion } from '../config/package-root.js';
import { startAdminServer } from '../gateway/admin/admin-server.js';
import type { Logger } from '../observability/logger.js';
import type { PeerCurve } from '../transport/peer-dial.js';
import { processStat } from '../util/proc-stat.js';
import { runAll } from '../util/run-all.js';
import { AgentLink, type AgentWork } from './agent-link.js';
import { type Folders, makeFolders } from './folders.js';
import { describeInstance, removeInstance, writeInstance } from './instance-file.js';
import { nodeId } from './own-node-facts.js';
import { sweepHome } from './sweep-home.js';
import { type TcpAddress, writeTcpAddress } from './tcp-address.js';
import type { ClusterAgentStatus } from './types.js';
import { WORK_SOCKET } from './work-service.js';

/** What the work of an agent finds made. */
export interface AgentPlace {
  /** Id of the node. */
  readonly node: string;
  readonly folders: Folders;
}

export interface AgentDaemonOptions {
  /** Folder of state, logs and sockets. */
  readonly home: string;
  readonly head: TcpAddress;
  readonly curve: PeerCurve;
  /** This box. */
  readonly node: Omit<NodeHello, 'held' | 'incarnation' | 'id'>;
  /** What it runs for its head, made anew for each time that it joins; `opened` is told when it has begun, and (null) when it ends. */
  readonly work: (place: AgentPlace, opened: (service: BoxService | null) => void) => Promise<AgentWork>;
  readonly log: Logger;
  readonly instance: string;
  /** ms until the head must have answered at first. */
  readonly timeoutMs: number;
  /** Ends the first attempt to join. */
  readonly signal?: AbortSignal;
}

export interface AgentDaemon extends AsyncDisposable {
  status(): ClusterAgentStatus;
}

/**
 * Join, and stay until disposed, whatever becomes of the head.
 * @throws `HEAD_UNREACHABLE`, the head's refusal, `CONFIG_INVALID` when the home folder cannot be used
 */
export async function startAgentDaemon(options: AgentDaemonOptions): Promise<AgentDaemon> {
  const { home, log, instance, curve, work, timeoutMs, signal } = options;
  const startedAt = Date.now();
  const address = writeTcpAddress(options.head);
  const disposals: (() => unknown)[] = [];
  const close = async (): Promise<void> => {
    const errors = await runAll(disposals.splice(0).reverse());
    if (errors.length > 0) throw errors[0];
  };
  try {
    await sweepHome(home);
    const folders = makeFolders(home, instance);
    disposals.push(() => folders.remove());
    const folder = makeHomeFolder(home, 'agent');
    chmodSync(folder, 0o700); // also when it was there before
    const node = { ...options.node, id: nodeId(folder) };
    let service: BoxService | null = null;
    const link = await AgentLink.open({
      address: `tcp://${address}`,
      session: sessionId({ pid: process.pid, pidStart: processStat(process.pid)?.start ?? '' }, instance),
      work: () => work({ node: node.id, folders }, (opened) => (service = opened)),
      ...{ curve, node, log, timeoutMs },
      ...(signal === undefined ? {} : { signal }),
    });
    disposals.push(() => link[Symbol.asyncDispose]());
    const status = (): ClusterAgentStatus => ({
      kind: 'agent',
      instance,
      pid: process.pid,
      version: packageVersion(),
      startedAt,
      home,
      address,
      phase: disposals.length === 0 ? 'stopping' : 'ready',
      connected: link.reason === null,
      reason: link.reason,
      joinedAt: link.joinedAt,
      node: { id: node.id, name: node.name, address: node.address },
      ...(service === null ? {} : { work: service.status() }),
    });
    const adminSocket = join(folders.sockets, 'admin.sock');
    const admin = await startAdminServer({ socketPath: adminSocket, status });
    disposals.push(() => admin.close());
    const facts = { kind: 'agent' as const, instance, startedAt, url: null, address, adminSocket, logs: folders.logs };
    writeInstance(home, describeInstance({ ...facts, workSocket: join(folders.sockets, WORK_SOCKET) }));
    disposals.push(() => removeInstance(home, instance));
    log.info({ instance, address, node: node.id }, 'agent_ready');
    return { status, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close().catch(() => {});
    throw homeError(home, error);
  }
}
