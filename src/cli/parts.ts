/** The real parts of the CLI, each imported when it is first asked for. */
import type { CliParts } from './io.js';

/** Loads runtime/head.ts and the addon on demand. */
export const defaultParts: CliParts = {
  head: async () => (await import('../runtime/head.js')).startHead,
  standaloneHead: async () => await import('../runtime/start-head.js'),
  agent: async () => await import('../runtime/start-agent.js'),
  native: async () => (await import('../native/load.js')).loadNative(),
  probeNative: async () => {
    const { probeNative } = await import('../native/probe.js');
    const { ok, signal, reasons } = await probeNative();
    if (ok) return null;
    const why = reasons.map(({ path, reason }) => `${path}: ${reason}`);
    return [...(signal === null ? [] : [`it ends its process with ${signal}`]), ...why].join('; ');
  },
};
