/** What an idle server costs: CPU of everything it started, and memory of the Node process. */
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuSeconds, descendants, pssMb } from '../lib/processes.mjs';
import { startServer } from '../lib/server.mjs';

const SECONDS = 10;

export async function* rows() {
  const server = await startServer(['--cpu']);
  try {
    await sleep(3000);
    const pids = [server.pid, ...descendants(server.pid)];
    const used = () => pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
    const before = used();
    await sleep(SECONDS * 1000);
    yield {
      what: `idle CPU of all ${pids.length} processes, demo model`,
      unit: '%',
      ours: ((used() - before) / SECONDS) * 100,
      target: 1,
      lowerIsBetter: true,
    };
    yield { what: 'idle PSS of Node', unit: 'MB', ours: pssMb(server.pid), target: 110, lowerIsBetter: true };
    yield {
      what: 'idle PSS of all processes, demo model',
      unit: 'MB',
      ours: pids.reduce((sum, pid) => sum + pssMb(pid), 0),
      lowerIsBetter: true,
    };
  } finally {
    await server.stop();
  }
}
