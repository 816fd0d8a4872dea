/** What nvidia-smi says: the witness that our own NVML figures are held against. Knows nothing of twinkle-node. */
import { execFileSync } from 'node:child_process';
import { stripVTControlCharacters } from 'node:util';

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
  return query('compute-apps', ['pid', 'gpu_uuid', 'used_memory']).map((row) => ({
    pid: Number(row.pid),
    uuid: row.gpu_uuid,
    memoryBytes: Number(row.used_memory) * MIB,
  }));
}

/** `nvidia-smi topo -m`: for each GPU, how it reaches every other (`NV18`, `PIX`, …), and its NUMA node (null: it names none). */
export function smiTopology() {
  const text = execFileSync('nvidia-smi', ['topo', '-m'], { encoding: 'utf8' });
  // Colours are written whoever reads; a wide column is followed by more than one tab.
  const lines = stripVTControlCharacters(text).split('\n');
  const table = lines.map((line) => line.split(/\t+/).map((cell) => cell.trim()));
  const head = table.find((cells) => cells.includes('GPU0') && cells.includes('CPU Affinity')) ?? [];
  const names = head.filter((cell) => cell !== '');
  const rows = table.filter((cells) => /^GPU\d+$/.test(cells[0] ?? '') && cells.includes('X'));
  return {
    text: lines.slice(0, rows.length + 2).join('\n'),
    gpus: rows.map(([, ...cells]) => {
      const row = Object.fromEntries(names.map((name, at) => [name, cells[at] ?? '']));
      const numa = row['NUMA Affinity'] ?? '';
      return { to: rows.map(([name]) => row[name]), numa: /^\d+$/.test(numa) ? Number(numa) : null };
    }),
  };
}
