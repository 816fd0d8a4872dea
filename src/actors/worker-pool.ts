/**
 * Worker processes: forked ahead from a template that has imported what all of them need, given to who asks, used again for the same work, and
 * ended. Knows processes and their first words; what they compute is others' business.
 */
import { randomBytes } from 'node:crypto';
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { TwinkleError } from '../errors.js';
import type { Native } from '../native/types.js';
import type { Setup } from '../protocol/work.js';
import type { ProcessEnd, RankLauncher } from '../supervisor/launcher.js';
import { openRankLog, tailLog } from '../supervisor/rank-log.js';
import { deferred } from '../util/deferred.js';
import { ClientPeer } from './client-peer.js';

export interface WorkerPoolOptions {
  readonly native: Native;
  readonly instance: string;
  /** 0700; sockets of workers. */
  readonly socketFolder: string;
  readonly logFolder: string;
  /** What forks them, by interpreter; asked once for each. */
  launcher(python: string): RankLauncher;
  /** A number for a client. */
  nextClient(): number;
  /** It has joined: let it in. */
  welcome(worker: Worker): void;
  /** Workers that wait, ready, for new work of any kind, by interpreter. */
  readonly spare: number;
}

/** How a worker ended, for people. */
export interface WorkerEnd {
  readonly code: number | null;
  readonly signal: number | null;
  /** `exit code 1`, `signal 9`. */
  readonly how: string;
  readonly logTail: readonly string[];
}

/** One process. */
export class Worker {
  /** What it was set up for; null: nothing yet. */
  use: string | null = null;
  /** Resolves when its process is gone. */
  readonly ended: Promise<WorkerEnd>;

  constructor(
    readonly peer: ClientPeer,
    readonly pid: number,
    /** Where it is called. */
    readonly path: string,
    readonly python: string,
    readonly log: string,
    ended: Promise<ProcessEnd>,
    private readonly endGroup: () => void,
  ) {
    this.ended = ended.then(({ code, signal }) => {
      this.gone = true;
      const how = signal === null ? `exit code ${code ?? 'unknown'}` : `signal ${signal}`;
      return { code, signal, how, logTail: tailLog(log, 50) };
    });
  }

  gone = false;

  get id(): number {
    return this.peer.id;
  }

  /** End it and what it started. `ended` tells. */
  kill(): void {
    this.endGroup();
  }
}

const SIGKILL = 9;

