/** One start of a gang: sockets, pipes, environment and process of each rank. */
import { closeSync } from 'node:fs';
import { TwinkleError } from '../errors.js';
import type { BoundSocket, Native } from '../native/types.js';
import type { LoadParams } from '../protocol/values.js';
import type { Hub } from '../transport/link.js';
import type { BreakerPolicy } from './gang-machine.js';
import type { RankLauncher } from './launcher.js';
import type { ProcessWatcher } from './process-watcher.js';
import { peersOf, type RankPlace, rankEnvironment } from './rank-environment.js';
import { openRankLog } from './rank-log.js';
import { RankSession, type SessionEvents } from './rank-session.js';

/** What a gang is, whatever engine runs in it. */
export interface GangSpec {
  /** `<model>/<replica>`: unique in the instance. */
  readonly id: string;
  readonly engine: string;
  /** Ranks; the engine's own process, if it has one, comes on top. */
  readonly worldSize: number;
  /** The engine (scheduler, tokenizer) runs in a process of its own, which drives the ranks; else in rank 0. */
  readonly ownEngine: boolean;
  /** Ranks reach each other's devices: the mask of each names those of all. */
  readonly sharedMask: boolean;
  readonly load: LoadParams;
  readonly breaker: BreakerPolicy;
  /** A phase of a start may take so long. */
  readonly phaseTimeoutMs: number;
  readonly silenceMs: number;
  readonly stallMs: number;
}

/** What a gang needs from the instance that owns it. */
export interface GangDependencies {
  readonly native: Native;
  readonly watcher: ProcessWatcher;
  readonly hub: Hub;
  readonly launcher: RankLauncher;
  readonly instance: string;
  /** The caller's environment, for variables that win over ours. */
  readonly inherited: Readonly<Record<string, string | undefined>>;
  readonly incidentFolder: string;
  logPath(spec: GangSpec, rank: number): string;
  /** Monotonic. */
  nowMs(): number;
}

/** Processes of a gang: its ranks, and behind them the engine if it has its own. */
export function memberCount({ worldSize, ownEngine }: Pick<GangSpec, 'worldSize' | 'ownEngine'>): number {
  return worldSize + (ownEngine ? 1 : 0);
}

/** The member that takes requests. */
export function leadOf({ worldSize, ownEngine }: Pick<GangSpec, 'worldSize' | 'ownEngine'>): number {
  return ownEngine ? worldSize : 0;
}

/** A member as people call it: `rank 3`, `the engine process`. */
export function memberName(spec: Pick<GangSpec, 'worldSize' | 'ownEngine'>, member: number): string {
  return spec.ownEngine && member === spec.worldSize ? 'the engine process' : `rank ${member}`;
}

export interface Launching {
  /** By member. There at once, before any process exists. */
  readonly sessions: readonly RankSession[];
  /** Settles when every launch has succeeded or failed; rejects with the first failure. */
  readonly done: Promise<void>;
  /** Launches that have not begun to make a process fail; `done` settles soon. */
  cancel(): void;
}

const LOOPBACK = '127.0.0.1';

/** What the process of one rank is given. */
interface Slot {
  readonly session: RankSession;
  readonly deathFd: number;
  readonly passFd: number;
  readonly logFd: number;
  /** Sockets to the engine process, or of the engine process to each rank. */
  readonly linkFds: readonly number[];
}

/**
 * Begin to launch every member of an epoch, each rank in its place; one without runs on the CPU. Everything that can run out is had before
 * the first process is made: when this throws, no process, descriptor or link is left.
 */
