/** The interpreter that `setup` made for an engine on CPUs, made here if need be. */
import { resolvePythons } from '../../dist/runtime/configure.js';

const QUIET = { step() {}, detail() {} };

/** @param {string} [interpreter] one that has the engine's packages, instead of ours */
export async function enginePython(engine, interpreter = null) {
  const config = {
    models: [{ engine, placement: { accelerator: null } }],
    python: { interpreter, mayInstall: true },
  };
  return (await resolvePythons(config, { env: process.env, progress: QUIET })).get(engine).python;
}
