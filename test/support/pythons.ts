/** Interpreters for tests that start real ranks: the environments that `setup` makes, made here if need be. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PACKAGE_ROOT } from '../../src/config/package-root.js';
import type { EngineName } from '../../src/config/types.js';
import type { PythonEnvironment } from '../../src/python/types.js';
import { resolvePythons } from '../../src/runtime/configure.js';

/** Engine → its Python, as `startHead` takes it. */
export async function pythonsFor(...engines: EngineName[]): Promise<ReadonlyMap<EngineName, PythonEnvironment>> {
  const config = {
    models: engines.map((engine) => ({ engine, placement: { accelerator: null } })),
    python: { interpreter: null, mayInstall: true },
  };
  return await resolvePythons(config, { env: process.env, progress: { step() {}, detail() {} } });
}

export async function pythonFor(engine: EngineName): Promise<string> {
  const found = (await pythonsFor(engine)).get(engine);
  if (found === undefined) throw new Error(`no Python for ${engine}`);
  return found.python;
}

/** The Python of an engine's test environment: the engine's packages, pytest and the official OpenAI client. */
export async function testPython(engine: 'transformers' | 'vllm' = 'transformers'): Promise<string> {
  const given = process.env[engine === 'vllm' ? 'TWINKLE_TEST_VLLM_PYTHON' : 'TWINKLE_TEST_PYTHON'];
  if (given !== undefined) return given;
  const { stdout } = await promisify(execFile)('bash', ['.ci/python-env', engine], { cwd: PACKAGE_ROOT });
  return join(stdout.trim(), 'bin', 'python');
}