export function launchRanks(
  spec: GangSpec,
  deps: GangDependencies,
  epoch: number,
  places: readonly RankPlace[],
  events: (rank: number) => SessionEvents,
): Launching {
  const { native } = deps;
  const undo: (() => void)[] = [];
  const pair = (): readonly [number, number] => {
    const ends = native.socketPair();
    undo.push(...ends.map((fd) => () => native.closeFd(fd)));
    return ends;
  };
  const prepare = (rank: number, linkFds: readonly number[]): Slot => {
    const [deathFd, deathWriter] = native.pipe();
    undo.push(
      () => native.closeFd(deathFd),
      () => native.closeFd(deathWriter),
    );
    const [passOurs, passFd] = pair();
    const session = new RankSession(deps.hub, rank, epoch, native, deathWriter, passOurs, events(rank));
    undo.push(() =>
      session.close(new TwinkleError('CHANNEL_CLOSED', `${memberName(spec, rank)} of gang ${spec.id} was not started`)),
    );
    const headline = `${new Date().toISOString()} ${memberName(spec, rank)} epoch ${epoch}`;
    const logFd = openRankLog(deps.logPath(spec, rank), headline);
    undo.push(() => closeSync(logFd));
    return { session, deathFd, passFd, logFd, linkFds };
  };
  let rendezvous: BoundSocket | null;
  let slots: readonly Slot[];
  try {
    rendezvous = spec.worldSize > 1 ? native.listenSocket(LOOPBACK, 0, 1024) : null;
    if (rendezvous !== null) {
      const { fd } = rendezvous;
      undo.push(() => native.closeFd(fd));
    }
    const links = Array.from({ length: spec.ownEngine ? spec.worldSize : 0 }, pair);
    const linksOf = (member: number): readonly number[] =>
      member === spec.worldSize ? links.map(([engineEnd]) => engineEnd) : (links[member]?.slice(1) ?? []);
    slots = Array.from({ length: memberCount(spec) }, (_, member) => prepare(member, linksOf(member)));
  } catch (error) {
    for (const release of undo.reverse()) release();
    throw error;
  }
  const cancelled = new AbortController();
  const launches = slots.map((slot, rank) =>
    launch(spec, deps, epoch, rank, places, slot, rendezvous, cancelled.signal),
  );
  const settled = Promise.allSettled(launches);
  const done = settled.then((results) => {
    if (rendezvous !== null) native.closeFd(rendezvous.fd);
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  });
  done.catch(() => {}); // the gang awaits it too
  return { sessions: slots.map(({ session }) => session), done, cancel: () => cancelled.abort() };
}

async function launch(
  spec: GangSpec,
  deps: GangDependencies,
  epoch: number,
  rank: number,
  places: readonly RankPlace[],
  { session, deathFd, passFd, logFd, linkFds }: Slot,
  rendezvous: BoundSocket | null,
  cancelled: AbortSignal,
): Promise<void> {
  const { instance } = deps;
  const master = { masterAddr: LOOPBACK, masterPort: rendezvous?.port ?? 0 };
  const { id: gang, worldSize } = spec;
  const place = places[rank] ?? { localRank: rank, device: null };
  const peers = spec.sharedMask ? peersOf(places) : null;
  const identity = { instance, gang, epoch, rank, worldSize, ...master, ...place, peers };
  try {
    const running = await deps.launcher.launch({
      launch: {
        instance,
        gang,
        epoch,
        rank,
        local_rank: place.localRank,
        world_size: worldSize,
        role: !spec.ownEngine ? 'whole' : rank === worldSize ? 'engine' : 'rank',
        endpoint: deps.hub.endpoint,
        curve: deps.hub.credentials(session.identity),
        identity: session.identity,
        engine: spec.engine,
        env: rankEnvironment(identity, deps.inherited),
        master_addr: master.masterAddr,
        master_port: master.masterPort,
      },
      deathFd,
      passFd,
      listenFd: rank === 0 && rendezvous !== null ? rendezvous.fd : null,
      logFd,
      linkFds,
      cancelled,
    });
    session.started(running);
  } finally {
    deps.native.closeFd(deathFd);
    deps.native.closeFd(passFd);
    for (const fd of linkFds) deps.native.closeFd(fd);
    closeSync(logFd);
  }
}
