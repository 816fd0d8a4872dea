/** Starts a head or an agent as a process of its own, in its own session, and waits until it is ready. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { homeError, makeHomeFolder } from '../../config/home-folder.js';
import { TwinkleError } from '../../errors.js';
import { TOKEN_VARIABLE } from '../../runtime/join-token.js';
import type { CliIo } from '../io.js';
import type { FailedMessage, ReadyMessage } from './messages.js';

/** What is not ready by then hangs. */
const READY_MS = 60_000;

/** Flags that are not handed on: who starts it prints, and everybody may read the words of a command. */
const KEPT_BACK: ReadonlySet<string> = new Set(['json', 'token']);

/**
 * @param token for the process's environment, which only its user may read; null: none
 * @throws what it failed with, `HEAD_UNREACHABLE`
 */
export async function detach(
  command: Command,
  what: 'head' | 'agent',
  home: string,
  io: CliIo,
  token: string | null,
): Promise<ReadyMessage> {
  const log = join(makeHomeFolder(home, 'logs'), `start-${what}.log`);
  const output = openLog(log, home);
  const words = command.options.flatMap((option) => {
    const name = option.attributeName();
    const value = command.getOptionValue(name) as string | boolean | undefined;
    if (value === undefined || value === false || KEPT_BACK.has(name)) return [];
    return value === true ? [String(option.long)] : [String(option.long), String(value)];
  });
  const main = process.argv[1] ?? '';
  const child = spawn(process.execPath, [main, 'start', ...words, '--block'], {
    detached: true,
    cwd: io.cwd,
    env: token === null ? io.env : { ...io.env, [TOKEN_VARIABLE]: token },
    stdio: ['ignore', output, output, 'ipc'],
  });
  closeSync(output);
  const ready = await readiness(child, what, log);
  child.disconnect();
  child.unref();
  return ready;
}

function openLog(path: string, home: string): number {
  try {
    return openSync(path, 'w', 0o600);
  } catch (error) {
    throw homeError(home, error);
  }
}

function readiness(child: ChildProcess, what: string, log: string): Promise<ReadyMessage> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGTERM');
      reject(new TwinkleError('HEAD_UNREACHABLE', `the ${what} was not ready within ${READY_MS / 1000} s; see ${log}`));
    }, READY_MS);
    child.once('message', (message: ReadyMessage | FailedMessage) => {
      clearTimeout(timer);
      if (message.event === 'ready') resolve(message);
      else reject(new TwinkleError(message.code, message.message));
    });
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      clearTimeout(timer);
      const said = readFileSync(log, 'utf8').trim();
      const words = said.replace(/^error: /, '').replace(/ \[\w+\]$/, '');
      const how = signal === null ? `with exit code ${code}` : `by ${signal}`;
      reject(new TwinkleError('HEAD_UNREACHABLE', words === '' ? `the ${what} ended ${how}` : words));
    });
  });
}
