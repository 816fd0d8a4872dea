/**
 * From `--gpus`, `--npus`, `--cpu` and the device report to the devices of the ranks. Pure: the report is given.
 * Every refusal says what is there and why the rest is not.
 */
import { TwinkleError } from '../errors.js';
import type { DeviceInfo, DeviceReport } from '../native/types.js';
import { whyNotLoaded } from '../util/absent-library.js';
import { parseRanges } from '../util/ranges.js';
import type { DeviceChoice } from './types.js';
import { matchesUuid, type Offer, offeredDevices } from './visibility.js';

type Env = Readonly<Record<string, string | undefined>>;

/** What was asked for. */
export interface DeviceWish {
  readonly kind: 'gpu' | 'npu';
  /** The list as written, or null: choose the first free ones. */
  readonly list: string | null;
  /** `--gpus`, `TWINKLE_GPUS`, … */
  readonly name: string;
  /** Ranks that need one device each. */
  readonly ranks: number;
  /** `tp 2 × pp 1 × dp 2`, for messages. */
  readonly shape: string;
}

/** Devices of the ranks, and what the user should hear about them. */
export interface DeviceResult {
  readonly devices: readonly DeviceChoice[];
  readonly warnings: readonly string[];
}

/**
 * Devices for the wish, one for each rank, in the order written.
 * @throws `DEVICE_MISSING` when a named device cannot be had, `INFEASIBLE` when the number does not fit the ranks
 */
export function chooseDevices(wish: DeviceWish, report: DeviceReport, env: Env): DeviceResult {
  const offer = offeredDevices(report.devices, wish.kind, env);
  if (wish.list === null) return { devices: firstFree(wish, offer), warnings: [] };
  const named = resolveNames(wish, wish.list, offer, report);
  if (named.length !== wish.ranks) {
    throw new TwinkleError(
      'INFEASIBLE',
      `expected ${wish.ranks} ${plural(wish.kind, wish.ranks)} for ${wish.ranks} ${wish.ranks === 1 ? 'rank' : 'ranks'} ` +
        `(${wish.shape}) but \`${wish.name}\` names ${named.length}; each rank gets one device: ` +
        `name ${wish.ranks}, or set -tp, -pp or -dp so that they multiply to ${named.length}`,
      { details: { ranks: wish.ranks, devices: named.length } },
    );
  }
  return { devices: named.map(choice), warnings: named.flatMap(complaints) };
}

function resolveNames(wish: DeviceWish, list: string, offer: Offer, report: DeviceReport): DeviceInfo[] {
  const entries = list.split(',').map((entry) => entry.trim());
  const byIndex = entries.every((entry) => /^[\d-]*$/.test(entry));
  const keys: (number | string)[] = byIndex ? parseRanges(list, wish.name) : entries.map(indexOrUuid);
  return keys.map((key, position) => {
    const matches = (device: DeviceInfo): boolean =>
      typeof key === 'number' ? device.index === key : matchesUuid(device, key);
    const found = offer.devices.filter(matches);
    if (found.length > 1) {
      throw new TwinkleError(
        'CONFIG_INVALID',
        `"${key}" of \`${wish.name}\` begins more than one uuid (${found.map((device) => device.uuid).join(', ')}); write more of it`,
      );
    }
    const device = found[0];
    if (device === undefined) {
      const hidden = report.devices.some((candidate) => candidate.kind === wish.kind && matches(candidate));
      throw missing(wish, String(key), hidden ? offer.hiddenBy : null, offer, report);
    }
    if (keys.slice(0, position).some((earlier) => earlier === device.index || earlier === device.uuid)) {
      throw new TwinkleError('CONFIG_INVALID', `\`${wish.name}\` names ${wish.kind} ${key} twice`);
    }
    return device;
  });
}

function indexOrUuid(entry: string): number | string {
  return /^\d+$/.test(entry) ? Number(entry) : entry;
}

function firstFree(wish: DeviceWish, offer: Offer): DeviceChoice[] {
  const free = offer.devices.filter((device) => complaints(device).length === 0);
  if (free.length < wish.ranks) {
    const flag = `--${wish.kind}s`;
    const taken = offer.devices.flatMap(complaints);
    throw new TwinkleError(
      'INFEASIBLE',
      `expected ${wish.ranks} free ${plural(wish.kind, wish.ranks)} (${wish.shape}) but ${free.length} of ${offer.devices.length} are` +
        `${taken.length === 0 ? '' : `: ${taken.join('; ')}`}; ` +
        `set smaller -tp, -pp or -dp, name devices with ${flag} to share them, or say --cpu`,
      { details: { ranks: wish.ranks, free: free.length } },
    );
  }
  return free.slice(0, wish.ranks).map(choice);
}

/** The error for a device that cannot be had: what is there, and why each vendor library is absent. */
function missing(
  wish: DeviceWish,
  key: string,
  hiddenBy: string | null,
  offer: Offer,
  report: DeviceReport,
): TwinkleError {
  const there =
    offer.devices.length === 0
      ? `there is no ${wish.kind.toUpperCase()} here`
      : `there ${offer.devices.length === 1 ? 'is' : 'are'} ${offer.devices.map(describeDevice).join(', ')}`;
  const reasons = report.libraries
    .filter((library) => !library.loaded)
    .map((library) => `${library.library}: ${whyNotLoaded(library.reason)}`);
  return new TwinkleError(
    'DEVICE_MISSING',
    `no ${wish.kind.toUpperCase()} "${key}" for \`${wish.name}\`` +
      `${hiddenBy === null ? '' : ` (${hiddenBy} hides it)`}: ${there}` +
      `${reasons.length === 0 ? '' : `; not in use: ${reasons.join('; ')}`}; ` +
      'run `twinkle-node list devices`, or say --cpu',
    { details: { missing: key, offered: offer.devices.map((device) => device.uuid) } },
  );
}

/** `gpu 0 (NVIDIA H100, GPU-1234…)`. */
export function describeDevice(device: DeviceInfo): string {
  return `${device.kind} ${device.index} (${device.name}, ${device.uuid})`;
}

function complaints(device: DeviceInfo): string[] {
  const pids = device.processes.map((holder) => holder.pid);
  return [
    ...(pids.length === 0 ? [] : [`${device.kind} ${device.index} is held by pid ${pids.join(', ')}`]),
    ...(device.health === 'ok' ? [] : [`${device.kind} ${device.index} reports ${device.health}`]),
  ];
}

function choice(device: DeviceInfo): DeviceChoice {
  return { kind: device.kind, index: device.index, uuid: device.uuid };
}

function plural(kind: string, count: number): string {
  return `${kind.toUpperCase()}${count === 1 ? '' : 's'}`;
}
