/**
 * The warm pool: a template process imports the libraries of its models once and forks their ranks from then on.
 * It is started ahead, again when it died, and its death leaves running ranks alone. See python-workers/twinkle_worker/template.py.
 */
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { TwinkleError } from '../errors.js';
import type { Native, ProcessExit } from '../native/types.js';
import type { ForkRequest, TemplateMessage } from '../protocol/launch.js';
import { type Deferred, deferred } from '../util/deferred.js';
import { signalName } from './incident.js';
import {
  environmentLines,
  type LaunchRequest,
  type ProcessEnd,
  type PythonRuntime,
  type RankLauncher,
  type RunningRank,
} from './launcher.js';
import type { ProcessWatcher } from './process-watcher.js';
import { openRankLog, tailLog } from './rank-log.js';

const CONTROL_FD = 3;
const DEATH_FD = 4;
const UNKNOWN_END: ProcessEnd = { code: null, signal: null, maxRssKb: 0 };
/** A fork takes milliseconds: a template that has not answered by then is stopped or wedged, and its successor may do better. */
const FORK_MS = 10_000;

interface Fork {
  readonly forked: Deferred<number>;
  readonly ended: Deferred<ProcessEnd>;
  pid: number | null;
}

export interface TemplateOptions {
  readonly engine: string;
  /** What the engine will load; each template reads it when it starts. */
  readonly models: readonly string[];
  /** Log file of the template itself. */
  readonly log: string;
}

/** One life of the template process. */
class Template {
  readonly gone: Promise<unknown>;
  alive = true;
  /** False once the control socket is closed: its number may be another's by now. */
  #connected = true;
  #imported = false;
  #farewell: NodeJS.Timeout | undefined;
  readonly #ready = deferred<void>();
  readonly #forks = new Map<number, Fork>();
  readonly #socket: Socket;
  readonly #fd: number;
  readonly #deathWriter: number;
  readonly pid: number;

