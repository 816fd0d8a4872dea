/** Checks of the machine itself: Node, limits, shared memory, the tools that build the addon. */
import { spawnSync } from 'node:child_process';
import { readFileSync, statfsSync } from 'node:fs';
import { formatBytes } from '../../config/quantity.js';
import { type Check, type Finding, fail, ok, warn } from './check.js';

const MIN_NODE: readonly [number, number] = [20, 19];
/** Enough to lock the segments of a few requests with large tensors. */
const WANTED_MEMLOCK = 64 * 1024 * 1024;
const WANTED_SHM = 256 * 1024 * 1024;

/** Node's version. */
export const checkNode: Check = () => {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const text = `Node ${process.versions.node}`;
  if (major < MIN_NODE[0] || (major === MIN_NODE[0] && minor < MIN_NODE[1])) {
    return [fail('node', `${text} is too old`, 'install Node 22 or 24 (20.19 at least)', 2)];
  }
  if (major < 22) return [warn('node', `${text} is past its end of life`, 'Node 22 or 24 is recommended')];
  return [ok('node', text)];
};

/** RLIMIT_MEMLOCK and RLIMIT_NOFILE, from /proc: it works without the addon, too. */
export const checkLimits: Check = () => {
  const limits = readFileSync('/proc/self/limits', 'utf8');
  const soft = (name: string): number => {
    const value = new RegExp(`^${name}\\s+(\\S+)`, 'm').exec(limits)?.[1] ?? 'unlimited';
    return value === 'unlimited' ? Number.POSITIVE_INFINITY : Number(value);
  };
  const memlock = soft('Max locked memory');
  const files = soft('Max open files');
  const shown = memlock === Number.POSITIVE_INFINITY ? 'unlimited' : formatBytes(memlock);
  return [
    memlock >= WANTED_MEMLOCK
      ? ok('memlock', `locked memory: ${shown}`)
      : warn(
          'memlock',
          `locked memory is limited to ${shown}: tensors larger than that cannot be page-locked`,
          'ulimit -l unlimited (systemd: LimitMEMLOCK=infinity; containers: --ulimit memlock=-1)',
        ),
    files >= 4096
      ? ok('files', `open files: ${files === Number.POSITIVE_INFINITY ? 'unlimited' : files}`)
      : warn(
          'files',
          `only ${files} files may be open: a connection needs one`,
          'ulimit -n 1048576 (systemd: LimitNOFILE=1048576)',
        ),
  ];
};

/** Size of /dev/shm. */
export const checkShm: Check = () => {
  try {
    const { bsize, blocks, bavail } = statfsSync('/dev/shm');
    const size = bsize * blocks;
    const text = `/dev/shm: ${formatBytes(bsize * bavail)} free of ${formatBytes(size)}`;
    if (bsize * bavail >= WANTED_SHM) return [ok('shm', text)];
    return [warn('shm', text, 'give more: mount -o remount,size=8G /dev/shm (containers: --shm-size=8g)')];
  } catch {
    return [warn('shm', '/dev/shm is not there', 'mount a tmpfs there: engines of several ranks need it')];
  }
};

/** Compiler and cmake: needed only to build the addon. */
export const checkTools: Check = () => {
  const compiler = firstVersion(['c++', 'g++', 'clang++']);
  const cmake = firstVersion(['cmake']);
  return [
    tool('compiler', compiler, 'C++ compiler', 'apt install g++ (GCC 11 or newer)'),
    tool('cmake', cmake, 'cmake', 'apt install cmake, or pip install cmake'),
  ];
};

function tool(check: string, version: string | null, what: string, fix: string): Finding {
  return version === null ? warn(check, `no ${what}: the addon cannot be built again`, fix) : ok(check, version);
}

function firstVersion(programs: readonly string[]): string | null {
  for (const program of programs) {
    const result = spawnSync(program, ['--version'], { encoding: 'utf8', timeout: 5000 });
    if (result.status === 0) return result.stdout.split('\n')[0] ?? program;
  }
  return null;
}
