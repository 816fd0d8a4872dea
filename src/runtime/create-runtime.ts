/** `createRuntime`: actors, tasks and objects from Node, at the head of this box or at one of the program's own. Wiring only. */
import { rmSync } from 'node:fs';
import { connect } from 'node:net';
import { resolve } from 'node:path';
import { resolveHome } from '../config/home.js';
import type { PythonConfig } from '../config/types.js';
import { TwinkleError } from '../errors.js';
import { loadNative } from '../native/load.js';
import type { ActorCard, Printed } from '../protocol/work.js';
import { WORK_PROTOCOL } from '../protocol/work.js';
import { WorkClient } from '../work/client.js';
import { ActorHandle, handleOf } from '../work/handle.js';
import { Runtime } from '../work/runtime.js';
import { QUIET, REQUIREMENTS } from './configure.js';
import { runningAgent, runningHead } from './instance-file.js';
import { startStandaloneHead } from './start-head.js';
import { makeTemporaryHome, sweepTemporaryHomes } from './temporary-home.js';

/** Options of {@link createRuntime}. */
export interface CreateRuntimeOptions {
  /** `auto`: the head that runs on this box; `local`: one of this program's own, in this process; default: the one, or else the other. */
  readonly address?: 'auto' | 'local';
  /** Folder of the head's state; default `TWINKLE_HOME`, else `~/.twinkle-node`; of `local` a temporary one. */
  readonly home?: string;
  /** Where names of actors are looked up. Default `default`. */
  readonly namespace?: string;
  /** Interpreter of the workers; default `TWINKLE_PYTHON`, else one with nothing but what workers need, which is made at its first use. */
  readonly python?: string;
  /** Folder from which files of code are named, and where workers run and import from. Default: the current one. */
  readonly folder?: string;
  /** Where workers import from beside it. */
  readonly pythonPath?: readonly string[];
  /** Of an own head. Default: what the machine has. */
  readonly numCpus?: number;
  /** Of an own head. Default: what the machine has. */
  readonly numGpus?: number;
  /** Of an own head: bytes of shared memory for objects. Default: 30 % of the machine's. */
  readonly objectStoreMemory?: number;
  /** What workers print: lines here, too (default), or nothing, or told. */
  readonly output?: 'inherit' | 'ignore' | ((said: WorkerOutput) => void);
  /** Environment to use instead of the process's own. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Ends the attempt. */
  readonly signal?: AbortSignal;
}

/** What a worker printed. */
export interface WorkerOutput {
  /** Class of the actor, or function of the task. */
  readonly name: string;
  readonly pid: number;
  readonly lines: readonly string[];
  /** On its stderr. */
  readonly error: boolean;
}

/** Everything that an own head asks of whoever starts it. */
const OWN_HEAD = { gpus: null, npus: null, graceMs: 30_000, logLevel: 'info', objectSpillDir: null } as const;

interface Joined {
  readonly socket: string;
  readonly close: () => Promise<void>;
}

/**
 * Join the head of this box, or start one in this process. Keeps the process alive until disposed.
 * @throws `HEAD_UNREACHABLE`, `CONFIG_INVALID`, `PYTHON_MISSING`, `PYTHON_ENV`; nothing is left running then
 */
export async function createRuntime(options: CreateRuntimeOptions = {}): Promise<Runtime> {
  const { env = process.env, namespace = 'default', signal } = options;
  signal?.throwIfAborted();
  const folder = resolve(options.folder ?? '.');
  const [python, joined] = await both(interpreterOf(options, env), headOf(options, env));
  try {
    const output = outputOf(options.output ?? 'inherit');
    const made: { client: WorkClient | null } = { client: null };
    const hello = {
      ...{ protocol: WORK_PROTOCOL, kind: 'driver', pid: process.pid, path: '', python, namespace },
      ...{ sys_path: [folder, ...(options.pythonPath ?? []).map((path) => resolve(path))], cwd: folder },
    };
    const client = await WorkClient.join(connect(joined.socket), hello, {
      ...{ native: loadNative(), namespace, printed: output },
      cardOf: (value) => (value instanceof ActorHandle ? value.cardFor(made.client as WorkClient) : null),
      handleOf: (card: ActorCard) => handleOf(made.client as WorkClient, card, false),
    });
    made.client = client;
    signal?.throwIfAborted();
    return new Runtime(client, folder, joined.close);
  } catch (error) {
    await joined.close();
    throw error;
  }
}

