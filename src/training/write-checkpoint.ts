/** What the ranks have of a run, on disk: for its tenant alone, and for ever. Nobody knows of it before it is added. */
import type { CheckpointPath } from './checkpoint-path.js';
import type { Checkpoints } from './checkpoints.js';
import type { Run } from './run.js';
import type { Trainer } from './trainer.js';
import type { Checkpoint } from './types/checkpoints.js';

/** `all`: weights and optimizer; `weights`; `handed over`: weights for an engine on this machine alone. */
export type CheckpointContents = 'all' | 'weights' | 'handed over';

/** The ranks are asked within this call. @throws what they say */
export async function writeCheckpoint(
  checkpoints: Checkpoints,
  run: Run,
  path: CheckpointPath,
  trainer: Trainer,
  contents: CheckpointContents,
): Promise<Checkpoint> {
  const { tenant } = run.session;
  const folder = checkpoints.newFolder(tenant, path);
  const { bytes } = await trainer.call('train_save', {
    run: run.id,
    folder,
    optimizer: contents === 'all',
    handed_over: contents === 'handed over',
  });
  const { attn, baseModel, lora, mlp, rank, seed, unembed, userMetadata: runMetadata } = run.spec;
  const options = lora === undefined ? {} : { lora };
  return {
    path,
    tenant,
    folder,
    run: { baseModel, rank, seed, attn, mlp, unembed, ...options },
    runMetadata,
    time: Date.now(),
    bytes,
    expires: null,
    public: false,
    userMetadata: null,
  };
}
