/** What a start would do, rank by rank, without doing it: for `--dry-run`. Pure. */
import type { DeviceChoice, ServeConfig } from '../config/types.js';
import { engineEnvironment, rankEnvironment } from '../supervisor/rank-environment.js';

/** One rank of the plan. */
export interface PlannedRank {
  readonly model: string;
  readonly replica: number;
  readonly rank: number;
  readonly worldSize: number;
  readonly device: DeviceChoice | null;
  /** What the rank gets beside the inherited environment, and inherited variables of engines. Secrets are masked. */
  readonly environment: Readonly<Record<string, string>>;
}

type Env = Readonly<Record<string, string | undefined>>;

/** Inherited variables that change what an engine does: worth showing. */
const INTERESTING =
  /^(HF_|TRANSFORMERS_|NCCL_|HCCL_|GLOO_|TP_|OMP_|MKL_|CUDA_|NVIDIA_|ASCEND_|HIP_|VLLM_|TORCH_|PYTHON|OTEL_|LD_LIBRARY_PATH$)/;
const SECRET = /(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL)/i;

/**
 * The ranks of all models, replica by replica.
 * @param pythonPath folder of the workers' code
 */
export function planRanks(config: ServeConfig, env: Env, pythonPath: string): PlannedRank[] {
  return config.models.flatMap((model) => {
    const worldSize = model.tensorParallel * model.pipelineParallel;
    const name = model.servedNames[0] ?? model.model;
    const base = engineEnvironment(env, pythonPath, config.logLevel);
    return Array.from({ length: model.dataParallel * worldSize }, (_, index) => {
      const replica = Math.floor(index / worldSize);
      const rank = index % worldSize;
      const device = model.devices[index] ?? null;
      const own = rankEnvironment(
        {
          instance: '(of the start)',
          gang: `${name}/${replica}`,
          epoch: 1,
          rank,
          localRank: rank,
          worldSize,
          masterAddr: '127.0.0.1',
          masterPort: 0,
          device,
        },
        env,
      );
      const port = { MASTER_PORT: worldSize === 1 ? '0' : '(of the rendezvous)' };
      return {
        model: name,
        replica,
        rank,
        worldSize,
        device,
        environment: shown({ ...base, ...own, ...port }, new Set(Object.keys(own))),
      };
    });
  });
}

function shown(env: Readonly<Record<string, string>>, own: ReadonlySet<string>): Record<string, string> {
  const names = Object.keys(env).filter(
    (name) => own.has(name) || name.startsWith('TWINKLE_') || INTERESTING.test(name),
  );
  return Object.fromEntries(names.sort().map((name) => [name, maskSecret(name, env[name] ?? '')]));
}

/** `***` when the name says that the value is a secret. */
export function maskSecret(name: string, value: string): string {
  return SECRET.test(name) && value !== '' ? '***' : value;
}
