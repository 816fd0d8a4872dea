/** Memory and descriptors of processes over time, and whether they grow. */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** One look at one process. */
export interface Sample {
  readonly atMs: number;
  readonly rssMb: number;
  /** Memory in use: of a Python process what malloc gave out, which has no holes; of others the resident size. */
  readonly liveMb: number;
  readonly descriptors: number;
}

/** Time for a process to answer a signal: it does between two steps. */
const ANSWER_MS = 10_000;
const LOOK_MS = 5;

/** Resident memory and open descriptors now. Throws for a process that is gone. */
export function sampleProcess(pid: number): Sample {
  const [, kb] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  if (kb === undefined) throw new Error(`process ${pid} has no memory any more`);
  const rssMb = Number(kb) / 1024;
  return { atMs: performance.now(), rssMb, liveMb: rssMb, descriptors: readdirSync(`/proc/${pid}/fd`).length };
}

/** As {@link sampleProcess}, of a process that runs test/fixtures/live-memory with `folder`. */
export async function samplePython(pid: number, folder: string): Promise<Sample> {
  const path = join(folder, String(pid));
  rmSync(path, { force: true });
  process.kill(pid, 'SIGUSR2');
  const end = performance.now() + ANSWER_MS;
  while (!existsSync(path)) {
    if (performance.now() > end) throw new Error(`process ${pid} does not say what memory it uses`);
    await delay(LOOK_MS);
  }
  const [bytes] = readFileSync(path, 'utf8').split(' ');
  return { ...sampleProcess(pid), liveMb: Number(bytes) / 2 ** 20 };
}

/**
 * MB per minute: the median of the slopes between all pairs of samples (Theil and Sen), which some spikes of a garbage collector do not
 * move. Of fewer than two samples 0.
 */
function growthPerMinute(samples: readonly Sample[]): number {
  const slopes = samples.flatMap((a, at) =>
    samples.slice(at + 1).map((b) => ((b.liveMb - a.liveMb) / (b.atMs - a.atMs)) * 60_000),
  );
  slopes.sort((a, b) => a - b);
  return slopes[Math.floor(slopes.length / 2)] ?? 0;
}

/**
 * MB per minute of what goes on growing: the least growth of the second half and of each of its halves. Heaps and caches still fill in the
 * first half, and later in steps with minutes of rest between them, which a leak does not take.
 */
export function steadyGrowth(samples: readonly Sample[]): number {
  const half = samples.slice(samples.length / 2);
  const parts = [half, half.slice(0, half.length / 2), half.slice(half.length / 2)];
  return Math.min(...parts.map(growthPerMinute));
}
