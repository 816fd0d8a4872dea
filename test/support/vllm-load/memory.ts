/** Memory and descriptors of processes over time, and whether they grow. */
import { readdirSync, readFileSync } from 'node:fs';

/** One look at one process. */
export interface Sample {
  readonly atMs: number;
  readonly rssMb: number;
  readonly descriptors: number;
}

/** Resident memory and open descriptors now. Throws for a process that is gone. */
export function sampleProcess(pid: number): Sample {
  const [, kb] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  if (kb === undefined) throw new Error(`process ${pid} has no memory any more`);
  return { atMs: performance.now(), rssMb: Number(kb) / 1024, descriptors: readdirSync(`/proc/${pid}/fd`).length };
}

/**
 * MB per minute: the median of the slopes between all pairs of samples (Theil and Sen), which some spikes of a garbage collector do not
 * move. Of fewer than two samples 0.
 */
function growthPerMinute(samples: readonly Sample[]): number {
  const slopes = samples.flatMap((a, at) =>
    samples.slice(at + 1).map((b) => ((b.rssMb - a.rssMb) / (b.atMs - a.atMs)) * 60_000),
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
