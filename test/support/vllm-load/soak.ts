/** A server under load for a while, its memory and descriptors looked at again and again. */
import { setTimeout as delay } from 'node:timers/promises';
import { type Sample, sampleProcess, samplePython, steadyGrowth } from './memory.js';
import type { LoadMix } from './mix.js';
import type { VllmLoraServer } from './server.js';

export interface SoakPlan {
  /** Heaps and caches fill: not judged. */
  readonly warmUpMs: number;
  readonly forMs: number;
  readonly everyMs: number;
}

/** What one process did after the warm-up. */
export interface Course {
  readonly name: string;
  readonly samples: readonly Sample[];
  /** MB a minute, see `steadyGrowth`. */
  readonly growth: number;
  /** Largest minus first of open descriptors. */
  readonly moreDescriptors: number;
}

/** Run the load; resolves when it has stopped. A rank that ends on the way makes it reject. */
export async function soak(server: VllmLoraServer, mix: LoadMix, plan: SoakPlan): Promise<readonly Course[]> {
  await delay(plan.warmUpMs);
  const { ranks } = await server.processes();
  const names = new Map([[server.cli.pid, 'node'], ...ranks]);
  const samples = new Map([...names.keys()].map((pid): [number, Sample[]] => [pid, []]));
  const end = performance.now() + plan.forMs;
  while (performance.now() < end && mix.tally.wrong.length === 0) {
    for (const [pid, seen] of samples) {
      seen.push(ranks.has(pid) ? await samplePython(pid, server.memoryFolder) : sampleProcess(pid));
    }
    await delay(plan.everyMs);
  }
  await mix.stop();
  return [...samples].map(([pid, seen]) => {
    const open = seen.map(({ descriptors }) => descriptors);
    const moreDescriptors = Math.max(...open) - (open[0] ?? 0);
    return {
      name: names.get(pid) ?? '',
      samples: seen,
      growth: steadyGrowth(seen),
      moreDescriptors,
    };
  });
}

/** One line for people: where it was each minute tells a leak from a cache that fills. */
export function describeCourse({ growth, moreDescriptors, name, samples }: Course): string {
  const start = samples[0]?.atMs ?? 0;
  const minutes = samples.filter(
    ({ atMs }, at) => minuteOf(atMs - start) !== minuteOf((samples[at - 1]?.atMs ?? -1) - start),
  );
  const course = [...minutes, ...samples.slice(-1)].map(({ liveMb }) => liveMb.toFixed(1)).join(' ');
  const resident = [samples[0], samples.at(-1)].map((sample) => sample?.rssMb.toFixed(0)).join(' to ');
  return `${name}: ${growth.toFixed(2)} MB/min in ${samples.length} looks (in use each minute ${course} MB; resident ${resident} MB), ${moreDescriptors} more descriptors`;
}

function minuteOf(ms: number): number {
  return Math.floor(ms / 60_000);
}
