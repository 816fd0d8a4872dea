/** A head in this process without HTTP, and its door for requests: below what `createServer` shows. */
import { optionsLayer } from '../../../dist/config/user-options.js';
import { loadNative } from '../../../dist/native/load.js';
import { configure, resolvePythons } from '../../../dist/runtime/configure.js';
import { startHead } from '../../../dist/runtime/head.js';

/** @param {object} options of `createServer` */
export async function startEmbedded(options) {
  const { layer, engineArgs } = optionsLayer({ python: process.env.TWINKLE_PYTHON, address: 'local', ...options });
  const { config } = await configure({
    written: layer,
    engineArgs,
    env: process.env,
    cwd: process.cwd(),
    configFile: null,
    mayWrite: true,
    devices: async () => loadNative().devices(),
    cluster: async () => null,
  });
  const pythons = await resolvePythons(config, { env: process.env, progress: { step() {}, detail() {} } });
  const head = await startHead(config, { pythons, listen: false });
  try {
    await head.ready();
  } catch (error) {
    await head.close();
    throw error;
  }
  return { inference: head.inference, stop: () => head.close() };
}
