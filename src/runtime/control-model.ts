/** What must reach every replica of one model: its adapters, its operator's orders, and the gangs that are told before they serve. Wiring only. */
import type { ModelConfig } from '../config/types.js';
import type { Logger } from '../observability/logger.js';
import { ModelAdapters } from '../serving/adapters.js';
import type { OpenReplica } from '../serving/broadcast.js';
import type { BucketAdapters } from '../serving/bucket/bucket-adapters.js';
import { ControlledModel } from '../serving/fleet-control.js';
import { HiddenAdapters } from '../serving/hidden-adapters.js';
import type { ModelService } from '../serving/model-service.js';
import { ModelWeights } from '../serving/model-weights.js';
import { OperatorOrders } from '../serving/operator-orders.js';
import { PreparedGang } from '../serving/prepared-gang.js';
import type { DeviceTurns } from './device-turns.js';
import { fixedAdapters } from './fixed-adapters.js';
import { modelTurns } from './model-turns.js';
import type { PlacedGang } from './placed-gang.js';
import { SharedSegments } from './shared-segments.js';

export interface ModelControl {
  /** By replica: what serving sees instead of the gangs. */
  readonly gangs: readonly PreparedGang[];
  /** On devices that they share with the ranks that train; null: they keep theirs. */
  readonly turns: DeviceTurns | null;
  /** The model as operators see it. To be called once, with the service over these gangs. */
  controlled(service: ModelService): ControlledModel;
}

/**
 * @param ids of the replicas, by gang
 * @param buckets by which adapters come that lie on no disk of this machine
 * @param takesTurns whether replicas sleep while it is trained
 */
export function controlModel(
  config: ModelConfig,
  placed: readonly PlacedGang[],
  ids: readonly string[],
  log: Logger,
  buckets: BucketAdapters,
  takesTurns = false,
): ModelControl {
  const { lora, servedNames } = config;
  const orders = new OperatorOrders();
  let service: ModelService | null = null;
  const open = (): readonly OpenReplica[] => gangs.flatMap(({ replica }) => replica ?? []);
  const asleep = (): boolean => orders.asleep;
  const lost = (adapter: string, reason: string): void =>
    log.warn({ model: servedNames[0], adapter, reason }, 'adapter_lost');
  const turned = takesTurns
    ? modelTurns({ placed, ids, log, orders, service: () => service, gangs: () => gangs })
    : null;
  const inTurn = turned === null ? {} : { inTurn: <T>(job: () => Promise<T>) => turned.turns.sample(job) };
  const adapters = new ModelAdapters({
    models: servedNames,
    source: lora?.dynamicPath == null ? null : buckets.source(lora.dynamicPath),
    localise: (adapter, path) => buckets.localise(adapter, path),
    max: lora?.maxAdaptersPerReplica ?? Number.POSITIVE_INFINITY,
    fixed: fixedAdapters(config.engineArgs.lora_modules),
    open,
    asleep,
    lost,
    ...inTurn,
  });
  const hidden = new HiddenAdapters({ open, asleep, lost, ...inTurn });
  const weights = new ModelWeights({
    open,
    asleep,
    ...inTurn,
    segments: new SharedSegments(placed.map(({ gang }) => gang)),
    refused: (replica, reason) => log.error({ replica, reason }, 'weights_refused'),
  });
  const gangs: readonly PreparedGang[] = placed.map(
    (gang, at) =>
      new PreparedGang(gang, {
        id: ids[at] ?? '',
        upkeep: [...(turned === null ? [] : [turned.gate]), weights, adapters, hidden, orders],
        opened: () => {
          service?.dispatch();
          turned?.turns.look();
        },
        problem: (error) => log.error({ replica: ids[at], error: String(error) }, 'replica_out_of_step'),
      }),
  );
  return {
    gangs,
    turns: turned?.turns ?? null,
    controlled: (built) => {
      service = built;
      if (turned !== null) built.onChange = () => turned.turns.look();
      return new ControlledModel({
        names: servedNames,
        card: () => built.card,
        replicas: () => gangs.map(({ replica }) => replica),
        ...(turned === null ? {} : { engines: turned.engines, paused: turned.paused, turn: turned.turn }),
        ...inTurn,
        adapters,
        hidden,
        orders,
        weights,
      });
    },
  };
}