/** Both, or nothing of the second is left. */
async function both(python: Promise<string>, head: Promise<Joined>): Promise<readonly [string, Joined]> {
  const [first, second] = await Promise.allSettled([python, head]);
  if (second.status === 'rejected') throw second.reason;
  if (first.status === 'fulfilled') return [first.value, second.value];
  await second.value.close();
  throw first.reason;
}

async function headOf(options: CreateRuntimeOptions, env: NonNullable<CreateRuntimeOptions['env']>): Promise<Joined> {
  const { address, numCpus, numGpus, objectStoreMemory } = options;
  if (address !== undefined && address !== 'auto' && address !== 'local') {
    throw new TwinkleError(
      'CONFIG_INVALID',
      `expected 'auto' or 'local' for \`address\` but received ${JSON.stringify(address)}`,
    );
  }
  const home = resolveHome(options.home, env, process.cwd());
  const running = address === 'local' ? null : runningService(home);
  if (running !== null) {
    const own = Object.entries({ numCpus, numGpus, objectStoreMemory }).find(([, value]) => value !== undefined);
    if (own === undefined) return { socket: running, close: async () => {} };
    throw new TwinkleError(
      'CONFIG_INVALID',
      `\`${own[0]}\` is of an own head, and one runs on this box: pass address: 'local' to start another`,
    );
  }
  if (address === 'auto') {
    throw new TwinkleError(
      'HEAD_UNREACHABLE',
      `no head runs in ${home}: start one with \`npx twinkle-node start --head\`, or leave \`address\` out`,
    );
  }
  const temporary = address === 'local' && options.home === undefined ? makeTemporaryHome() : null;
  const remove = (): void => {
    if (temporary !== null) rmSync(temporary, { recursive: true, force: true });
  };
  try {
    if (temporary !== null) await sweepTemporaryHomes();
    const own = { ...OWN_HEAD, home: temporary ?? home, numCpus: numCpus ?? null, numGpus: numGpus ?? null };
    const head = await startStandaloneHead({ ...own, objectStoreMemory: objectStoreMemory ?? null }, loadNative(), env);
    return {
      socket: runningService(own.home) as string,
      close: async () => {
        await head[Symbol.asyncDispose]();
        remove();
      },
    };
  } catch (error) {
    remove();
    throw error;
  }
}

/** Where programs of that home join: the head, or the agent of another box's. Null: neither runs. */
function runningService(home: string): string | null {
  return (runningHead(home) ?? runningAgent(home))?.workSocket ?? null;
}

async function interpreterOf(
  { python, signal }: CreateRuntimeOptions,
  env: NonNullable<CreateRuntimeOptions['env']>,
): Promise<string> {
  const { resolvePython } = await import('../python/resolve.js');
  const config: PythonConfig = { interpreter: python ?? (env.TWINKLE_PYTHON || null), mayInstall: true };
  const found = await resolvePython(config, 'actors', {
    ...{ env, requirementsDir: REQUIREMENTS, flavour: 'cpu', progress: QUIET },
    ...(signal === undefined ? {} : { signal }),
  });
  return found.python;
}

function outputOf(
  output: NonNullable<CreateRuntimeOptions['output']>,
): (said: Printed & { readonly pid: number }) => void {
  if (typeof output === 'function') return output;
  if (output === 'ignore') return () => {};
  return ({ name, pid, lines, error }) => {
    const text = lines.map((line) => `(${name} pid=${pid}) ${line}\n`).join('');
    (error ? process.stderr : process.stdout).write(text);
  };
}
