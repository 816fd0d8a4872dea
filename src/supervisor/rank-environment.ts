/**
 * The environment of a rank. Pure. The user's own value wins wherever a library reads it; keys of ours never travel. Device masks are set
 * here, once, at spawn; `RAY_EXPERIMENTAL_NOSET_<MASK>=1` or `TWINKLE_NOSET_<MASK>=1` leaves a mask as the user has it.
 */
import type { DeviceChoice } from '../config/types.js';

/** Where a rank of a gang runs. */
export interface RankPlace {
  /** Order among the gang's ranks on its node. */
  readonly localRank: number;
  /** Null: CPU. Ranks with fractions may share one. */
  readonly device: DeviceChoice | null;
}

export interface RankIdentity extends RankPlace {
  readonly instance: string;
  readonly gang: string;
  readonly epoch: number;
  readonly rank: number;
  readonly worldSize: number;
  readonly masterAddr: string;
  readonly masterPort: number;
  /** Devices of the gang on this rank's node, by local rank, for engines whose ranks reach each other's: they are its mask. Null: its own. */
  readonly peers: readonly DeviceChoice[] | null;
}

/** {@link RankIdentity.peers} of a gang whose ranks, all on one node, reach each other's devices. */
export function peersOf(places: readonly RankPlace[]): readonly DeviceChoice[] | null {
  const devices = places.map(({ device }) => device).filter((device) => device !== null);
  return devices.length > 0 ? devices : null;
}

type Env = Readonly<Record<string, string | undefined>>;

/** Variables that a rank must not see: they open this server. */
const SECRETS = new Set(['TWINKLE_API_KEY', 'TINKER_API_KEY', 'VLLM_API_KEY']);

/** What every process of an engine gets: the caller's environment without secrets, and where our Python code is. */
export function engineEnvironment(inherited: Env, pythonPath: string, logLevel: string): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [key, value] of Object.entries(inherited)) {
    if (value !== undefined && !SECRETS.has(key)) env[key] = value;
  }
  env.PYTHONPATH = env.PYTHONPATH ? `${pythonPath}:${env.PYTHONPATH}` : pythonPath;
  env.PYTHONUNBUFFERED = '1';
  env.TWINKLE_LOG_LEVEL = logLevel;
  env.TOKENIZERS_PARALLELISM ??= 'false';
  return env;
}

/**
 * What one rank gets on top. A mask names exactly its device, so no engine can touch another's; on CPUs, CUDA's hides all. Where ranks of a
 * gang reach each other's devices (`peers`) it names those, by index, because such engines read it as numbers.
 * `TWINKLE_DEVICE_IDS` names the device also where the mask is left alone: a GPU by its uuid, an NPU by its index; empty on CPUs.
 */
export function rankEnvironment(identity: RankIdentity, inherited: Env): Record<string, string> {
  const { device } = identity;
  const local = identity.masterAddr === '127.0.0.1';
  const id = device === null ? '' : device.kind === 'gpu' ? device.uuid : String(device.index);
  const env: Record<string, string> = {
    TWINKLE_INSTANCE: identity.instance,
    TWINKLE_GANG: identity.gang,
    TWINKLE_DEVICE_IDS: id,
    RANK: String(identity.rank),
    LOCAL_RANK: String(identity.localRank),
    WORLD_SIZE: String(identity.worldSize),
    MASTER_ADDR: identity.masterAddr,
    MASTER_PORT: String(identity.masterPort),
    TORCH_NCCL_ASYNC_ERROR_HANDLING: inherited.TORCH_NCCL_ASYNC_ERROR_HANDLING ?? '1',
  };
  const masked = identity.peers ?? (device === null ? [] : [device]);
  const gpus = masked.filter(({ kind }) => kind === 'gpu');
  const npus = masked.filter(({ kind }) => kind === 'npu');
  if (maySet('CUDA_VISIBLE_DEVICES', inherited)) {
    env.CUDA_VISIBLE_DEVICES = gpus.map(({ uuid, index }) => (identity.peers === null ? uuid : index)).join();
    // Indices mean what the driver says, not which device is fastest.
    if (gpus.length > 0 && identity.peers !== null) env.CUDA_DEVICE_ORDER = 'PCI_BUS_ID';
  }
  if (npus.length > 0 && maySet('ASCEND_RT_VISIBLE_DEVICES', inherited)) {
    env.ASCEND_RT_VISIBLE_DEVICES = npus.map(({ index }) => index).join();
  }
  if (local) env.GLOO_SOCKET_IFNAME = inherited.GLOO_SOCKET_IFNAME ?? 'lo';
  // HCCL's own choice is a network card of the machine, and its hosts meet there even when all NPUs are in one box. It prefers HCCL_IF_IP.
  if (local && npus.length > 0) env.HCCL_SOCKET_IFNAME = inherited.HCCL_SOCKET_IFNAME ?? 'lo';
  return env;
}

/** Whether the variable that hides devices from a vendor's runtime may be set, or the user keeps it as it is. */
export function maySet(mask: string, inherited: Env): boolean {
  return ![`RAY_EXPERIMENTAL_NOSET_${mask}`, `TWINKLE_NOSET_${mask}`].some((name) =>
    /^(1|true|yes|on)$/i.test(inherited[name] ?? ''),
  );
}
