/**
 * The ranks that train the models of a head: on devices of their own from the start, or where the model's replicas are, from the first run on.
 */
import type { TrainingConfig } from '../config/types.js';
import { TwinkleError } from '../errors.js';
import type { Logger } from '../observability/logger.js';
import { draining } from '../serving/refusals.js';
import { modelState } from '../serving/replica.js';
import type { Gang } from '../supervisor/gang.js';
import type { RankPlace } from '../supervisor/rank-environment.js';
import type { Trainer, TrainerHost } from '../training/trainer.js';
import type { NewRun } from '../training/types.js';
import type { BuiltModel } from './build-model.js';
import { releaseMemory, trainerOver } from './ranks-that-train.js';
import { checkSamplable } from './samplable-run.js';
import type { RunStatus, TrainerStatus } from './types.js';

/** Share of a device that engine vllm takes unless told otherwise, and one over which little is left to train with. */
const VLLM_TAKES = 0.9;
const MUCH = 0.5;

export class TrainerGangs implements TrainerHost {
  readonly #models: readonly BuiltModel[];
  /** Of those that were ever started. */
  readonly #gangs = new Map<BuiltModel, Gang>();
  /** Those that are ending, though the head goes on. */
  readonly #closing = new Map<BuiltModel, Promise<void>>();
  /** Of the ranks that run now. */
  readonly #trainers = new WeakMap<Gang, { readonly epoch: number; readonly trainer: Trainer }>();

  constructor(
    models: readonly BuiltModel[],
    private readonly config: TrainingConfig,
    private readonly log: Logger,
  ) {
    this.#models = models;
  }

  /** Start those that have devices of their own. */
  startOwn(): void {
    if (this.config.devices === null) {
      for (const model of this.#models) if (model.trainer !== null) this.#sayWhatIsLeft(model);
      return;
    }
    for (const model of this.#models) if (model.trainer !== null) this.#started(model, model.trainer);
  }

  /** Engine vllm takes its memory at once: who wants to train beside it should hear of that before the first run fails. */
  #sayWhatIsLeft({ config, turns = null }: BuiltModel): void {
    const { engine, engineArgs, placement, servedNames } = config;
    if (engine !== 'vllm' || placement.accelerator === null || turns !== null) return;
    const { gpu_memory_utilization = VLLM_TAKES } = engineArgs;
    if (Number(gpu_memory_utilization) <= MUCH) return;
    const advice = 'to train on the same GPUs lower --gpu-memory-utilization or say --sleep-while-training';
    this.log.info({ model: servedNames[0], gpu_memory_utilization, advice }, 'training_shares_devices');
  }

  async stop(): Promise<void> {
    for (const { turns } of this.#models) turns?.[Symbol.dispose]();
    await Promise.all([...this.#gangs.values()].map((gang) => gang.stop()));
  }

  trains(model: string): boolean {
    return this.#find(model)?.trainer != null;
  }

  checkRun(model: string, run: Pick<NewRun, 'rank' | 'unembed'>): void {
    const built = this.#find(model);
    if (built !== undefined) checkSamplable(built.config, run);
  }

  folder(model: string): string {
    return this.#find(model)?.config.model ?? model;
  }

  async open(model: string): Promise<Trainer> {
    const built = this.#find(model);
    if (built === undefined || built.trainer === null)
      throw new TwinkleError('UNSUPPORTED_PARAMETER', `model \`${model}\` cannot be trained here`);
    await this.#closing.get(built);
    const { trainer: make, turns = null } = built;
    const start = async (): Promise<Gang> => {
      const gang = this.#started(built, make);
      await ready(gang, model);
      return gang;
    };
    const there = this.#gangs.get(built)?.state.at === 'ready';
    // While it is loaded replicas sleep, too.
    return this.#trainerOf(await (turns === null || there ? start() : turns.train(start)), turns);
  }

  paused(model: string): string | null {
    const turns = this.#find(model)?.turns ?? null;
    if (turns === null || turns.waitingToTrain === 0 || turns.phase === 'training') return null;
    return `the replicas of ${model} have the devices now: it is trained when its turn comes`;
  }

  close(model: string): void {
    const built = this.#find(model);
    const gang = built === undefined ? undefined : this.#gangs.get(built);
    if (built === undefined || gang === undefined || this.config.devices !== null) return;
    this.#closing.set(
      built,
      gang.stop().finally(() => this.#closing.delete(built)),
    );
  }

  #started(built: BuiltModel, make: NonNullable<BuiltModel['trainer']>): Gang {
    const known = this.#gangs.get(built);
    if (known !== undefined) {
      known.start();
      return known;
    }
    const places = placesOf(built, this.config);
    const gang = make(places.length);
    watch(gang, this.log);
    if (built.turns != null) built.turns.release = () => releaseMemory(gang);
    this.#gangs.set(built, gang);
    gang.start(places);
    return gang;
  }

  /** Of those that were ever started. @param runs of the service */
  status(runs: readonly RunStatus[]): readonly TrainerStatus[] {
    return [...this.#gangs].map(([{ config }, trainer]) => {
      const { epoch, pids, places, restarts, state } = trainer;
      const model = config.servedNames[0] ?? '';
      return {
        model,
        state: modelState(trainer),
        reason: 'failure' in state ? (state.failure?.message ?? null) : null,
        epoch,
        restarts,
        pids,
        devices: pids.map((_, rank) => places[rank]?.device?.uuid ?? 'cpu'),
        runs: runs.filter((run) => run.model === model && run.state === 'ready').length,
      };
    });
  }

  #find(model: string): BuiltModel | undefined {
    return this.#models.find(({ config }) => config.servedNames.includes(model));
  }

  #trainerOf(gang: Gang, turns: BuiltModel['turns'] = null): Trainer {
    const { epoch } = gang;
    const known = this.#trainers.get(gang);
    if (known?.epoch === epoch) return known.trainer;
    const trainer = trainerOver(gang, turns);
    this.#trainers.set(gang, { epoch, trainer });
    return trainer;
  }
}

