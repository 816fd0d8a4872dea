/** Who holds which device of this server: ranks of replicas, ranks that train, and on shared ones whose turn it is. Pure. */
import type { ServedModel } from '../serving/types.js';
import type { DeviceHolding, TrainerStatus } from './types.js';

/** By device, in the order of the models. CPUs are nobody's. */
export function deviceHolders(models: readonly ServedModel[], training: readonly TrainerStatus[]): DeviceHolding[] {
  const found = new Map<string, { -readonly [K in keyof DeviceHolding]: DeviceHolding[K] }>();
  const of = (device: string) => {
    const known = found.get(device) ?? { device, replicas: [], training: [] };
    found.set(device, known);
    return known;
  };
  for (const { replicas } of models) {
    for (const { id, ranks } of replicas) {
      for (const { devices, pid, rank } of ranks) {
        for (const device of devices.filter(isDevice)) {
          const holding = of(device);
          holding.replicas = [...holding.replicas, { replica: id, rank, pid }];
        }
      }
    }
  }
  for (const { devices, model, pids } of training) {
    const turn = models.find(({ names }) => names[0] === model)?.turn;
    devices.forEach((device, rank) => {
      const pid = pids[rank] ?? null;
      // Ranks that have ended hold nothing.
      if (!isDevice(device) || pid === null) return;
      const holding = of(device);
      holding.training = [...holding.training, { model, rank, pid }];
      if (turn !== undefined && holding.replicas.length > 0) holding.turn = turn.holder;
    });
  }
  return [...found.values()];
}

const isDevice = (name: string): boolean => name !== 'cpu';
