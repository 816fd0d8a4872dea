/** One start of a gang: sockets, pipes, environment and process of each rank. */
import { closeSync } from 'node:fs';
import type { DeviceChoice } from '../config/types.js';
import type { Native } from '../native/types.js';
import type { LoadParams } from '../protocol/values.js';
import type { Hub } from '../transport/link.js';
import type { BreakerPolicy } from './gang-machine.js';
import type { RankLauncher } from './launcher.js';
import type { ProcessWatcher } from './process-watcher.js';
import { rankEnvironment } from './rank-environment.js';
import { openRankLog } from './rank-log.js';
import { RankSession, type SessionEvents } from './rank-session.js';

/** What a gang is, whatever engine runs in it. */
export interface GangSpec {
  /** `<model>/<replica>`: unique in the instance. */
  readonly id: string;
  readonly engine: string;
  readonly worldSize: number;
  /** Device of each rank; null: CPU. */
  readonly devices: readonly (DeviceChoice | null)[];
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

export interface Launching {
  /** There at once, before any process exists. */
  readonly sessions: readonly RankSession[];
  /** Settles when every launch has succeeded or failed; rejects with the first failure. */
  readonly done: Promise<void>;
}

const LOOPBACK = '127.0.0.1';

/** Begin to launch every rank of an epoch. */
export function launchRanks(
  spec: GangSpec,
  deps: GangDependencies,
  epoch: number,
  events: (rank: number) => SessionEvents,
): Launching {
  const { native } = deps;
  const rendezvous = spec.worldSize > 1 ? native.listenSocket(LOOPBACK, 0, 1024) : null;
  const launches = Array.from({ length: spec.worldSize }, (_, rank) => {
    const [deathReader, deathWriter] = native.pipe();
    const [passOurs, passTheirs] = native.socketPair();
    const session = new RankSession(deps.hub, rank, epoch, native, deathWriter, passOurs, events(rank));
    const logFd = openRankLog(deps.logPath(spec, rank), `${new Date().toISOString()} rank ${rank} epoch ${epoch}`);
    const launch = async (): Promise<void> => {
      try {
        const running = await deps.launcher.launch({
          launch: {
            instance: deps.instance,
            gang: spec.id,
            epoch,
            rank,
            local_rank: rank,
            world_size: spec.worldSize,
            endpoint: deps.hub.endpoint,
            identity: session.identity,
            engine: spec.engine,
            env: rankEnvironment(
              {
                instance: deps.instance,
                gang: spec.id,
                epoch,
                rank,
                localRank: rank,
                worldSize: spec.worldSize,
                masterAddr: LOOPBACK,
                masterPort: rendezvous?.port ?? 0,
                device: spec.devices[rank] ?? null,
              },
              deps.inherited,
            ),
            master_addr: LOOPBACK,
            master_port: rendezvous?.port ?? 0,
          },
          deathFd: deathReader,
          passFd: passTheirs,
          listenFd: rank === 0 && rendezvous !== null ? rendezvous.fd : null,
          logFd,
        });
        session.started(running);
      } finally {
        native.closeFd(deathReader);
        native.closeFd(passTheirs);
        closeSync(logFd);
      }
    };
    return { session, launched: launch() };
  });
  const settled = Promise.allSettled(launches.map(({ launched }) => launched));
  const done = settled.then((results) => {
    if (rendezvous !== null) native.closeFd(rendezvous.fd);
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  });
  done.catch(() => {}); // the gang awaits it too
  return { sessions: launches.map(({ session }) => session), done };
}
