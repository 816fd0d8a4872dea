/**
 * The warm pool: one template process per engine and model imports the libraries once and forks ranks from then on.
 * It is started ahead, again when it died, and its death leaves running ranks alone. See python-workers/twinkle_worker/template.py.
 */
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { TwinkleError } from '../errors.js';
import type { Native } from '../native/types.js';
import type { ForkRequest, TemplateMessage } from '../protocol/launch.js';
import { type Deferred, deferred } from '../util/deferred.js';
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

interface Fork {
  readonly forked: Deferred<number>;
  readonly ended: Deferred<ProcessEnd>;
  pid: number | null;
}

export interface TemplateOptions {
  readonly engine: string;
  readonly model: string;
  /** Log file of the template itself. */
  readonly log: string;
}

/** One life of the template process. */
class Template {
  readonly gone: Promise<unknown>;
  alive = true;
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
    const [ours, theirs] = native.socketPair();
    const [deathReader, deathWriter] = native.pipe();
    const log = openRankLog(options.log, `template of ${options.engine}`);
    try {
      this.pid = native.spawn({
        file: runtime.python,
        args: ['-m', 'twinkle_worker.template', String(CONTROL_FD), String(DEATH_FD), options.engine, options.model],
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
    } catch (error) {
      native.closeFd(ours);
      native.closeFd(deathWriter);
      throw error;
    } finally {
      closeSync(log);
      native.closeFd(theirs);
      native.closeFd(deathReader);
    }
    this.#fd = ours;
    this.#deathWriter = deathWriter;
    this.#socket = new Socket({ fd: ours, readable: true, writable: false });
    this.#socket.on('error', () => {}); // its close says all there is
    createInterface({ input: this.#socket }).on('line', (line) => this.#heard(JSON.parse(line) as TemplateMessage));
    this.gone = watcher.ended(this.pid).then(() => this.#ended());
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
    ];
    const message: ForkRequest = {
      id,
      launch: { ...request.launch, death_fd: -1, pass_fd: -1, listen_fd: -1 },
      fds: fds.map(([name]) => name),
    };
    const fork: Fork = { forked: deferred(), ended: deferred(), pid: null };
    this.#forks.set(id, fork);
    const bytes = Buffer.from(`${JSON.stringify(message)}\n`);
    try {
      this.native.sendFds(
        this.#fd,
        bytes,
        fds.map(([, fd]) => fd),
      );
    } catch (error) {
      this.#forks.delete(id);
      throw error;
    }
    const pid = await fork.forked.promise;
    return { pid, ended: fork.ended.promise };
  }

  #heard(message: TemplateMessage): void {
    const fork = this.#forks.get(message.id);
    switch (message.kind) {
      case 'ready':
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

  #ended(): void {
    this.alive = false;
    this.#socket.destroy();
    this.native.closeFd(this.#deathWriter);
    const tail = tailLog(this.options.log, 20).join('\n');
    const error = new TwinkleError(
      'PYTHON_ENV',
      `the template process of engine \`${this.options.engine}\` ended. Its last words:\n${tail}\n` +
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
    await template.ready;
    return await template.fork(this.#next++, request);
  }

  #current(): Template {
    if (this.#closed) throw new TwinkleError('DRAINING', 'the warm pool is closed');
    if (this.#template?.alive !== true) {
      this.#template = new Template(this.native, this.watcher, this.runtime, this.options);
    }
    return this.#template;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    const template = this.#template;
    if (template === null) return;
    if (template.alive) this.native.killGroup(template.pid, 9);
    await template.gone;
  }
}
