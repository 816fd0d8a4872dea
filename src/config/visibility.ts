/**
 * Which devices the environment offers: CUDA_VISIBLE_DEVICES, NVIDIA_VISIBLE_DEVICES, ASCEND_RT_VISIBLE_DEVICES. Pure.
 * Indexes are the vendor's own order (PCI bus), as in `DeviceInfo.index`.
 */
import type { DeviceInfo } from '../native/types.js';

type Env = Readonly<Record<string, string | undefined>>;

/** What is offered, in the order of the mask, and which variable hides the rest. */
export interface Offer {
  readonly devices: readonly DeviceInfo[];
  /** `CUDA_VISIBLE_DEVICES=2,3` when it hides something, else null. */
  readonly hiddenBy: string | null;
}

/**
 * Apply the masks to the devices of one kind.
 *
 * - CUDA_VISIBLE_DEVICES / ASCEND_RT_VISIBLE_DEVICES: indexes or uuids (a prefix is enough); empty or -1 hides all; the list
 *   ends at the first entry that matches nothing, as in CUDA.
 * - NVIDIA_VISIBLE_DEVICES is an order to the container runtime, which has carried it out already: `all`, `void` and indexes
 *   (which count on the host) change nothing here, `none` hides all, uuids are kept to.
 */
export function offeredDevices(devices: readonly DeviceInfo[], kind: 'gpu' | 'npu', env: Env): Offer {
  const ofKind = devices.filter((device) => device.kind === kind);
  const container = kind === 'gpu' ? env.NVIDIA_VISIBLE_DEVICES : undefined;
  const afterContainer = container === undefined ? ofKind : containerMask(ofKind, container);
  const name = kind === 'gpu' ? 'CUDA_VISIBLE_DEVICES' : 'ASCEND_RT_VISIBLE_DEVICES';
  const mask = env[name];
  const offered = mask === undefined ? afterContainer : runtimeMask(afterContainer, mask);
  let hiddenBy: string | null = null;
  if (afterContainer.length < ofKind.length) hiddenBy = `NVIDIA_VISIBLE_DEVICES=${container}`;
  if (offered.length < afterContainer.length) hiddenBy = `${name}=${mask}`;
  return { devices: offered, hiddenBy };
}

function containerMask(devices: readonly DeviceInfo[], value: string): readonly DeviceInfo[] {
  if (value === 'none') return [];
  const entries = value.split(',').map((entry) => entry.trim());
  if (!entries.every((entry) => /^(GPU|MIG)-/i.test(entry))) return devices;
  return devices.filter((device) => entries.some((entry) => matchesUuid(device, entry)));
}

function runtimeMask(devices: readonly DeviceInfo[], value: string): readonly DeviceInfo[] {
  const chosen: DeviceInfo[] = [];
  for (const entry of value.split(',').map((part) => part.trim())) {
    const found = devices.find((device) =>
      /^\d+$/.test(entry) ? device.index === Number(entry) : matchesUuid(device, entry),
    );
    if (found === undefined || chosen.includes(found)) break;
    chosen.push(found);
  }
  return chosen;
}

/** Whether `text` is the uuid or a beginning of at least four letters of it. */
export function matchesUuid(device: DeviceInfo, text: string): boolean {
  return text.length >= 4 && device.uuid.toLowerCase().startsWith(text.toLowerCase());
}
