/** The standalone head of `start --head`: ledger, journal, this box's node, the socket for clients and agents, the admin socket. Wiring only. */
import { randomBytes, randomUUID } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Boxes } from '../actors/boxes/boxes.js';
import type { HeadAsks, HeadTells, Link } from '../actors/boxes/words.js';
import type { NodeService } from '../actors/node-service.js';
import type { AgentTalk } from '../cluster/client-protocol.js';
import { ClusterHead, type OutsideDoor } from '../cluster/cluster-head.js';
import { JournaledLedger } from '../cluster/journaled-ledger.js';
import { LedgerCluster } from '../cluster/ledger-cluster.js';
import { openOwnNode } from '../cluster/own-node.js';
import { watchLocally } from '../cluster/owners.js';
import { sessionId } from '../cluster/session.js';
import type { ClusterTimers, LedgerRecord, NodeHello } from '../cluster/types.js';
import { homeError, makeHomeFolder } from '../config/home-folder.js';
import { packageVersion } from '../config/package-root.js';
import type { DeviceChoice } from '../config/types.js';
import { TwinkleError } from '../errors.js';
import { startAdminServer, type WorkWatch } from '../gateway/admin/admin-server.js';
import type { Native } from '../native/types.js';
import type { Logger } from '../observability/logger.js';
import { openJournal } from '../store/journal.js';
import { ProcessWatcher } from '../supervisor/process-watcher.js';
import type { Peer } from '../transport/peer.js';
import { processStat } from '../util/proc-stat.js';
import { runAll } from '../util/run-all.js';
import { ownName } from './adapters-folder.js';
import { makeFolders } from './folders.js';
import { headAddress } from './head-address.js';
import { headKeys, joinKeys } from './head-keys.js';
import { describeInstance, isSameProcess, removeInstance, writeInstance } from './instance-file.js';
import { joinLine, writeToken } from './join-token.js';
import { nodeId, takeOver } from './own-node-facts.js';
import { makeSpillFolder, removeSpillFolder, spillRoot } from './spill-folder.js';
import { sweepHome } from './sweep-home.js';
import type { TcpAddress } from './tcp-address.js';
import type { ClusterHeadStatus } from './types.js';
import { openWorkService, type WorkService } from './work-service.js';

export interface ClusterDaemonOptions {
  /** Folder of state, logs and sockets; the journal is in `<home>/head`. */
  readonly home: string;
  /** This box; null: the head offers no devices of its own. */
  readonly node: Omit<NodeHello, 'held' | 'incarnation' | 'id'> | null;
  /** Its devices, in the order in which the node offers them. */
  readonly devices: readonly DeviceChoice[];
  /** Folder for objects that memory has no room for; null: in the home. */
  readonly spillParent: string | null;
  /** For workers of actors and tasks. */
  readonly inherited: Readonly<Record<string, string | undefined>>;
  readonly logLevel: string;
  readonly timers: ClusterTimers;
  /** Where other boxes join; port 0: any free one. Absent or null: nowhere. */
  readonly listen?: TcpAddress | null;
  readonly native: Native;
  readonly log: Logger;
  readonly instance: string;
}

export interface ClusterDaemon extends AsyncDisposable {
  /** Where clients of this box connect. */
  readonly address: string;
  /** `HOST:PORT` where other boxes join; null: nowhere. */
  readonly tcp: string | null;
  /** The shell line by which another box joins, with the token in it; null as `tcp`. */
  readonly join: string | null;
  status(): ClusterHeadStatus;
}

/**
 * Start. What the head before it knew is known again.
 * @throws `JOURNAL_DAMAGED`, `PORT_IN_USE`, `CONFIG_INVALID` when the home folder cannot be used; an error that names the pid when another head has it
 */
