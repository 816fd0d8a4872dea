/** One error for an addon that cannot be loaded: every reason, then numbered fixes that fit them. Pure but for looking at PATH. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

import { TwinkleError } from '../errors.js';

/** Why one file was not taken. */
export interface LoadReason {
  readonly path: string;
  readonly reason: string;
}

function inPath(tool: string, path: string): boolean {
  return path.split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, tool), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function fixes(reasons: readonly LoadReason[], env: NodeJS.ProcessEnv): string[] {
  const text = reasons.map(({ reason }) => reason).join('\n');
  const list: string[] = [];
  if (process.platform !== 'linux') list.push(`run on Linux: this is ${process.platform}`);
  if (env.TWINKLE_NATIVE)
    list.push('unset TWINKLE_NATIVE, or let it name a twinkle.node that was built for this machine');
  const path = env.PATH ?? '';
  const compiler = ['c++', 'g++', 'clang++'].some((tool) => inPath(tool, path));
  if (!compiler) list.push('install a C++20 compiler, e.g. `apt-get install g++` or `dnf install gcc-c++`');
  if (!inPath('cmake', path)) list.push('install cmake 3.18 or newer, e.g. `apt-get install cmake make`');
  const glibc = /(GLIBC_[\d.]+)' not found/.exec(text)?.[1];
  if (glibc !== undefined)
    list.push(`the file needs ${glibc}, which this host lacks: build it here (next line), or use a newer host`);
  if (/wrong ELF class|invalid ELF header|cannot open shared object file.*ELF/.test(text))
    list.push(`the file was built for another processor: build it here for ${process.arch} (next line)`);
  list.push('build the addon in the package folder: `npm run build` (it prints why when it cannot)');
  list.push('`twinkle-node doctor` says more');
  return list;
}

/**
 * `NATIVE_MISSING` with all reasons and what to do.
 * @param reasons one per file tried
 */
export function nativeMissing(reasons: readonly LoadReason[], env: NodeJS.ProcessEnv = process.env): TwinkleError {
  const tried = reasons.map(({ path, reason }) => `  - ${path}: ${reason}`).join('\n');
  const todo = fixes(reasons, env)
    .map((fix, index) => `  ${index + 1}. ${fix}`)
    .join('\n');
  return new TwinkleError(
    'NATIVE_MISSING',
    `the native addon could not be loaded; tried:\n${tried}\nwhat to do:\n${todo}`,
    {
      details: { reasons },
    },
  );
}

/** dlopen's or Node's words, shortened to their first line. */
export function reasonOf(thrown: unknown): string {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const line = message.split('\n', 1)[0] ?? message;
  return line.startsWith('Cannot find module') ? 'no such file' : line;
}
