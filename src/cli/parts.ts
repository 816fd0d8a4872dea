/** The real parts of the CLI, each imported when it is first asked for. */
import type { CliParts } from './io.js';

/** Loads runtime/head.ts and the addon on demand. */
export const defaultParts: CliParts = {
  head: async () => (await import('../runtime/head.js')).startHead,
  native: async () => (await import('../native/load.js')).loadNative(),
  probeNative: async () => {
    const { lastLines } = await import('../python/probe.js');
    const { runProgram } = await import('../python/run.js');
    const load = JSON.stringify(new URL('../native/load.js', import.meta.url).href);
    const script = `(await import(${load})).loadNative().devices()`;
    const child = await runProgram(process.execPath, ['--input-type=module', '-e', script], {
      env: process.env,
      timeoutMs: 20_000,
    });
    if (child.code === 0) return null;
    return child.signal === null ? lastLines(child.stderr, 6) : `it kills its process (${child.signal})`;
  },
};
