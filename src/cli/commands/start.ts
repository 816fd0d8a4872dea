/** `start --head`: a head that outlives the command. It runs in a process of its own; the command returns when it is ready (`--block`: stays). */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { homeError, makeHomeFolder } from '../../config/home-folder.js';
import { parseBytes, parseNumber } from '../../config/quantity.js';
import { asTwinkleError, type ErrorCode, EXIT, TwinkleError } from '../../errors.js';
import type { HeadRequest } from '../../runtime/start-head.js';
import { homeFolder, runningInstances } from '../home.js';
import type { CliContext, CliIo, Handler } from '../io.js';
import { EndSignals } from '../serve/signals.js';

interface StartFlags {
  readonly head?: boolean;
  readonly block?: boolean;
  readonly json?: boolean;
  readonly home?: string;
  readonly gpus?: string;
  readonly npus?: string;
  readonly numCpus?: string;
  readonly numGpus?: string;
  readonly objectStoreMemory?: string;
  readonly objectSpillDir?: string;
  readonly headGrace: string;
  readonly logLevel: string;
}

/** What the head says when it is ready; to the command that started it, or as the line of `--json`. */
interface ReadyMessage {
  readonly event: 'ready';
  readonly address: string;
  readonly instance: string;
  readonly pid: number;
  readonly cluster: string;
}

/** Why it could not start. */
interface FailedMessage {
  readonly event: 'failed';
  readonly code: ErrorCode;
  readonly message: string;
}

/** A head that is not ready by then hangs. */
const READY_MS = 60_000;
const LEAST_STORE = 2 ** 20;

/** See {@link Handler}. */
export const run: Handler = async (command, context) => {
  const flags = command.opts<StartFlags>();
  const { io } = context;
  if (flags.head !== true) throw new TwinkleError('USAGE', 'expected `--head`: `twinkle-node start --head`');
  const home = homeFolder(flags.home, io);
  const running = runningInstances(home).find(({ file }) => file.kind === 'head');
  if (running !== undefined) {
    const { instance, pid } = running.file;
    throw new TwinkleError(
      'USAGE',
      `a head runs already in ${home}: ${instance}, pid ${pid}; end it with \`twinkle-node stop ${instance}\`, or set another --home`,
    );
  }
  const request = readRequest(flags, home, io.cwd);
  return flags.block === true ? await stay(request, context, flags) : await detach(command, home, io, flags);
};

function readRequest(flags: StartFlags, home: string, cwd: string): HeadRequest {
  const graceSeconds = number(flags.headGrace, '--head-grace', 1, 86_400);
  return {
    home,
    gpus: flags.gpus ?? null,
    npus: flags.npus ?? null,
    numCpus: flags.numCpus === undefined ? null : whole(flags.numCpus, '--num-cpus'),
    numGpus: flags.numGpus === undefined ? null : whole(flags.numGpus, '--num-gpus'),
    objectStoreMemory: flags.objectStoreMemory === undefined ? null : memory(flags.objectStoreMemory),
    objectSpillDir: flags.objectSpillDir === undefined ? null : resolve(cwd, flags.objectSpillDir),
    graceMs: graceSeconds * 1000,
    logLevel: flags.logLevel as HeadRequest['logLevel'],
  };
}

function number(text: string, name: string, min: number, max: number): number {
  const value = parseNumber(text);
  if (value === null || value < min || value > max) {
    throw new TwinkleError('USAGE', `expected a number from ${min} to ${max} for \`${name}\` but received "${text}"`);
  }
  return value;
}

function whole(text: string, name: string): number {
  const value = number(text, name, 0, 1_000_000);
  if (!Number.isInteger(value)) {
    throw new TwinkleError('USAGE', `expected a whole number for \`${name}\` but received "${text}"`);
  }
  return value;
}

function memory(text: string): number {
  const bytes = parseBytes(text);
  if (bytes === null || bytes < LEAST_STORE) {
    throw new TwinkleError(
      'USAGE',
      `expected bytes from 1MiB, like 10GiB, for \`--object-store-memory\` but received "${text}"`,
    );
  }
  return bytes;
}

/** Be the head, until a signal. */
async function stay(request: HeadRequest, context: CliContext, flags: StartFlags): Promise<number> {
  const { io, parts } = context;
  const signals = new EndSignals(io.signals);
  try {
    const { startStandaloneHead } = await parts.standaloneHead();
    const head = await startStandaloneHead(request, await parts.native(), io.env).catch((error: unknown) => {
      const { code, message } = asTwinkleError(error);
      io.tellParent?.({ event: 'failed', code, message });
      throw error;
    });
    try {
      const { instance, address, cluster, pid } = head.status();
      const ready: ReadyMessage = { event: 'ready', address, instance, pid, cluster };
      if (io.tellParent !== undefined) io.tellParent(ready);
      else if (flags.json === true) io.stdout.write(`${JSON.stringify(ready)}\n`);
      else show(ready, io);
      await signals.first;
    } finally {
      await head[Symbol.asyncDispose]();
    }
    return EXIT.ok;
  } finally {
    signals.close();
  }
}

/** Start the head as a process of its own, in its own session, and wait until it is ready. */
async function detach(command: Command, home: string, io: CliIo, flags: StartFlags): Promise<number> {
  const log = join(makeHomeFolder(home, 'logs'), 'start-head.log');
  const output = openLog(log, home);
  const words = command.options.flatMap((option) => {
    const value = command.getOptionValue(option.attributeName()) as string | boolean | undefined;
    if (value === undefined || value === false || option.attributeName() === 'json') return [];
    return value === true ? [String(option.long)] : [String(option.long), String(value)];
  });
  const main = process.argv[1] ?? '';
  const child = spawn(process.execPath, [main, 'start', ...words, '--block'], {
    detached: true,
    cwd: io.cwd,
    env: io.env,
    stdio: ['ignore', output, output, 'ipc'],
  });
  closeSync(output);
  const ready = await readiness(child, log);
  child.disconnect();
  child.unref();
  if (flags.json === true) io.stdout.write(`${JSON.stringify(ready)}\n`);
  else show(ready, io);
  return EXIT.ok;
}

function openLog(path: string, home: string): number {
  try {
    return openSync(path, 'w', 0o600);
  } catch (error) {
    throw homeError(home, error);
  }
}

function readiness(child: ChildProcess, log: string): Promise<ReadyMessage> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGTERM');
      reject(new TwinkleError('HEAD_UNREACHABLE', `the head was not ready within ${READY_MS / 1000} s; see ${log}`));
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
      reject(new TwinkleError('HEAD_UNREACHABLE', words === '' ? `the head ended ${how}` : words));
    });
  });
}

function show({ instance, address, pid }: ReadyMessage, io: CliIo): void {
  io.stdout.write(`head ${instance} ready, pid ${pid}, ${address}\n`);
  io.stdout.write(
    'servers on this box join it by themselves; see `twinkle-node status`, end it with `twinkle-node stop`\n',
  );
}
