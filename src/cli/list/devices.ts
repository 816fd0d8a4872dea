/** `list devices`: the accelerators of this machine as its drivers tell, and who holds them. Pure. */
import { formatBytes } from '../../config/quantity.js';
import type { CpuInfo, DeviceInfo, LibraryStatus } from '../../native/types.js';
import { formatRanges } from '../../util/ranges.js';
import type { Column } from '../render/layout.js';
import { describeLibrary } from '../render/library.js';
import type { Paint } from '../render/style.js';
import { describeHeld, deviceState, type Holder } from './holders.js';
import type { Kind } from './picture.js';
import { DEVICE_STATES, type DeviceState } from './states.js';

/** A device of this machine. */
export interface DeviceRow extends DeviceInfo {
  /** What placement groups hold of it; processes that came otherwise are in `processes`. */
  readonly state: DeviceState;
  readonly heldBy: readonly Holder[];
}

/** The shape of {@link Holder}. */
export const HOLDER_FIELDS = {
  group: 'value',
  name: 'value',
  bundle: 'value',
  quantity: 'value',
  cluster: 'value',
  server: 'value',
} as const satisfies Record<keyof Holder, 'value'>;

/** See {@link Kind}. */
export const DEVICES: Kind<DeviceRow> = {
  things: 'devices',
  states: DEVICE_STATES,
  fields: {
    kind: 'value',
    vendor: 'value',
    index: 'value',
    uuid: 'value',
    name: 'value',
    pciBusId: 'value',
    memoryTotalBytes: 'value',
    memoryUsedBytes: 'value',
    computeCapability: 'value',
    driverVersion: 'value',
    numaNode: 'value',
    health: 'value',
    processes: [{ pid: 'value', memoryBytes: 'value' }],
    state: 'value',
    heldBy: [HOLDER_FIELDS],
  },
  passing: [],
};

/** The devices of a survey with their holders. */
export function deviceRows(
  devices: readonly DeviceInfo[],
  holders: ReadonlyMap<string, readonly Holder[]>,
): DeviceRow[] {
  return devices.map((device) => {
    const heldBy = holders.get(device.uuid) ?? [];
    return { ...device, state: deviceState(heldBy), heldBy };
  });
}

/** Columns for devices of this machine. @param clusters whether any cluster runs, which could hold some */
export function deviceColumns(clusters: boolean): Column<DeviceRow>[] {
  return [
    { head: 'DEVICE', cell: ({ kind, index }) => `${kind} ${index}` },
    { head: 'NAME', cell: ({ name }) => name, drop: 2 },
    { head: 'MEMORY', cell: ({ memoryTotalBytes }) => formatBytes(memoryTotalBytes) },
    { head: 'USED', cell: ({ memoryUsedBytes }) => formatBytes(memoryUsedBytes) },
    { head: 'HEALTH', cell: ({ health }) => health },
    { head: 'NUMA', cell: ({ numaNode }) => (numaNode === null ? '-' : String(numaNode)), drop: 3 },
    { head: 'HELD BY', cell: ({ processes }) => processes.map(({ pid }) => pid).join(',') || '-', drop: 1 },
    ...(clusters ? [{ head: 'GROUP', cell: ({ heldBy }: DeviceRow) => describeHeld(heldBy) }] : []),
    { head: 'UUID', cell: ({ uuid }) => uuid, drop: 4 },
  ];
}

/** The lines after the table: the CPU, and why each vendor library is in use or not. */
export function machineLines(cpu: CpuInfo, libraries: readonly LibraryStatus[], paint: Paint): string[] {
  const limits = [
    cpu.cgroupCpus === null ? '' : `limited to ${cpu.cgroupCpus} CPUs`,
    cpu.cgroupMemoryBytes === null ? '' : `limited to ${formatBytes(cpu.cgroupMemoryBytes)}`,
  ].filter((limit) => limit !== '');
  return [
    `cpu: ${cpu.model || 'unnamed model'}, ${cpu.sockets} ${cpu.sockets === 1 ? 'socket' : 'sockets'}, ${cpu.physicalCores} cores, CPUs ${formatRanges(cpu.allowed)}, ` +
      `${formatBytes(cpu.memoryTotalBytes)}${limits.length === 0 ? '' : `, ${limits.join(', ')}`}`,
    ...(cpu.flags.length === 0 ? [] : [`     ${cpu.flags.join(' ')}`]),
    ...libraries.map(
      (library) =>
        `${library.loaded ? paint('green', 'in use') : paint('dim', 'not in use')}  ${describeLibrary(library)}`,
    ),
  ];
}
