/** Runs a program to its end in its own process group, so that an abort ends what it started, too. Secrets of ours stay here. */
import { spawn } from 'node:child_process';
import type { Run } from './types.js';

const KEEP_BYTES = 64 * 1024;
const STDOUT_BYTES = 64 * 1024 * 1024;
const SECRETS = ['TWINKLE_API_KEY', 'TINKER_API_KEY', 'VLLM_API_KEY'];

/** See {@link Run}. */
export const runProgram: Run = (file, args, options) =>
  new Promise((resolve, reject) => {
    options.signal?.throwIfAborted();
    const env: Record<string, string | undefined> = { ...options.env };
    for (const name of SECRETS) delete env[name];
    const lifeline = options.lifeline === true ? (['pipe'] as const) : [];
    const child = spawn(file, args, { env, detached: true, stdio: ['ignore', 'pipe', 'pipe', ...lifeline] });
    const output = { stdout: '', stderr: '' };
    const killGroup = (): void => {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch {
        // The group is gone already.
      }
    };
    const timer = options.timeoutMs === undefined ? undefined : setTimeout(killGroup, options.timeoutMs);
    options.signal?.addEventListener('abort', killGroup, { once: true });
    for (const name of ['stdout', 'stderr'] as const) {
      const limit = name === 'stdout' ? STDOUT_BYTES : KEEP_BYTES;
      let partial = '';
      child[name]?.setEncoding('utf8').on('data', (chunk: string) => {
        output[name] = (output[name] + chunk).slice(-limit);
        if (options.onLine === undefined) return;
        const lines = (partial + chunk).split(/\r?\n|\r/);
        partial = lines.pop() ?? '';
        for (const line of lines) options.onLine(line);
      });
    }
    const finish = (): void => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', killGroup);
    };
    child.once('error', (error) => {
      finish();
      reject(error);
    });
    child.once('close', (code, signal) => {
      finish();
      if (options.signal?.aborted === true) reject(options.signal.reason as Error);
      else resolve({ code, signal, ...output });
    });
  });

/** Runs programs that end when this process is gone, however it went: by the guard script, which `python` runs. */
export function guardedRun(python: string, guard: string, run: Run = runProgram): Run {
  return (file, args, options) => run(python, ['-I', '-S', guard, '3', file, ...args], { ...options, lifeline: true });
}
