/** Where this package lies: the folder of package.json, both for `src` (tests) and for `dist`. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Absolute path of the package, without a trailing slash. */
export const PACKAGE_ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

/** Folder that ranks get as PYTHONPATH. */
export const PYTHON_WORKERS = join(PACKAGE_ROOT, 'python-workers');

/** Folder of the built-in model. */
export const DEMO_MODEL = join(PYTHON_WORKERS, 'demo_model', 'model');

/** `version` of package.json. */
export function packageVersion(): string {
  const manifest = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')) as { version: string };
  return manifest.version;
}
