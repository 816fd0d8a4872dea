/** What a worker may see of its node's devices: their ids as Ray counts them, and the variables that hide the others. Pure. */
import type { SeatDevice } from '../cluster/api.js';
import type { Setup } from '../protocol/work.js';

export interface MaskRules {
  /** The number by which a vendor's runtime knows a device. */
  indexOf(device: SeatDevice): string;
  /** False: the user keeps that variable (`NOSET`). */
  mayMask(variable: string): boolean;
}

export interface Masked {
  /** Resource → ids of its devices. */
  readonly devices: Setup['devices'];
  readonly env: Readonly<Record<string, string>>;
}

/** Variables that hide devices from a vendor's runtime, by resource. */
const MASKS: Readonly<Record<string, string>> = { GPU: 'CUDA_VISIBLE_DEVICES', NPU: 'ASCEND_RT_VISIBLE_DEVICES' };

export function masked(held: readonly SeatDevice[], { indexOf, mayMask }: MaskRules): Masked {
  const devices: Record<string, string[]> = {};
  const env: Record<string, string> = {};
  for (const device of held) {
    devices[device.resource] = [...(devices[device.resource] ?? []), String(device.instance)];
    const mask = MASKS[device.resource];
    if (mask === undefined || !mayMask(mask)) continue;
    env[mask] = env[mask] === undefined ? indexOf(device) : `${env[mask]},${indexOf(device)}`;
  }
  return { devices, env };
}
