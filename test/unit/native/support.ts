/** What the tests of the real addon share: the addon, ends of processes as promises, a real python, child Nodes. */
import { execFile, execFileSync } from 'node:child_process';
import { closeSync, existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { promisify } from 'node:util';

import { addonCandidates } from '../../../src/native/candidates.js';
import { loadNative } from '../../../src/native/load.js';
import type { ProcessExit, SpawnOptions } from '../../../src/native/types.js';

export const native = loadNative();

/** The built addon, for child Nodes. */
export const addonPath = addonCandidates().find((path) => existsSync(path)) ?? '';

/** The interpreter itself: `python3` in PATH may be a shell script that opens descriptors of its own. */
export const python = execFileSync('python3', ['-c', 'import sys; print(sys.executable)'], { encoding: 'utf8' }).trim();

export const env = Object.entries(process.env).map(([key, value]) => `${key}=${value}`);

const ended = new Map<number, ProcessExit>();
const waiting = new Map<number, (exit: ProcessExit) => void>();

/** Routes every end to who waits for it. A test that takes the listener over calls this again after. */
export function listenForExits(): void {
  native.onExit((exit) => {
    const resolve = waiting.get(exit.pid);
    if (resolve === undefined) ended.set(exit.pid, exit);
    else resolve(exit);
    waiting.delete(exit.pid);
  });
}
listenForExits();

/** The end of a spawned or watched process. */
export async function endOf(pid: number): Promise<ProcessExit> {
  const exit = ended.get(pid);
  ended.delete(pid);
  // The channel does not keep the loop alive; a waiting test must.
  const alive = setInterval(() => undefined, 1 << 30);
  try {
    return exit ?? (await new Promise((resolve) => waiting.set(pid, resolve)));
  } finally {
    clearInterval(alive);
  }
}

/** Options of a spawn that asks for nothing special. */
export function command(file: string, args: readonly string[], over: Partial<SpawnOptions> = {}): SpawnOptions {
  return { file, args, env, cwd: null, fds: [], parentDeathSignal: false, cpus: null, ...over };
}

/** Runs a program with its output in a pipe (descriptor 1, errors to ours); its output and its end. */
export async function outputOf(options: SpawnOptions): Promise<{ text: string; exit: ProcessExit; pid: number }> {
  const [from, to] = native.pipe();
  const pid = native.spawn({ ...options, fds: [...options.fds, [1, to], [2, 2]] });
  native.closeFd(to);
  const exit = await endOf(pid);
  const text = readFileSync(from, 'utf8');
  closeSync(from);
  return { text, exit, pid };
}

/** What the descriptors of this process point to, sorted; the folder that is read for it left out. */
export function openDescriptors(): string[] {
  const targets = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).replace(/\d+/g, 'N');
    } catch {
      return 'the folder';
    }
  });
  return targets.filter((target) => target !== 'the folder').sort();
}

const run = promisify(execFile);

/** Runs CommonJS text in a child Node where `addon` is the raw addon; what it printed, as JSON. */
export async function inChildNode(text: string, over: NodeJS.ProcessEnv = {}): Promise<unknown> {
  const script = `const addon = require(${JSON.stringify(addonPath)});\n${text}`;
  const { stdout } = await run(process.execPath, ['-e', script], { env: { ...process.env, ...over }, timeout: 15_000 });
  return JSON.parse(stdout);
}