  constructor(
    private readonly native: Native,
    private readonly watcher: ProcessWatcher,
    runtime: PythonRuntime,
    private readonly options: TemplateOptions,
  ) {
    this.#ready.promise.catch(() => {}); // whoever launches sees it
    const fds: number[] = [];
    const had = (ends: readonly [number, number]): readonly [number, number] => {
      fds.push(...ends);
      return ends;
    };
    try {
      const [ours, theirs] = had(native.socketPair());
      const [deathReader, deathWriter] = had(native.pipe());
      const log = openRankLog(options.log, `template of ${options.engine}`);
      try {
        this.pid = native.spawn({
          file: runtime.python,
          args: [
            '-m',
            'twinkle_worker.template',
            String(CONTROL_FD),
            String(DEATH_FD),
            options.engine,
            ...options.models,
          ],
          env: environmentLines(runtime.env),
          cwd: null,
          fds: [
            [1, log],
            [2, log],
            [CONTROL_FD, theirs],
            [DEATH_FD, deathReader],
          ],
          parentDeathSignal: runtime.parentDeathSignal,
          cpus: null,
        });
      } finally {
        closeSync(log);
      }
      native.closeFd(theirs);
      native.closeFd(deathReader);
      this.#fd = ours;
      this.#deathWriter = deathWriter;
    } catch (error) {
      for (const fd of fds) native.closeFd(fd);
      throw error;
    }
    this.#socket = new Socket({ fd: this.#fd, readable: true, writable: false });
    this.#socket.on('error', () => {}); // its close says all there is
    this.#socket.on('close', () => {
      this.#connected = false;
      // It is ending by itself, and its exit code says why; one that only hung up must not stay.
      if (this.alive) this.#farewell = setTimeout(() => this.kill(), FORK_MS).unref();
    });
    createInterface({ input: this.#socket }).on('line', (line) => this.#heard(line));
    this.gone = watcher.ended(this.pid).then((exit) => this.#ended(exit));
  }

  /** Whether it can be asked to fork. */
  get usable(): boolean {
    return this.alive && this.#connected;
  }

  /** Its ranks live on; `gone` tells. */
  kill(): void {
    if (this.alive) this.native.killGroup(this.pid, 9);
  }

  /** Resolves when the libraries are imported; rejects with `PYTHON_ENV` when they cannot be. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  async fork(id: number, request: LaunchRequest): Promise<RunningRank> {
    const fds: [string, number][] = [
      ['death', request.deathFd],
      ['pass', request.passFd],
      ['stdout', request.logFd],
      ['stderr', request.logFd],
      ...(request.listenFd === null ? [] : ([['listen', request.listenFd]] as [string, number][])),
      ...request.linkFds.map((fd): [string, number] => ['link', fd]),
    ];
    const message: ForkRequest = {
      id,
      launch: { ...request.launch, death_fd: -1, pass_fd: -1, listen_fd: -1, link_fds: [] },
      fds: fds.map(([name]) => name),
    };
    const fork: Fork = { forked: deferred(), ended: deferred(), pid: null };
    this.#forks.set(id, fork);
    const bytes = Buffer.from(`${JSON.stringify(message)}\n`);
    try {
      if (!this.usable) throw new TwinkleError('RANK_FAILED', 'the template process ended before it could fork');
      this.native.sendFds(
        this.#fd,
        bytes,
        fds.map(([, fd]) => fd),
      );
    } catch (error) {
      this.#forks.delete(id);
      throw error;
    }
    const late = setTimeout(() => this.kill(), FORK_MS);
    try {
      return { pid: await fork.forked.promise, ended: fork.ended.promise };
    } finally {
      clearTimeout(late);
    }
  }

  #heard(line: string): void {
    let message: TemplateMessage;
    try {
      message = JSON.parse(line) as TemplateMessage;
    } catch {
      this.kill(); // half a line: it died while it wrote, or something else writes to its socket
      return;
    }
    const fork = this.#forks.get(message.id);
    switch (message.kind) {
      case 'ready':
        this.#imported = true;
        this.#ready.resolve();
        return;
      case 'forked':
        if (fork === undefined) return;
        fork.pid = message.pid;
        fork.forked.resolve(message.pid);
        return;
      case 'exit':
        this.#forks.delete(message.id);
        fork?.ended.resolve({ code: message.code, signal: message.signal, maxRssKb: message.max_rss_kb });
        return;
      case 'failed':
        this.#forks.delete(message.id);
        fork?.forked.reject(new TwinkleError('INTERNAL', message.detail));
    }
  }

  #ended(exit: ProcessExit): void {
    this.alive = false;
    clearTimeout(this.#farewell);
    this.#socket.destroy();
    this.native.closeFd(this.#deathWriter);
    const tail = tailLog(this.options.log, 20).join('\n');
    // One that was killed (out of memory, mostly), or had imported all, says nothing against the environment: another may work.
    const broken = exit.signal === null && !this.#imported;
    const how = exit.signal === null ? '' : ` by ${signalName(exit.signal)}`;
    const error = new TwinkleError(
      broken ? 'PYTHON_ENV' : 'RANK_FAILED',
      `the template process of engine \`${this.options.engine}\` ended${how}. Its last words:\n${tail}\n` +
        `If a package is missing or broken, run: npx twinkle-node setup --engine ${this.options.engine} --force`,
    );
    this.#ready.reject(error);
    for (const fork of this.#forks.values()) {
      fork.forked.reject(error);
      // Its children live on; nobody can tell how they end, only that they do.
      if (fork.pid !== null) void this.watcher.gone(fork.pid).then(() => fork.ended.resolve(UNKNOWN_END));
    }
    this.#forks.clear();
  }
}

export class TemplateLauncher implements RankLauncher {
  #template: Template | null = null;
  #closed = false;
  #next = 1;

  constructor(
    private readonly native: Native,
    private readonly watcher: ProcessWatcher,
    private readonly runtime: PythonRuntime,
    private readonly options: TemplateOptions,
  ) {}

  prepare(): void {
    this.#current();
  }

  async launch(request: LaunchRequest): Promise<RunningRank> {
    const template = this.#current();
    const { cancelled } = request;
    const withdrawn = deferred<never>();
    const withdraw = (): void => withdrawn.reject(new TwinkleError('ABORTED', 'the launch was withdrawn'));
    cancelled.addEventListener('abort', withdraw, { once: true });
    await Promise.race([template.ready, withdrawn.promise]);
    cancelled.removeEventListener('abort', withdraw);
    return await template.fork(this.#next++, request);
  }

  #current(): Template {
    if (this.#closed) throw new TwinkleError('DRAINING', 'the warm pool is closed');
    if (this.#template?.usable !== true) {
      this.#template = new Template(this.native, this.watcher, this.runtime, this.options);
    }
    return this.#template;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    const template = this.#template;
    if (template === null) return;
    template.kill();
    await template.gone;
  }
}