/** One rank on each device; on CPUs as many as were asked for. Replicas that share a device give one rank. */
function placesOf({ gangs }: BuiltModel, { devices: own, ranks }: TrainingConfig): readonly RankPlace[] {
  const shared = gangs.flatMap(({ gang }) => gang.places).flatMap(({ device }) => (device === null ? [] : [device]));
  const devices = own ?? [...new Map(shared.map((device) => [device.uuid, device])).values()];
  if (devices.length === 0) return Array.from({ length: ranks ?? 1 }, (_, localRank) => ({ localRank, device: null }));
  return devices.slice(0, ranks ?? devices.length).map((device, localRank) => ({ localRank, device }));
}

function watch(gang: Gang, log: Logger): void {
  const { id } = gang.spec;
  gang.events.on('change', () => log.info({ gang: id, epoch: gang.epoch, state: gang.state.at }, 'gang_state'));
  gang.events.on('incident', (failure, incident) =>
    log.error({ gang: id, epoch: gang.epoch, ...failure, incident }, 'gang_failed'),
  );
}

/** Resolves when the ranks are up. @throws why they will not be */
async function ready(gang: Gang, model: string): Promise<void> {
  const settled = (): boolean => ['ready', 'failed', 'stopped'].includes(gang.state.at);
  if (!settled()) {
    await new Promise<void>((resolve) => {
      const stop = gang.events.on('change', () => {
        if (!settled()) return;
        stop();
        resolve();
      });
    });
  }
  const { state } = gang;
  if (state.at === 'ready') return;
  if (state.at !== 'failed') throw draining();
  throw new TwinkleError(
    'GANG_FAILED',
    `the ranks that train \`${model}\` cannot be started: ${state.failure.message}`,
  );
}
