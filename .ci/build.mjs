/**
 * Builds what is stale: TypeScript → dist, addon → build/Release and dist/native/<platform>-<arch>. A fresh build costs a few
 * milliseconds of stat calls, because `npm install` and `npm pack` run this through `prepare`. `--force` builds all.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const at = (...parts) => join(root, ...parts);
const force = process.argv.includes('--force');

function newest(path) {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return 0;
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(0, ...readdirSync(path).map((name) => newest(join(path, name))));
}

function run(what, file, args) {
  process.stderr.write(`twinkle-node: ${what}\n`);
  const { status, error } = spawnSync(file, args, { cwd: root, stdio: ['ignore', 2, 2] });
  if (status === 0) return;
  process.stderr.write(`twinkle-node: ${what} failed${error ? `: ${error.message}` : ''}\n`);
  process.exit(1);
}

const tsOutput = at('dist', 'tsconfig.tsbuildinfo');
const sources = Math.max(newest(at('src')), newest(at('tsconfig.json')));
if (force || !existsSync(at('dist', 'index.js')) || newest(tsOutput) < sources) {
  run('compiling TypeScript', process.execPath, [at('node_modules', 'typescript', 'bin', 'tsc'), '-p', root]);
  chmodSync(at('dist', 'cli', 'main.js'), 0o755);
}

const addon = at('build', 'Release', 'twinkle.node');
const nativeSources = Math.max(
  newest(at('CMakeLists.txt')),
  ...readdirSync(at('native'))
    .filter((name) => name !== 'test')
    .map((name) => newest(at('native', name))),
);
if (force || newest(addon) < nativeSources) {
  for (const tool of ['cmake', 'c++']) {
    if (spawnSync(tool, ['--version'], { stdio: 'ignore' }).status === 0) continue;
    process.stderr.write(
      `twinkle-node: cannot build the addon: \`${tool}\` is missing.\n  1. install a C++20 compiler and cmake (Debian: apt-get install g++ cmake make)\n  2. run: npm run build\n`,
    );
    process.exit(1);
  }
  run('building the addon', process.execPath, [
    at('node_modules', 'cmake-js', 'bin', 'cmake-js'),
    'compile',
    '--silent',
  ]);
}
const packaged = at('dist', 'native', `${process.platform}-${process.arch}`);
if (newest(join(packaged, 'twinkle.node')) < newest(addon)) {
  mkdirSync(packaged, { recursive: true });
  copyFileSync(addon, join(packaged, 'twinkle.node'));
}
