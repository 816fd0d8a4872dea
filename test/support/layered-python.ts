/** Environments of clients that few tests need: the transformers engine's test environment, and what they need on top. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PACKAGE_ROOT } from '../../src/config/package-root.js';
import { testPython } from './pythons.js';

const run = promisify(execFile);

/** Of tinker-cookbook's recipes: its Python (400 MB, a minute). */
export const cookbookPython = (): Promise<string> => layered('cookbook');

/** Of `twinkle_client`: its Python (300 MB, half a minute). */
export const twinklePython = (): Promise<string> => layered('twinkle');

/** Made the first time, outside the checkout, of `test-<name>.txt` without what that depends on. */
async function layered(name: string): Promise<string> {
  const list = join(PACKAGE_ROOT, 'python-workers', 'requirements', `test-${name}.txt`);
  const under = await testPython();
  const key = createHash('sha256').update(readFileSync(list)).update(under).digest('hex').slice(0, 16);
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  const folder = join(cache, 'twinkle-node', `${name}-${key}`);
  const python = join(folder, 'bin', 'python');
  const ready = join(folder, '.ready');
  if (existsSync(ready)) return python;
  rmSync(folder, { recursive: true, force: true });
  await run(under, ['-m', 'venv', folder]);
  // A .pth is not followed from a folder that another one names: so all of them, in one file.
  const folders = 'import sys; print("\\n".join(one for one in sys.path if one.endswith("site-packages")))';
  const { stdout: below } = await run(under, ['-c', folders]);
  const { stdout: own } = await run(python, ['-c', 'import sysconfig; print(sysconfig.get_paths()["purelib"])']);
  writeFileSync(join(own.trim(), 'below.pth'), below);
  await run(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps', '-r', list]);
  writeFileSync(ready, '');
  return python;
}
