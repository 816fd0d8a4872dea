/** One worker process: made with its descriptors, and how it ended. What it computes is others' business. */
import { randomBytes } from 'node:crypto';
import { closeSync, rmSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import type { Native } from '../native/types.js';
import type { ProcessEnd, RankLauncher, RunningRank } from '../supervisor/launcher.js';
import { openRankLog, tailLog } from '../supervisor/rank-log.js';
import { ClientPeer } from './client-peer.js';
import type { Worker, WorkerEnd } from './worker.js';

export interface WorkerOptions {
  readonly native: Native;
  /** Id of this box in the ledger. */
  readonly node: string;
  readonly instance: string;
  /** 0700; sockets of workers. */
  readonly socketFolder: string;
  readonly logFolder: string;
}

const SIGKILL = 9;

/** One process. It ends when the service does, or when it is killed, or by itself. */
export class WorkerProcess implements Worker {
  /** What it was set up for; null: nothing yet. */
  use: { readonly driver: number; readonly setup: string } | null = null;
  /** Its process is known to be gone. */
  gone = false;
  readonly ended: Promise<WorkerEnd>;

  constructor(
    readonly peer: ClientPeer,
    readonly pid: number,
    readonly path: string,
    readonly python: string,
    ended: Promise<WorkerEnd>,
    private readonly endGroup: () => void,
  ) {
    this.ended = ended.then((end) => {
      this.gone = true;
      return end;
    });
  }

  get id(): number {
    return this.peer.id;
  }

  get node(): string {
    return this.peer.node;
  }

  /** Whether it can be given work: its process and its connection are there. */
  get usable(): boolean {
    return !this.gone && !this.peer.ended;
  }

  kill(): void {
    if (!this.gone) this.endGroup();
  }
}

/**
 * Start one. It has not joined yet.
 * @param client its number
 * @param cancelled a launch that has made no process yet rejects
 * @throws what the launcher rejects with; then no descriptor is left
 */
export async function startWorker(
  { native, node, instance, socketFolder, logFolder }: WorkerOptions,
  python: string,
  client: number,
  launcher: RankLauncher,
  cancelled: AbortSignal,
): Promise<WorkerProcess> {
  const name = `w${client}`;
  const path = join(socketFolder, `${name}.s`);
  const log = join(logFolder, `worker-${client}.log`);
  /** Its ends: ours are closed once it has them, or never will. */
  const lent: (() => void)[] = [];
  /** Ours: closed when the process ends, or never was. */
  const own: (() => void)[] = [];
  let running: RunningRank | null = null;
  try {
    const [deathFd, deathWriter] = native.pipe();
    lent.push(() => native.closeFd(deathFd));
    own.push(() => native.closeFd(deathWriter));
    const [ours, passFd] = native.socketPair();
    lent.push(() => native.closeFd(passFd));
    own.push(() => native.closeFd(ours));
    const logFd = openRankLog(log, `${new Date().toISOString()} worker ${client}`);
    lent.push(() => closeSync(logFd));
    running = await launcher.launch({
      launch: {
        ...{ instance, gang: name, epoch: 0, rank: 0, local_rank: 0, world_size: 1, role: 'worker' },
        ...{ endpoint: path, curve: null, identity: randomBytes(8).toString('hex'), engine: 'actors' },
        ...{ env: { TWINKLE_INSTANCE: instance, TWINKLE_GANG: name }, master_addr: '127.0.0.1', master_port: 0 },
      },
      ...{ deathFd, passFd, logFd, listenFd: null, linkFds: [], cancelled },
    });
    const { pid } = running;
    const socket = new Socket({ fd: ours, readable: true, writable: true });
    own.pop(); // the socket closes it
    const peer = new ClientPeer(socket, client, node);
    const endGroup = (): void => void native.killGroup(pid, SIGKILL);
    const ended = running.ended.then((end) => {
      endGroup(); // what it forked is in its group
      native.closeFd(deathWriter);
      const told = endOf(end, log);
      peer.close(`its process ended: ${told.how}`);
      rmSync(path, { force: true });
      return told;
    });
    return new WorkerProcess(peer, pid, path, python, ended, endGroup);
  } catch (error) {
    if (running !== null) native.killGroup(running.pid, SIGKILL);
    for (const release of own) release();
    throw error;
  } finally {
    for (const release of lent) release();
  }
}

function endOf({ code, signal }: ProcessEnd, log: string): WorkerEnd {
  const how = signal === null ? `exit code ${code ?? 'unknown'}` : `signal ${signal}`;
  return { code, signal, how, logTail: tailLog(log, 50) };
}
