/** A head of the test's own for actors, tasks and objects, with its runtime: eight CPUs, six fake GPUs. What it leaves behind is told. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, vi } from 'vitest';
import type { WorkStatus } from '../../src/actors/work-lists.js';
import { askStatus } from '../../src/cli/admin.js';
import { PACKAGE_ROOT, PYTHON_WORKERS } from '../../src/config/package-root.js';
import { type CreateRuntimeOptions, createRuntime, type WorkerOutput } from '../../src/runtime/create-runtime.js';
import { listInstances } from '../../src/runtime/instance-file.js';
import { processesWithEnv } from '../../src/supervisor/proc.js';
import type { Runtime } from '../../src/work/runtime.js';
import { runCli } from './cli.js';
import { testPython } from './pythons.js';

/** Python files and programs of these tests. */
export const WORK_FIXTURES = join(PACKAGE_ROOT, 'test', 'integration', 'fixtures', 'work');
/** In the environment of everything that a box starts. */
const MARK = 'TWINKLE_TEST_BOX';
const PATIENCE = { timeout: 15_000, interval: 10 };

/** Look until it holds. For what the head does in its own time. @param seen says what is there instead */
export async function eventually(holds: () => unknown, seen: () => unknown = () => holds): Promise<void> {
  await vi
    .waitUntil(async () => Boolean(await holds()), PATIENCE)
    .catch(async () => {
      throw new Error(`not within ${PATIENCE.timeout} ms: ${String(await seen())}`);
    });
}

const NODE_ARGS = ['--input-type=module', '-e'];
const PYTHON_ARGS = ['-u', '-c'];
const DIST = join(PACKAGE_ROOT, 'dist', 'index.js');

/** A program that was started: what it says. */
export class Program {
  readonly pid: number;
  /** Its lines, when it has ended well. */
  readonly ended: Promise<string[]>;
  readonly #lines: string[] = [];

