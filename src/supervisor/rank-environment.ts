/** The environment of a rank. Pure. The user's own value wins wherever a library reads it; keys of ours never travel. */
import type { DeviceChoice } from '../config/types.js';

export interface RankIdentity {
  readonly instance: string;
  readonly gang: string;
  readonly epoch: number;
  readonly rank: number;
  readonly localRank: number;
  readonly worldSize: number;
  readonly masterAddr: string;
  readonly masterPort: number;
  /** The device of this rank; null: CPU. */
  readonly device: DeviceChoice | null;
}

/** Variables that a rank must not see: they open this server. */
const SECRETS = new Set(['TWINKLE_API_KEY', 'TINKER_API_KEY', 'VLLM_API_KEY']);

/** What every process of an engine gets: the caller's environment without secrets, and where our Python code is. */
export function engineEnvironment(
  inherited: Readonly<Record<string, string | undefined>>,
  pythonPath: string,
  logLevel: string,
): Record<string, string> {
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

/** What one rank gets on top. A device mask names exactly its device, so no engine can touch another's. */
export function rankEnvironment(
  identity: RankIdentity,
  inherited: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const { device } = identity;
  const local = identity.masterAddr === '127.0.0.1';
  const env: Record<string, string> = {
    TWINKLE_INSTANCE: identity.instance,
    TWINKLE_GANG: identity.gang,
    RANK: String(identity.rank),
    LOCAL_RANK: String(identity.localRank),
    WORLD_SIZE: String(identity.worldSize),
    MASTER_ADDR: identity.masterAddr,
    MASTER_PORT: String(identity.masterPort),
    TORCH_NCCL_ASYNC_ERROR_HANDLING: inherited.TORCH_NCCL_ASYNC_ERROR_HANDLING ?? '1',
    CUDA_VISIBLE_DEVICES: device?.kind === 'gpu' ? device.uuid : '',
  };
  if (device?.kind === 'npu') env.ASCEND_RT_VISIBLE_DEVICES = String(device.index);
  if (local) env.GLOO_SOCKET_IFNAME = inherited.GLOO_SOCKET_IFNAME ?? 'lo';
  return env;
}
