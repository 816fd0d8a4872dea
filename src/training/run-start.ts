/** How a run begins on its ranks: anew, or from what was saved. */
import { PLAIN_LORA } from './plain-lora.js';
import type { Run } from './run.js';
import type { Trainer } from './trainer.js';

/** What a run goes on from. */
export interface Start {
  readonly folder: string;
  readonly optimizer: boolean;
  /** Has the folder brought here. Null: it is. */
  bring(): Promise<unknown> | null;
}

/** @param from null: it is new */
export async function beginRun(
  trainer: Trainer,
  { id: run, spec: { attn, lora = PLAIN_LORA, mlp, rank, seed, unembed } }: Pick<Run, 'id' | 'spec'>,
  from: Start | null,
): Promise<unknown> {
  if (from !== null) return await trainer.call('train_load', { run, folder: from.folder, optimizer: from.optimizer });
  const { targets, ...scale } = lora;
  const options = { ...scale, targets: targets === null ? null : [...targets] };
  const parts = { train_attn: attn, train_mlp: mlp, train_unembed: unembed };
  return await trainer.call('train_create', { run, rank, seed, ...parts, ...options });
}
