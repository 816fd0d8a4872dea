/** What nvidia-smi says: the witness that our own NVML figures are held against. Knows nothing of twinkle-node. */
import { execFileSync } from 'node:child_process';

const MIB = 2 ** 20;

function query(what, fields) {
  const text = execFileSync('nvidia-smi', [`--query-${what}=${fields.join(',')}`, '--format=csv,noheader,nounits'], {
    encoding: 'utf8',
  });
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.map((line) => Object.fromEntries(line.split(', ').map((value, at) => [fields[at], value.trim()])));
}

/** The GPUs; memory in bytes, rounded to MiB as nvidia-smi does. */
export function smiDevices() {
  const fields = [
    'index',
    'name',
    'uuid',
    'pci.bus_id',
    'memory.total',
    'memory.used',
    'driver_version',
    'compute_cap',
  ];
  return query('gpu', fields).map((row) => ({
    index: Number(row.index),
    name: row.name,
    uuid: row.uuid,
    pciBusId: row['pci.bus_id'].toLowerCase(),
    memoryTotalBytes: Number(row['memory.total']) * MIB,
    memoryUsedBytes: Number(row['memory.used']) * MIB,
    driverVersion: row.driver_version,
    computeCapability: row.compute_cap,
  }));
}

/** Processes with a compute context on any GPU. */
export function smiProcesses() {
  return query('compute-apps', ['pid', 'used_memory']).map((row) => ({
    pid: Number(row.pid),
    memoryBytes: Number(row.used_memory) * MIB,
  }));
}
