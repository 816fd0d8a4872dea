/** One configured model → its gangs, its replicas and the service in front of them. Where the gangs run comes later. Wiring only. */
import type { EngineName, ModelConfig } from '../config/types.js';
import { ENGINE_SPECS } from '../engines/specs.js';
import type { Logger } from '../observability/logger.js';
import type { BucketAdapters } from '../serving/bucket/bucket-adapters.js';
import type { ControlledModel } from '../serving/fleet-control.js';
import { ModelService } from '../serving/model-service.js';
import { Replica } from '../serving/replica.js';
import { Gang } from '../supervisor/gang.js';
import type { GangSpec } from '../supervisor/launch-ranks.js';
import type { RankLauncher } from '../supervisor/launcher.js';
import { controlModel } from './control-model.js';
import type { DeviceTurns } from './device-turns.js';
import { type GangContext, gangGround } from './gang-ground.js';
import { PlacedGang } from './placed-gang.js';

export interface BuiltModel {
  readonly config: ModelConfig;
  /** By replica. */
  readonly gangs: readonly PlacedGang[];
  readonly service: ModelService;
  /** Other models may have the same. */
  readonly launcher: RankLauncher;
  /** Makes the ranks that train it, so many of them; null: it cannot be trained. */
  readonly trainer: ((ranks: number) => Gang) | null;
  /** On devices that its replicas share with the ranks that train it; null or absent: its replicas keep theirs. */
  readonly turns?: DeviceTurns | null;
  /** What must reach every replica. */
  readonly control: ControlledModel;
}

export interface BuildContext extends GangContext {
  readonly maxQueue: number;
  /** Whether replicas of models that can be trained sleep meanwhile. */
  readonly sleepWhileTraining: boolean;
  readonly shardTraining: boolean;
  readonly log: Logger;
  readonly buckets: BucketAdapters;
  /** False: it is not trained, or by ranks in a group of their own. */
  readonly trainable: boolean;
}

/** What an engine that is split over ranks, and answers in the model's name, must be told beside its arguments. */
function shapeArgs(config: ModelConfig): Record<string, unknown> {
  return {
    served_model_name: [...config.servedNames],
    ...(config.tensorParallel > 1 ? { tensor_parallel_size: config.tensorParallel } : {}),
    ...(config.pipelineParallel > 1 ? { pipeline_parallel_size: config.pipelineParallel } : {}),
  };
}

/** The engine of the ranks that train a model; null: none can. What vLLM could not sample from is not worth training here. */
function trainerOf({ engine, engineArgs }: ModelConfig): string | null {
  if (engine === 'mock') return 'mock';
  return engine === 'transformers' || engineArgs.enable_lora === true ? 'training' : null;
}

/** Arguments of vLLM that say how a model is to be read, which ranks that train it must know, too. */
const SHARED_ARGS: Partial<Record<EngineName, readonly string[]>> = {
  vllm: ['dtype', 'revision', 'trust_remote_code', 'max_model_len'],
};

/** Arguments that the engine is loaded with. */
const options = ({ engineArgs, maxModelLen }: ModelConfig): Record<string, unknown> => ({
  ...engineArgs,
  ...(maxModelLen === null ? {} : { max_model_len: maxModelLen }),
});

export function buildModel(config: ModelConfig, context: BuildContext): BuiltModel {
  const name = config.servedNames[0] ?? config.model;
  const { dependencies, launcher, patience } = gangGround(config, context);
  const { drives } = ENGINE_SPECS[config.engine];
  const worldSize = config.tensorParallel * config.pipelineParallel;
  const gangs = Array.from({ length: config.dataParallel }, (_, replica) => {
    const spec: GangSpec = {
      id: `${name}/${replica}`,
      engine: config.engine,
      worldSize,
      ownEngine: drives && worldSize > 1,
      sharedMask: drives,
      load: {
        model: config.model,
        options: { ...options(config), ...(drives ? shapeArgs(config) : {}) },
      },
      ...patience,
    };
    return new PlacedGang(new Gang(spec, dependencies));
  });
  const engine = context.trainable ? trainerOf(config) : null;
  const shared = SHARED_ARGS[config.engine];
  const read = Object.entries(options(config)).filter(([arg]) => shared?.includes(arg) ?? true);
  // Engine mock has no weights.
  const shard = context.shardTraining && engine === 'training' ? { train_shard: true } : {};
  const load = { model: config.model, options: { ...Object.fromEntries(read), ...shard } };
  // Its code comes from the same libraries, so from the same template.
  const trainer =
    engine === null
      ? null
      : (worldSize: number): Gang =>
          new Gang(
            { id: `${name}/train`, engine, worldSize, ownEngine: false, sharedMask: false, load, ...patience },
            dependencies,
          );
  const ids = gangs.map(({ gang }) => gang.spec.id);
  const control = controlModel(
    config,
    gangs,
    ids,
    context.log,
    context.buckets,
    context.sleepWhileTraining && trainer !== null,
  );
  const replicas = gangs.map(
    (placed, at) =>
      new Replica(
        placed.gang.spec.id,
        control.gangs[at] ?? placed,
        () =>
          placed.gang.pids.map((pid, rank) => ({
            rank,
            pid,
            // The engine's own process has no device and no place.
            devices: placed.placed && rank < worldSize ? [placed.gang.places[rank]?.device?.uuid ?? 'cpu'] : [],
            log: dependencies.logPath(placed.gang.spec, rank),
          })),
        config.maxOngoing,
      ),
  );
  const service = new ModelService(
    {
      names: config.servedNames,
      created: Math.floor(Date.now() / 1000),
      maxQueue: config.maxQueued ?? context.maxQueue,
      routing: config.routing,
      fromZero: config.autoscaling?.min === 0,
      away: () => control.turns !== null && control.turns.phase !== 'sampling',
      nowMs: context.nowMs,
    },
    replicas,
  );
  return { config, gangs, service, launcher, trainer, turns: control.turns, control: control.controlled(service) };
}
