/** Looks at a GPU through our own addon until something is so, and says how long it took. */
import { loadNative } from '../../../dist/native/load.js';

const LOOK_MS = 10;

/** The GPU as the addon sees it now: `{memoryUsedBytes, processes, …}`. */
export function gpu(index = 0) {
  const device = loadNative().devices().devices[index];
  if (device === undefined) throw new Error('the addon sees no GPU');
  return device;
}

/** Pids with memory on the GPU. */
export function pidsOnGpu() {
  return gpu().processes.map(({ pid }) => pid);
}

/**
 * Poll until `holds(device)`; throws after `limitMs` with the last state.
 * @returns milliseconds since the call, the last device and the least memory seen
 */
export async function until(what, holds, limitMs) {
  const started = performance.now();
  for (let least = Number.POSITIVE_INFINITY; ; ) {
    const device = gpu();
    least = Math.min(least, device.memoryUsedBytes);
    const ms = performance.now() - started;
    if (holds(device)) return { ms, device, leastBytes: least };
    if (ms > limitMs)
      throw new Error(
        `not within ${limitMs} ms: ${what}; ${device.memoryUsedBytes} bytes used by ${JSON.stringify(device.processes)}`,
      );
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