  constructor(child: ChildProcessWithoutNullStreams) {
    this.pid = child.pid ?? -1;
    let stderr = '';
    child.stdin.end();
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
    });
    createInterface({ input: child.stdout }).on('line', (line) => this.#lines.push(line));
    this.ended = once(child, 'close').then(([code, signal]) => {
      if (code === 0) return this.#lines;
      throw new Error(`the program ended with ${code ?? signal}: ${this.#lines.join('\n')}${stderr}`);
    });
    this.ended.catch(() => {});
  }

  /** Its first line, as JSON. Rejects when it has ended without one. */
  async said<T>(): Promise<T> {
    const said = eventually(() => this.#lines.length > 0);
    await Promise.race([said, this.ended.then(() => said)]);
    return JSON.parse(this.#lines[0] as string) as T;
  }

  /** SIGKILL, and wait for its end. */
  async kill(): Promise<void> {
    process.kill(this.pid, 'SIGKILL');
    await this.ended.catch(() => {});
  }
}

export class WorkBox implements AsyncDisposable {
  /** Of the head; the box's own. */
  readonly home = mkdtempSync(join(tmpdir(), 'twinkle-work-'));
  readonly mark = randomBytes(6).toString('hex');
  readonly env: Record<string, string>;
  /** What workers have printed. */
  readonly printed: WorkerOutput[] = [];
  python = '';
  #runtime: Runtime | null = null;
  #next = 0;

  constructor() {
    const { env } = process;
    const fake = { TWINKLE_FAKE_DEVICES: 'gpu:6', TWINKLE_HOME: this.home, [MARK]: this.mark };
    this.env = { ...(env as Record<string, string>), ...fake };
  }

  /** With a head of its own process, that programs join. */
  static async withHead(): Promise<WorkBox> {
    const box = new WorkBox();
    await box.startHead();
    return box;
  }

  /** The line by which other boxes join; empty without `--port` among the flags. */
  async startHead(...flags: readonly string[]): Promise<string> {
    return (await this.#start(['--head', ...flags])).join ?? '';
  }

  /** Be an agent of the head that printed that line. Its node. */
  async startAgent(line: string): Promise<string> {
    const found = /--address (\S+) --token (\S+)$/.exec(line);
    const [, address = '', token = ''] = found ?? [];
    const { node = '' } = await this.#start(['--address', address], { TWINKLE_JOIN_TOKEN: token });
    return node;
  }

  /** With a head in this process and a runtime that has joined it. */
  static async open(options: CreateRuntimeOptions = {}): Promise<WorkBox> {
    const box = new WorkBox();
    box.python = await testPython();
    box.#runtime = await box.join({ address: 'local', numCpus: 8, ...options });
    return box;
  }

  get runtime(): Runtime {
    if (this.#runtime === null) throw new Error('the box has no runtime of its own');
    return this.#runtime;
  }

  /** Another runtime in this process, by default of the head that runs in the box's home. */
  async join(options: CreateRuntimeOptions = {}): Promise<Runtime> {
    this.python ||= await testPython();
    return await createRuntime({
      ...{ address: 'auto', home: this.home, env: this.env, python: this.python, folder: WORK_FIXTURES },
      ...{ output: (said: WorkerOutput) => void this.printed.push(said), ...options },
    });
  }

  /** The process of the head. */
  get head(): number {
    return listInstances(this.home).find(({ alive }) => alive)?.file.pid ?? 0;
  }

  /** A path that is not there yet, in the box's home; with `folder` an empty folder there. */
  path(folder = false): string {
    const path = join(this.home, `test-${this.#next++}`);
    if (folder) mkdirSync(path);
    return path;
  }

  there(path: string): boolean {
    return existsSync(path);
  }

  /** Opens a gate that Python waits at. */
  touch(path: string): void {
    writeFileSync(path, '');
  }

  /** The process that has marked the path, when it has. */
  async begun(path: string): Promise<number> {
    await eventually(() => read(path) !== '');
    return Number(read(path));
  }

  async work(): Promise<WorkStatus> {
    const head = listInstances(this.home).find(({ alive }) => alive);
    const status = head === undefined ? null : await askStatus(head.file);
    if (status === null || !('kind' in status) || status.kind !== 'head' || status.work === undefined)
      throw new Error('no head answers');
    return status.work;
  }

  /** Everything that tests took of the cluster is free again. */
  async free(): Promise<void> {
    const missing = async () => {
      const [node] = (await this.runtime.snapshot()).nodes;
      const { resources = {}, available = {} } = node ?? {};
      return Object.keys(resources).filter((name) => resources[name] !== available[name]);
    };
    await eventually(async () => (await missing()).length === 0, missing);
  }

  /** Processes that the box has started, or that they have, and that live. */
  processes(): number[] {
    return processesWithEnv(MARK, this.mark).filter((pid) => pid !== process.pid);
  }

  /** Another program, in Node (a module) or in Python, that runs where the fixtures are. */
  start(kind: 'node' | 'python', text: string, env: Record<string, string> = {}): Program {
    const [command, args] = kind === 'node' ? [process.execPath, NODE_ARGS] : [this.python, PYTHON_ARGS];
    const found = { TWINKLE_PYTHON: this.python, PYTHONPATH: PYTHON_WORKERS, TWINKLE_DIST: DIST };
    const options = { cwd: WORK_FIXTURES, env: { ...this.env, ...found, ...env } };
    return new Program(spawn(command, [...args, text], options));
  }

  /** The same, to its end: its lines. */
  async program(kind: 'node' | 'python', text: string): Promise<string[]> {
    return await this.start(kind, text).ended;
  }

  async #start(flags: readonly string[], env = {}): Promise<{ readonly join?: string; readonly node?: string }> {
    this.python ||= await testPython();
    const args = ['start', ...flags, '--json', '--num-cpus', '8'];
    const { code, stdout, stderr } = await runCli(args, { ...this.env, ...env });
    if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${stderr}`);
    return JSON.parse(stdout);
  }

  /** Ends the runtime, and looks what is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      if (this.#runtime?.connected === true) await this.free();
      await this.#runtime?.[Symbol.asyncDispose]();
      if (this.head > 0) await runCli(['stop', '--all', '--timeout', '5'], this.env);
      await eventually(
        () => this.processes().length === 0,
        () => `processes ${this.processes().join()} end`,
      );
      for (const folder of ['run', 'instances', 'spill', 'code']) expect(list(join(this.home, folder))).toEqual([]);
    } finally {
      rmSync(this.home, { recursive: true, force: true });
    }
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
