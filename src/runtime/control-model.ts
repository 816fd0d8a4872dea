/** What must reach every replica of one model: its adapters, its operator's orders, and the gangs that are told before they serve. Wiring only. */
import type { ModelConfig } from '../config/types.js';
import type { Logger } from '../observability/logger.js';
import { adapterSource } from '../serving/adapter-folder.js';
import { ModelAdapters } from '../serving/adapters.js';
import { ControlledModel } from '../serving/fleet-control.js';
import type { ModelService } from '../serving/model-service.js';
import { OperatorOrders } from '../serving/operator-orders.js';
import { PreparedGang } from '../serving/prepared-gang.js';
import type { PlacedGang } from './placed-gang.js';

export interface ModelControl {
  /** By replica: what serving sees instead of the gangs. */
  readonly gangs: readonly PreparedGang[];
  /** The model as operators see it. To be called once, with the service over these gangs. */
  controlled(service: ModelService): ControlledModel;
}

/** @param ids of the replicas, by gang */
export function controlModel(
  config: ModelConfig,
  placed: readonly PlacedGang[],
  ids: readonly string[],
  log: Logger,
): ModelControl {
  const { lora, servedNames } = config;
  const orders = new OperatorOrders();
  let service: ModelService | null = null;
  const adapters = new ModelAdapters({
    models: servedNames,
    source: lora?.dynamicPath == null ? null : adapterSource(lora.dynamicPath),
    max: lora?.maxAdaptersPerReplica ?? Number.POSITIVE_INFINITY,
    fixed: fixedAdapters(config.engineArgs.lora_modules),
    open: () => gangs.flatMap(({ replica }) => replica ?? []),
    asleep: () => orders.asleep,
    lost: (adapter, reason) => log.warn({ model: servedNames[0], adapter, reason }, 'adapter_lost'),
  });
  const gangs: readonly PreparedGang[] = placed.map(
    (gang, at) =>
      new PreparedGang(gang, {
        id: ids[at] ?? '',
        upkeep: [adapters, orders],
        opened: () => service?.dispatch(),
        problem: (error) => log.error({ replica: ids[at], error: String(error) }, 'replica_out_of_step'),
      }),
  );
  return {
    gangs,
    controlled: (built) => {
      service = built;
      return new ControlledModel({
        names: servedNames,
        card: () => built.card,
        replicas: () => gangs.map(({ replica }) => replica),
        adapters,
        orders,
      });
    },
  };
}

/** vLLM's `--lora-modules`: `name=path`, or a JSON object with `name` and `path`. What it cannot read is vLLM's to refuse. */
export function fixedAdapters(written: unknown): { readonly name: string; readonly path: string }[] {
  const items: readonly unknown[] = Array.isArray(written) ? written : written === undefined ? [] : [written];
  return items.flatMap((item) => {
    const { name, path } = typeof item === 'string' ? readModule(item) : ((item ?? {}) as Record<string, unknown>);
    return typeof name === 'string' && typeof path === 'string' ? [{ name, path }] : [];
  });
}

function readModule(text: string): Record<string, unknown> {
  const equals = text.indexOf('=');
  if (!text.trimStart().startsWith('{')) return { name: text.slice(0, equals), path: text.slice(equals + 1) };
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
}
