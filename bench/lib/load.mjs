/** Runs the load process and waits for its figures. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const CLIENT = fileURLToPath(new URL('./client.mjs', import.meta.url));

/** @param {{port: number, connections: number, durationMs: number, method?: string, path: string, body?: string, sse?: boolean}} plan */
export async function load(plan) {
  const child = fork(CLIENT, [JSON.stringify(plan)]);
  const [result] = await once(child, 'message');
  await once(child, 'exit');
  if (result.failures > 0)
    throw new Error(`${result.failures} of ${result.requests} answers were no 200: ${plan.path}`);
  return result;
}

/** Median of a few runs by `key`: these machines are noisy. */
export async function median(runs, key, measure) {
  const results = [];
  for (let run = 0; run < runs; run++) results.push(await measure());
  return results.sort((a, b) => a[key] - b[key])[Math.floor(runs / 2)];
}

/** Value at quantile `q` of unsorted numbers. */
export function quantile(values, q) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0;
}
