/** Interpreters for tests that start real ranks: the environments that `setup` makes, made here if need be. */
import type { EngineName } from '../../src/config/types.js';
import type { PythonEnvironment } from '../../src/python/types.js';
import { resolvePythons } from '../../src/runtime/configure.js';

/** Engine → its Python, as `startHead` takes it. */
export async function pythonsFor(...engines: EngineName[]): Promise<ReadonlyMap<EngineName, PythonEnvironment>> {
  const config = {
    models: engines.map((engine) => ({ engine, devices: [] })),
    python: { interpreter: null, mayInstall: true },
  } as unknown as Parameters<typeof resolvePythons>[0];
  return await resolvePythons(config, { env: process.env, progress: { step() {}, detail() {} } });
}

export async function pythonFor(engine: EngineName): Promise<string> {
  const found = (await pythonsFor(engine)).get(engine);
  if (found === undefined) throw new Error(`no Python for ${engine}`);
  return found.python;
}