export class WorkerPool implements AsyncDisposable {
  readonly #options: WorkerPoolOptions;
  readonly #launchers = new Map<string, RankLauncher>();
  readonly #all = new Set<Worker>();
  /** Fresh ones, by interpreter. */
  readonly #spare = new Map<string, Worker[]>();
  readonly #starting = new Map<string, number>();
  /** Used before, by what they were set up for. */
  readonly #idle = new Map<string, Worker[]>();
  readonly #closing = new AbortController();

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
  }

  /** Those that run now. */
  get workers(): ReadonlySet<Worker> {
    return this.#all;
  }

  /** Have spare workers of that interpreter soon. */
  prepare(python: string): void {
    if (this.#closing.signal.aborted) return;
    const there = (this.#spare.get(python)?.length ?? 0) + (this.#starting.get(python) ?? 0);
    for (let missing = this.#options.spare - there; missing > 0; missing--) {
      this.#starting.set(python, (this.#starting.get(python) ?? 0) + 1);
      void this.#start(python)
        .then(
          (worker) => this.#keepSpare(worker),
          () => {}, // whoever needs one tries again, and hears why
        )
        .finally(() => this.#starting.set(python, (this.#starting.get(python) ?? 1) - 1));
    }
  }

  /**
   * A worker that is set up: one that did the same work before, a spare one, or a new one.
   * @throws `PYTHON_ENV`, `RANK_FAILED` when none can be started
   */
  async take(python: string, setup: Setup): Promise<Worker> {
    const use = JSON.stringify([python, setup]);
    const used = pop(this.#idle, use);
    if (used !== null) return used;
    const worker = pop(this.#spare, python) ?? (await this.#start(python));
    this.prepare(python);
    worker.use = use;
    worker.peer.tell('setup', setup);
    return worker;
  }

  /** It has nothing to do: it waits for work of its kind, or ends when there are enough of those. */
  giveBack(worker: Worker): void {
    if (worker.gone || worker.use === null || this.#closing.signal.aborted) return;
    const alike = this.#idle.get(worker.use) ?? [];
    if (alike.length >= this.#options.spare) {
      worker.kill();
      return;
    }
    this.#idle.set(worker.use, [...alike, worker]);
  }

  /** Ends every worker and template; resolves when they are gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    const workers = [...this.#all];
    for (const worker of workers) worker.kill();
    await Promise.all(workers.map(({ ended }) => ended));
    await Promise.all([...this.#launchers.values()].map((launcher) => launcher[Symbol.asyncDispose]()));
  }

  #keepSpare(worker: Worker): void {
    if (this.#closing.signal.aborted || worker.gone) return;
    this.#spare.set(worker.python, [...(this.#spare.get(worker.python) ?? []), worker]);
  }

  async #start(python: string): Promise<Worker> {
    const { native, instance, socketFolder, logFolder, nextClient } = this.#options;
    const client = nextClient();
    const name = `w${client}`;
    const path = join(socketFolder, `${name}.s`);
    const log = join(logFolder, `worker-${client}.log`);
    const undo: (() => void)[] = [];
    const lend = (ends: readonly [number, number]): readonly [number, number] => {
      undo.push(...ends.map((fd) => () => native.closeFd(fd)));
      return ends;
    };
    try {
      const [deathFd, deathWriter] = lend(native.pipe());
      const [ours, passFd] = lend(native.socketPair());
      const logFd = openRankLog(log, `${new Date().toISOString()} worker ${client}`);
      undo.push(() => closeSync(logFd));
      const running = await this.#launcherOf(python).launch({
        launch: {
          ...{ instance, gang: name, epoch: 0, rank: 0, local_rank: 0, world_size: 1, role: 'worker' },
          ...{ endpoint: path, curve: null, identity: randomBytes(8).toString('hex'), engine: 'actors' },
          ...{ env: { TWINKLE_INSTANCE: instance, TWINKLE_GANG: name }, master_addr: '127.0.0.1', master_port: 0 },
        },
        ...{ deathFd, passFd, logFd, listenFd: null, linkFds: [], cancelled: this.#closing.signal },
      });
      // From here on these two are the worker's: its process ends when they do.
      const keep = new Set([deathWriter, ours]);
      for (const fd of [deathFd, passFd]) native.closeFd(fd);
      closeSync(logFd);
      undo.length = 0;
      void keep;
      return await this.#joined(python, path, log, client, running, ours, deathWriter);
    } catch (error) {
      for (const release of undo.reverse()) release();
      throw error;
    }
  }

  async #joined(
    python: string,
    path: string,
    log: string,
    client: number,
    running: { readonly pid: number; readonly ended: Promise<ProcessEnd> },
    ours: number,
    deathWriter: number,
  ): Promise<Worker> {
    const { native, welcome } = this.#options;
    const peer = new ClientPeer(new Socket({ fd: ours, readable: true, writable: true }), client);
    const worker = new Worker(peer, running.pid, path, python, log, running.ended, () =>
      native.killGroup(running.pid, SIGKILL),
    );
    this.#all.add(worker);
    const ended = deferred<never>();
    void worker.ended.then((end) => {
      this.#all.delete(worker);
      this.#forget(worker);
      worker.kill(); // what it forked is in its group
      native.closeFd(deathWriter);
      peer.close(`its process ended: ${end.how}`);
      ended.reject(
        new TwinkleError('RANK_FAILED', `a worker ended while it started (${end.how}):\n${end.logTail.join('\n')}`),
      );
    });
    ended.promise.catch(() => {});
    await Promise.race([peer.joined, ended.promise]);
    welcome(worker);
    return worker;
  }

  #forget(worker: Worker): void {
    for (const kept of [this.#spare, this.#idle]) {
      for (const [key, workers] of kept) {
        const left = workers.filter((other) => other !== worker);
        if (left.length === 0) kept.delete(key);
        else kept.set(key, left);
      }
    }
  }

  #launcherOf(python: string): RankLauncher {
    const known = this.#launchers.get(python);
    if (known !== undefined) return known;
    const launcher = this.#options.launcher(python);
    this.#launchers.set(python, launcher);
    return launcher;
  }
}

/** Take one out; null: there is none. */
function pop(kept: Map<string, Worker[]>, key: string): Worker | null {
  const workers = kept.get(key);
  const last = workers?.pop();
  if (workers?.length === 0) kept.delete(key);
  return last ?? null;
}
