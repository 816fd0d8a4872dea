/**
 * Which devices this machine offers to placement groups: from `--gpus`, `--npus`, the environment's masks and the device report. Pure: the
 * report is given. Who gets which of them is a group's business. Every refusal says what is there and why the rest is not.
 */
import { TwinkleError } from '../errors.js';
import type { DeviceInfo, DeviceLink, DeviceReport } from '../native/types.js';
import { whyNotLoaded } from '../util/absent-library.js';
import { parseRanges } from '../util/ranges.js';
import type { DeviceChoice, NodeConfig, OfferedDevice } from './types.js';
import { matchesUuid, type Offer, offeredDevices } from './visibility.js';

type Env = Readonly<Record<string, string | undefined>>;
type Kind = OfferedDevice['kind'];

/** Devices named by the user. */
export interface DeviceNames {
  readonly kind: Kind;
  /** As written: `0-3`, `3,1`, uuids. */
  readonly list: string;
  /** `--gpus`, `TWINKLE_GPUS`, … */
  readonly name: string;
  /** What the user may do instead, after "or": `say --cpu`. */
  readonly instead: string;
}

/** What is offered, and what the user should hear about it. */
export interface DeviceOffer extends Omit<NodeConfig, 'cpus'> {
  readonly warnings: readonly string[];
}

/**
 * Exactly the named devices, in the order written; busy or ill ones too, with a warning.
 * @throws `DEVICE_MISSING` when one cannot be had, `CONFIG_INVALID` when one is named twice or not clearly
 */
export function namedDevices(names: DeviceNames, report: DeviceReport, env: Env): DeviceOffer {
  const named = resolveNames(names, offeredDevices(report.devices, names.kind, env), report);
  return { ...offer(named, report), leftOut: [], warnings: named.flatMap(complaints) };
}

/**
 * What the environment shows of these kinds, without devices that are not well or, unless `busyToo`, held by somebody.
 * @param busyToo for a head: those who hold devices may be its own clients of before
 */
export function freeDevices(kinds: readonly Kind[], report: DeviceReport, env: Env, busyToo = false): DeviceOffer {
  const offers = kinds.map((kind) => offeredDevices(report.devices, kind, env));
  const all = offers.flatMap(({ devices }) => devices);
  const wrong = busyToo ? illness : complaints;
  const free = all.filter((device) => wrong(device).length === 0);
  const hidden = offers.flatMap(({ hiddenBy }) => (hiddenBy === null ? [] : [`${hiddenBy} hides devices`]));
  const absent = all.length > 0 ? [] : [`there is no ${kinds.join(' or ').toUpperCase()} here${notInUse(report)}`];
  return { ...offer(free, report), leftOut: [...all.flatMap(wrong), ...hidden, ...absent], warnings: [] };
}

/** What is offered, less devices that something else is for. */
export function withoutDevices(offered: DeviceOffer, taken: readonly DeviceChoice[]): DeviceOffer {
  if (taken.length === 0) return offered;
  const kept = offered.devices.flatMap(({ uuid }, at) => (taken.some((one) => one.uuid === uuid) ? [] : [at]));
  const links = offered.links.flatMap(({ a, b, kind, lanes }) => {
    const [first, second] = [kept.indexOf(a), kept.indexOf(b)];
    return first < 0 || second < 0 ? [] : [{ a: first, b: second, kind, lanes }];
  });
  const devices = offered.devices.filter((_, at) => kept.includes(at));
  const left = taken.map(({ index, kind }) => `${kind} ${index} trains`);
  return { ...offered, devices, links, leftOut: [...offered.leftOut, ...left] };
}

/** What any of several may use, once. Warnings are the caller's. */
export function mergeOffers(offers: readonly DeviceOffer[]): DeviceOffer {
  const devices: DeviceOffer['devices'][number][] = [];
  const links: DeviceOffer['links'][number][] = [];
  for (const offer of offers) {
    if (offer.devices.every(({ uuid }) => devices.some((known) => known.uuid === uuid))) continue;
    const from = devices.length;
    devices.push(...offer.devices);
    links.push(...offer.links.map(({ a, b, ...link }) => ({ a: a + from, b: b + from, ...link })));
  }
  return {
    devices,
    links,
    leftOut: [...new Set(offers.flatMap(({ leftOut }) => leftOut))],
    warnings: [],
  };
}

