/** A Tinker SDK of another time beside the one of the test environment, whose other packages it takes. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { testPython } from './pythons.js';

/** The folder for PYTHONPATH, made once outside the checkout: a download of 0.2 MB. */
export async function oldTinker(version: string): Promise<string> {
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'twinkle-node');
  const folder = join(cache, `tinker-${version}`);
  if (existsSync(folder)) return folder;
  mkdirSync(cache, { recursive: true });
  const made = mkdtempSync(`${folder}.`);
  try {
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps', '--target', made];
    await promisify(execFile)(await testPython(), [...pip, `tinker==${version}`]);
    renameSync(made, folder);
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
  return folder;
}
