/** `list devices`: accelerators, the CPU, and why each vendor library is in use or not. */

import { formatBytes } from '../../config/quantity.js';
import { EXIT } from '../../errors.js';
import type { DeviceInfo } from '../../native/types.js';
import { formatRanges } from '../../util/ranges.js';
import type { Handler } from '../io.js';
import { describeLibrary } from '../render/library.js';
import { painter } from '../render/style.js';
import { table } from '../render/table.js';

/** See {@link Handler}. */
export const run: Handler = async (command, { io, parts }) => {
  const native = await parts.native();
  const report = native.devices();
  const cpu = native.cpu();
  if (command.opts<{ json?: boolean }>().json === true) {
    io.stdout.write(`${JSON.stringify({ ...report, cpu })}\n`);
    return EXIT.ok;
  }
  const paint = painter(io.stdout, io.env);
  const head = ['DEVICE', 'NAME', 'MEMORY', 'USED', 'HEALTH', 'NUMA', 'HELD BY', 'UUID'];
  if (report.devices.length > 0) io.stdout.write(`${table(head, report.devices.map(deviceRow))}\n`);
  else io.stdout.write('no GPU or NPU\n');
  const limits = [
    cpu.cgroupCpus === null ? '' : `limited to ${cpu.cgroupCpus} CPUs`,
    cpu.cgroupMemoryBytes === null ? '' : `limited to ${formatBytes(cpu.cgroupMemoryBytes)}`,
  ].filter((limit) => limit !== '');
  io.stdout.write(
    `cpu: ${cpu.model}, ${cpu.sockets} ${cpu.sockets === 1 ? 'socket' : 'sockets'}, ${cpu.physicalCores} cores, CPUs ${formatRanges(cpu.allowed)}, ` +
      `${formatBytes(cpu.memoryTotalBytes)}${limits.length === 0 ? '' : `, ${limits.join(', ')}`}\n     ${cpu.flags.join(' ')}\n`,
  );
  for (const library of report.libraries) {
    io.stdout.write(
      `${library.loaded ? paint('green', 'in use') : paint('dim', 'not in use')}  ${describeLibrary(library)}\n`,
    );
  }
  return EXIT.ok;
};

function deviceRow(device: DeviceInfo): string[] {
  const pids = device.processes.map(({ pid }) => String(pid));
  return [
    `${device.kind} ${device.index}`,
    device.name,
    formatBytes(device.memoryTotalBytes),
    formatBytes(device.memoryUsedBytes),
    device.health,
    device.numaNode === null ? '-' : String(device.numaNode),
    pids.length === 0 ? '-' : pids.join(','),
    device.uuid,
  ];
}
