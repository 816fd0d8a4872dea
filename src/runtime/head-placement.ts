/** Placement by the standalone head that runs on this box: finds it, joins it, and says which of its nodes are this machine. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { ClusterSnapshot, NodeStatus } from '../cluster/api.js';
import { RemoteCluster } from '../cluster/remote-cluster.js';
import { sessionId } from '../cluster/session.js';
import type { CompiledConfig } from '../config/compile.js';
import type { DeviceChoice, ServeConfig } from '../config/types.js';
import { TwinkleError } from '../errors.js';
import type { DeviceReport } from '../native/types.js';
import { processStat } from '../util/proc-stat.js';
import { headAddress } from './head-address.js';
import { runningAgent, runningHead } from './instance-file.js';
import type { PlacementSource } from './place-replicas.js';

/** A head does not need long to answer on its own box. */
const JOIN_MS = 10_000;

/**
 * Join the head of a home folder.
 * @throws `HEAD_UNREACHABLE` when none runs there or it does not answer
 */
export async function joinHead(home: string, signal?: AbortSignal): Promise<RemoteCluster> {
  const head = runningHead(home);
  if (head === null) {
    const agent = runningAgent(home);
    throw new TwinkleError(
      'HEAD_UNREACHABLE',
      agent !== null
        ? `in ${home} runs an agent of the head at ${agent.address}, which gives out the devices of this box: do this on that box, or say --address local to go without asking it`
        : `no head runs in ${home}: start one with \`twinkle-node start --head\`, or say --address local`,
    );
  }
  const pidStart = processStat(process.pid)?.start ?? '0';
  return await RemoteCluster.join({
    address: head.address ?? headAddress(home),
    session: sessionId({ pid: process.pid, pidStart }, randomBytes(6).toString('hex')),
    timeoutMs: JOIN_MS,
    ...(signal === undefined ? {} : { signal }),
  });
}

type Kinds = ReadonlySet<'GPU' | 'NPU'>;

/** Finds out, once, whether a start gets its places from the head on this box, and joins it then. Disposing leaves the head. */
export class HeadDoor implements AsyncDisposable {
  #cluster: RemoteCluster | null = null;

  /** @param signal ends the attempt to join */
  constructor(readonly signal?: AbortSignal) {}

  /** Kinds of devices that the head's box has, busy or not; null: there is no head for this start. */
  async kinds(address: ServeConfig['address'], home: string): Promise<Kinds | null> {
    const cluster = await this.#enter(address, home);
    if (cluster === null) return null;
    const nodes = ownNodes(await cluster.snapshot(), home);
    const has = (kind: 'GPU' | 'NPU'): boolean => nodes.some(({ resources }) => (resources[kind] ?? 0) > 0);
    return new Set((['GPU', 'NPU'] as const).filter(has));
  }

  /**
   * Where the ranks of this start get their places; null: from a ledger of its own.
   * @throws `HEAD_UNREACHABLE`, `CONFIG_INVALID` when this machine's offer is shaped beside a head
   */
  async placement(compiled: CompiledConfig, devices: () => Promise<DeviceReport>): Promise<PlacementSource | null> {
    const { config, origins } = compiled;
    if (config.address === 'local' && origins.address.source === 'default') refuseShaping(compiled);
    const cluster = await this.#enter(config.address, config.home);
    return cluster === null ? null : await placementOf(cluster, config.home, await devices());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cluster?.[Symbol.asyncDispose]();
  }

  async #enter(address: ServeConfig['address'], home: string): Promise<RemoteCluster | null> {
    const alone = runningHead(home) === null && runningAgent(home) === null;
    if (address === 'local' || (address === null && alone)) return null;
    this.#cluster ??= await joinHead(home, this.signal);
    return this.#cluster;
  }
}

/** Devices named beside a head would be given out twice. */
function refuseShaping({ config, origins }: CompiledConfig): void {
  const head = runningHead(config.home);
  const shaping = (['gpus', 'npus', 'num-cpus'] as const).find((key) => origins[key].source !== 'default');
  if (head === null || shaping === undefined) return;
  const { name } = origins[shaping];
  throw new TwinkleError(
    'CONFIG_INVALID',
    `a head runs here (${head.instance}, pid ${head.pid}) and gives out the devices of this machine: leave \`${name}\` out, or say --address local to use them without asking it`,
  );
}

/** The head's own node. Others are agents', also where one runs on the same host: their devices are not for who asks the head. */
function ownNodes({ nodes }: ClusterSnapshot, home: string): readonly NodeStatus[] {
  const head = runningHead(home);
  return nodes.filter(({ name, pid }) => name === hostname() && pid === head?.pid);
}

/** The cluster as a source of places for ranks of this machine. */
async function placementOf(cluster: RemoteCluster, home: string, report: DeviceReport): Promise<PlacementSource> {
  const here = ownNodes(await cluster.snapshot(), home).map(({ id }) => id);
  const devices: readonly DeviceChoice[] = report.devices.map(({ kind, index, uuid }) => ({ kind, index, uuid }));
  return { cluster, sole: false, nodes: new Set(here), devices, leftOut: [] };
}