export async function startClusterDaemon(options: ClusterDaemonOptions): Promise<ClusterDaemon> {
  const { home, log, instance, native, timers } = options;
  const startedAt = Date.now();
  const disposals: (() => unknown)[] = [];
  const close = async (): Promise<void> => {
    const errors = await runAll(disposals.splice(0).reverse());
    if (errors.length > 0) throw errors[0];
  };
  try {
    await sweepHome(home);
    const folders = makeFolders(home, instance);
    disposals.push(() => folders.remove());
    const folder = makeHomeFolder(home, 'head');
    chmodSync(folder, 0o700); // it guards the socket, also when it was there before
    const records: LedgerRecord[] = [];
    const onRecord = (record: unknown): void => void records.push(record as LedgerRecord);
    const journal = await openJournal({ folder, name: 'ledger', sync: 'kernel', onRecord });
    disposals.push(() => journal.close());
    const { tornBytes } = journal.replayed;
    if (tornBytes > 0) log.warn({ tornBytes }, 'journal_end_cut');
    const address = headAddress(home);
    const cluster = clusterId(folder, records.length === 0);
    const watcher = ProcessWatcher.of(native);
    const door = openDoor(options.listen ?? null, folder);
    let work: WorkService | null = null;
    const head = new ClusterHead({
      address,
      cluster,
      timers,
      log,
      watch: watchLocally(
        (pid, pidStart) => isSameProcess({ pid, pidStart }),
        (pid) => watcher.gone(pid),
      ),
      outside: door?.outside ?? null,
      talk: door === null ? null : talkOf(() => work?.boxes ?? null),
    });
    const core = new JournaledLedger({
      journal,
      records,
      timers,
      newId: () => randomUUID().replaceAll('-', ''),
      nowMs: () => performance.now(),
      send: (node, batch) => head.send(node, batch),
      onEvents: (events) => {
        head.tell(events);
        here.heard(events);
      },
      onFailure: (error) => log.error({ error: String(error) }, 'journal_failed'),
    });
    disposals.push(() => core.close());
    const owner = sessionId({ pid: process.pid, pidStart: processStat(process.pid)?.start ?? '' }, instance);
    const here = new LedgerCluster({ core, cluster, owner });
    // Transactions are named by the epoch: nobody may see it before the journal has it.
    await core.flushed();
    let node: string | null = null;
    if (options.node !== null) {
      const facts = takeOver(options.node, nodeId(folder), records, core.state.groups(0));
      if (facts.kept) log.warn({ total: facts.node.total }, 'offer_kept_for_groups_of_before');
      const own = openOwnNode(facts.node, core.state, () => performance.now());
      core.attach(own);
      core.enter((ledger) => ledger.nodeHello(own.hello()));
      node = own.node;
    }
    const spillFolder = node === null ? '' : makeSpillFolder(home, instance, options.spillParent);
    disposals.push(() => removeSpillFolder(join(spillRoot(home), ownName(instance))));
    if (node !== null) {
      work = await openWorkService({
        ...{ native, cluster: here, log, instance, node, folders, devices: options.devices, spillFolder },
        ...{ inherited: options.inherited, logLevel: options.logLevel, host: options.listen?.host ?? null },
        storeBytes: options.node?.total.object_store_memory ?? 0,
      });
      disposals.push(() => work?.[Symbol.asyncDispose]());
    }
    // Others come in when everything is there that they may ask for.
    await head.open(core, node);
    chmodSync(address.slice('ipc://'.length), 0o600);
    disposals.push(
      () => rmSync(address.slice('ipc://'.length), { force: true }),
      () => head.close(),
    );
    const tcp = head.outside?.slice('tcp://'.length) ?? null;
    const tcpFact = tcp === null ? {} : { tcp };
    const status = (): ClusterHeadStatus => {
      const groups = [...core.state.groups(0)].filter(({ spec }) => spec.task === null);
      return {
        kind: 'head',
        instance,
        pid: process.pid,
        version: packageVersion(),
        startedAt,
        home,
        address,
        ...tcpFact,
        phase: disposals.length === 0 ? 'stopping' : 'ready',
        cluster,
        epoch: core.state.epoch,
        nodes: [...core.state.nodes()].length,
        groups: {
          created: groups.filter(({ state }) => state === 'CREATED').length,
          pending: groups.filter(({ state }) => state === 'PENDING' || state === 'RESCHEDULING').length,
        },
        ...(work === null ? {} : { work: work.service.status() }),
      };
    };
    const adminSocket = join(folders.sockets, 'admin.sock');
    const admin = await startAdminServer({
      socketPath: adminSocket,
      status,
      cluster: async () => head.snapshot(),
      ...(work === null ? {} : { work: workWatch(work.service) }),
    });
    disposals.push(() => admin.close());
    const facts = { kind: 'head' as const, instance, startedAt, url: null, address, adminSocket, logs: folders.logs };
    writeInstance(
      home,
      describeInstance({ ...facts, ...tcpFact, ...(work === null ? {} : { workSocket: work.socket }) }),
    );
    disposals.push(() => removeInstance(home, instance));
    log.info({ instance, address, tcp, cluster, epoch: core.state.epoch }, 'head_ready');
    const line = tcp === null || door === null ? null : joinLine(tcp, door.token);
    return { address, tcp, join: line, status, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close().catch(() => {});
    throw homeError(home, error);
  }
}

/** What agents and those who run actors, tasks and objects say to each other. */
function talkOf(boxes: () => Boxes | null): AgentTalk {
  const there = (): Boxes => {
    const found = boxes();
    if (found === null)
      throw new TwinkleError('CONFIG_INVALID', 'this head offers nothing of its own, so it runs no actors and tasks');
    return found;
  };
  return {
    welcome: (node, talk) => there().welcome(node, talk),
    joined: (node, { talk }, peer) =>
      there().joined(node, talk, peer as Pick<Peer, 'call' | 'cast'> as Link<HeadAsks, HeadTells>),
    call: (node, method, params) => there().call(node, method, params),
    cast: (node, method, params) => there().cast(node, method, params),
    left: (node, why) => boxes()?.left(node, why),
  };
}

/** Where other boxes join, and what lets them in; null: nowhere. */
function openDoor(
  listen: TcpAddress | null,
  folder: string,
): { readonly outside: OutsideDoor; readonly token: string } | null {
  if (listen === null) return null;
  const keys = headKeys(folder);
  const { host, port } = listen;
  const address = `tcp://${host}:${port === 0 ? '*' : port}`;
  return {
    outside: { address, curve: { ...keys.server, clients: [keys.join.publicKey] } },
    token: writeToken(joinKeys(keys)),
  };
}

/** What the admin socket tells of actors, tasks and objects. */
function workWatch(service: NodeService): WorkWatch {
  const { lists } = service;
  return {
    actors: () => ({ actors: lists.actors() }),
    tasks: () => lists.tasks(),
    objects: () => ({ objects: lists.objects(), store: service.status().store }),
  };
}

/** Id of the cluster: that of the journal beside it; a new journal begins a new cluster. */
function clusterId(folder: string, isNew: boolean): string {
  const path = join(folder, 'cluster-id');
  if (!isNew && existsSync(path)) return readFileSync(path, 'utf8').trim();
  const id = randomBytes(8).toString('hex');
  writeFileSync(path, `${id}\n`, { mode: 0o600 });
  return id;
}