function offer(devices: readonly DeviceInfo[], report: DeviceReport): Pick<NodeConfig, 'devices' | 'links'> {
  const mixed = report.devices.some(({ kind }) => kind !== report.devices[0]?.kind);
  const position = new Map(devices.map((device, at) => [`${device.kind} ${device.index}`, at]));
  return {
    devices: devices.map(({ kind, index, uuid, name, numaNode }) => ({ kind, index, uuid, name, numaNode })),
    links: report.links.flatMap(({ a, b, kind, lanes }) => {
      const owner = linkOwner(kind, mixed ? null : (report.devices[0]?.kind ?? null));
      const [first, second] = [position.get(`${owner} ${a}`), position.get(`${owner} ${b}`)];
      return first === undefined || second === undefined ? [] : [{ a: first, b: second, kind, lanes }];
    }),
  };
}

/** The report's links name devices by index alone: with GPUs and NPUs in one box only the vendors' own links are clear. */
function linkOwner(link: DeviceLink['kind'], only: Kind | null): Kind | null {
  if (link === 'nvlink') return 'gpu';
  return link === 'hccs' ? 'npu' : only;
}

function resolveNames(names: DeviceNames, offered: Offer, report: DeviceReport): DeviceInfo[] {
  const entries = names.list.split(',').map((entry) => entry.trim());
  const byIndex = entries.every((entry) => /^[\d-]*$/.test(entry));
  const keys: (number | string)[] = byIndex ? parseRanges(names.list, names.name) : entries.map(indexOrUuid);
  return keys.map((key, position) => {
    const matches = (device: DeviceInfo): boolean =>
      typeof key === 'number' ? device.index === key : matchesUuid(device, key);
    const found = offered.devices.filter(matches);
    if (found.length > 1) {
      throw new TwinkleError(
        'CONFIG_INVALID',
        `"${key}" of \`${names.name}\` begins more than one uuid (${found.map((device) => device.uuid).join(', ')}); write more of it`,
      );
    }
    const device = found[0];
    if (device === undefined) {
      const hidden = report.devices.some((candidate) => candidate.kind === names.kind && matches(candidate));
      throw missing(names, String(key), hidden ? offered.hiddenBy : null, offered, report);
    }
    if (keys.slice(0, position).some((earlier) => earlier === device.index || earlier === device.uuid)) {
      throw new TwinkleError('CONFIG_INVALID', `\`${names.name}\` names ${names.kind} ${key} twice`);
    }
    return device;
  });
}

function indexOrUuid(entry: string): number | string {
  return /^\d+$/.test(entry) ? Number(entry) : entry;
}

/** The error for a device that cannot be had: what is there, and why each vendor library is absent. */
function missing(
  names: DeviceNames,
  key: string,
  hiddenBy: string | null,
  offered: Offer,
  report: DeviceReport,
): TwinkleError {
  const there =
    offered.devices.length === 0
      ? `there is no ${names.kind.toUpperCase()} here`
      : `there ${offered.devices.length === 1 ? 'is' : 'are'} ${offered.devices.map(describeDevice).join(', ')}`;
  return new TwinkleError(
    'DEVICE_MISSING',
    `no ${names.kind.toUpperCase()} "${key}" for \`${names.name}\`` +
      `${hiddenBy === null ? '' : ` (${hiddenBy} hides it)`}: ${there}${notInUse(report)}; ` +
      `run \`twinkle-node list devices\`, or ${names.instead}`,
    { details: { missing: key, offered: offered.devices.map((device) => device.uuid) } },
  );
}

function notInUse(report: DeviceReport): string {
  const reasons = report.libraries
    .filter((library) => !library.loaded)
    .map((library) => `${library.library}: ${whyNotLoaded(library.reason)}`);
  return reasons.length === 0 ? '' : `; not in use: ${reasons.join('; ')}`;
}

/** `gpu 0 (NVIDIA H100, GPU-1234…)`. */
function describeDevice(device: DeviceInfo): string {
  return `${device.kind} ${device.index} (${device.name}, ${device.uuid})`;
}

function complaints(device: DeviceInfo): string[] {
  const pids = device.processes.map((holder) => holder.pid);
  return [
    ...(pids.length === 0 ? [] : [`${device.kind} ${device.index} is held by pid ${pids.join(', ')}`]),
    ...illness(device),
  ];
}

function illness(device: DeviceInfo): string[] {
  return device.health === 'ok' ? [] : [`${device.kind} ${device.index} reports ${device.health}`];
}
