/** What a host needs of the ranks that train one model, whoever gives them their places; and what all such ranks have. */
import { TwinkleError } from '../errors.js';
import type { Logger } from '../observability/logger.js';
import { draining } from '../serving/refusals.js';
import { modelState } from '../serving/replica.js';
import type { Gang } from '../supervisor/gang.js';
import type { GangState } from '../supervisor/gang-machine.js';
import type { ModelLimits, Trainer } from '../training/trainer.js';
import type { DeviceTurns } from './device-turns.js';
import { trainerOver } from './ranks-that-train.js';
import type { RunStatus, TrainerStatus } from './types.js';

export interface ModelTrainer {
  /** Names of the model. */
  readonly names: readonly string[];
  /** Folder or id that the model comes from. */
  readonly folder: string;
  /** What the model has for itself; null: what is said of training in general. */
  readonly limits: ModelLimits | null;
  /** Null: it was never started. */
  readonly gang: Gang | null;
  /** Where they are given their place and may lose it; absent: the gang alone knows. */
  readonly state?: GangState;
  /** Resolves when they are up. @throws why they will not be */
  open(): Promise<Trainer>;
  /** Nobody trains: they may end. */
  close(): void;
  /** Why what is to be trained waits; null: it does not wait for devices. */
  paused(): string | null;
  stop(): Promise<void>;
}

/** As people see it; null: it was never started. @param runs of all models */
export function trainerStatus(trainer: ModelTrainer, runs: readonly RunStatus[]): TrainerStatus | null {
  const { gang, names } = trainer;
  if (gang === null) return null;
  const { card, epoch, pids, places, restarts } = gang;
  const { state = gang.state } = trainer;
  const model = names[0] ?? '';
  return {
    model,
    state: modelState({ card, epoch, state }),
    reason: 'failure' in state ? (state.failure?.message ?? null) : null,
    epoch,
    restarts,
    pids,
    devices: pids.map((_, rank) => places[rank]?.device?.uuid ?? 'cpu'),
    runs: runs.filter((run) => run.model === model && run.state === 'ready').length,
  };
}

/** Gives the same trainer for as long as the gang's ranks are the same. */
export class EpochTrainer {
  #known: { readonly epoch: number; readonly trainer: Trainer } | null = null;

  of(gang: Gang, turns: DeviceTurns | null = null): Trainer {
    const { epoch } = gang;
    if (this.#known?.epoch !== epoch) this.#known = { epoch, trainer: trainerOver(gang, turns) };
    return this.#known.trainer;
  }
}

/** Have what happens to them logged. */
export function logGang(gang: Gang, log: Logger): void {
  const { id } = gang.spec;
  gang.events.on('change', () => log.info({ gang: id, epoch: gang.epoch, state: gang.state.at }, 'gang_state'));
  gang.events.on('incident', (failure, incident) =>
    log.error({ gang: id, epoch: gang.epoch, ...failure, incident }, 'gang_failed'),
  );
}

/** What is waited for. */
export interface WatchedRanks {
  readonly state: GangState;
  /** Listen for changes of it; returns how to stop. */
  onChange(listener: () => void): () => void;
}

/** Resolves when the ranks are up. @throws why they will not be */
export async function ranksReady(ranks: WatchedRanks, model: string): Promise<void> {
  const settled = (): boolean => ['ready', 'failed', 'stopped'].includes(ranks.state.at);
  if (!settled()) {
    await new Promise<void>((resolve) => {
      const stop = ranks.onChange(() => {
        if (!settled()) return;
        stop();
        resolve();
      });
    });
  }
  const { state } = ranks;
  if (state.at === 'ready') return;
  if (state.at !== 'failed') throw draining();
  throw cannotStart(model, state.failure.message);
}

/** @param why in the words of the failure @param details for programs that embed the server */
export function cannotStart(
  model: string,
  why: string,
  code: 'GANG_FAILED' | 'LOAD_FAILED' | 'PYTHON_ENV' = 'GANG_FAILED',
  details: Readonly<Record<string, unknown>> = {},
): TwinkleError {
  return new TwinkleError(code, `the ranks that train \`${model}\` cannot be started: ${why}`, { details });
}
