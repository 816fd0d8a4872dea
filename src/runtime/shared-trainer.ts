/**
 * The ranks that train a model which is served: on devices that the server was told of, from the start, or where the model's replicas are, from the
 * first run on.
 */
import type { TrainingConfig } from '../config/types.js';
import type { Logger } from '../observability/logger.js';
import type { Gang } from '../supervisor/gang.js';
import type { RankPlace } from '../supervisor/rank-environment.js';
import type { Trainer } from '../training/trainer.js';
import type { BuiltModel } from './build-model.js';
import { EpochTrainer, logGang, type ModelTrainer, ranksReady } from './model-trainer.js';
import { releaseMemory } from './ranks-that-train.js';

/** Share of a device that engine vllm takes unless told otherwise, and one over which little is left to train with. */
const VLLM_TAKES = 0.9;
const MUCH = 0.5;

/** A served model that can be trained. */
export type TrainableModel = BuiltModel & { readonly trainer: NonNullable<BuiltModel['trainer']> };

export class SharedTrainer implements ModelTrainer {
  readonly limits = null;
  gang: Gang | null = null;
  /** Until they are gone, though the head goes on. */
  #closing: Promise<void> | null = null;
  readonly #trainer = new EpochTrainer();

  constructor(
    private readonly built: TrainableModel,
    private readonly config: TrainingConfig,
    private readonly log: Logger,
  ) {}

  get names(): readonly string[] {
    return this.built.config.servedNames;
  }

  get folder(): string {
    return this.built.config.model;
  }

  /** Start them if they have devices of their own. */
  startOwn(): void {
    if (this.config.devices === null) this.#sayWhatIsLeft();
    else this.#started();
  }

  async open(): Promise<Trainer> {
    await this.#closing;
    const { turns = null } = this.built;
    const start = async (): Promise<Gang> => {
      const gang = this.#started();
      const onChange = (listener: () => void): (() => void) => gang.events.on('change', listener);
      const ranks = {
        get state() {
          return gang.state;
        },
        onChange,
      };
      await ranksReady(ranks, this.names[0] ?? '');
      return gang;
    };
    const there = this.gang?.state.at === 'ready';
    // While it is loaded replicas sleep, too.
    return this.#trainer.of(await (turns === null || there ? start() : turns.train(start)), turns);
  }

  paused(): string | null {
    const { turns = null } = this.built;
    if (turns === null || turns.waitingToTrain === 0 || turns.phase === 'training') return null;
    return `the replicas of ${this.names[0] ?? ''} have the devices now: it is trained when its turn comes`;
  }

  close(): void {
    if (this.gang === null || this.config.devices !== null) return;
    const closing: Promise<void> = this.gang.stop().finally(() => {
      if (this.#closing === closing) this.#closing = null;
    });
    this.#closing = closing;
  }

  async stop(): Promise<void> {
    await this.gang?.stop();
  }

  /** Engine vllm takes its memory at once: who wants to train beside it should hear of that before the first run fails. */
  #sayWhatIsLeft(): void {
    const { config, turns = null } = this.built;
    const { engine, engineArgs, placement, servedNames } = config;
    if (engine !== 'vllm' || placement.accelerator === null || turns !== null) return;
    const { gpu_memory_utilization = VLLM_TAKES } = engineArgs;
    if (Number(gpu_memory_utilization) <= MUCH) return;
    const advice = 'to train on the same GPUs lower --gpu-memory-utilization or say --sleep-while-training';
    this.log.info({ model: servedNames[0], gpu_memory_utilization, advice }, 'training_shares_devices');
  }

  #started(): Gang {
    if (this.gang !== null) {
      this.gang.start();
      return this.gang;
    }
    const places = placesOf(this.built, this.config);
    const gang = this.built.trainer(places.length);
    logGang(gang, this.log);
    if (this.built.turns != null) this.built.turns.release = () => releaseMemory(gang);
    this.gang = gang;
    gang.start(places);
    return gang;
  }
}

/** One rank on each device; on CPUs as many as were asked for. Replicas that share a device give one rank. */
function placesOf({ gangs }: BuiltModel, { devices: own, ranks }: TrainingConfig): readonly RankPlace[] {
  const shared = gangs.flatMap(({ gang }) => gang.places).flatMap(({ device }) => (device === null ? [] : [device]));
  const devices = own ?? [...new Map(shared.map((device) => [device.uuid, device])).values()];
  if (devices.length === 0) return Array.from({ length: ranks ?? 1 }, (_, localRank) => ({ localRank, device: null }));
  return devices.slice(0, ranks ?? devices.length).map((device, localRank) => ({ localRank, device }));
}
