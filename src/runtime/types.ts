/** What a running head offers to the CLI, to embedders and to tests. */

import type { WorkStatus } from '../actors/work-lists.js';
import type { FleetControl } from '../serving/types/control.js';
import type { DeviceTurn, Inference, ModelState, ServedModel, StartProgress } from '../serving/types.js';
import type { TrainingService } from '../training/types.js';

/** One state document for `status`, `/status` on the admin socket, and bug reports. Plain JSON. */
export interface HeadStatus {
  readonly kind: 'serve';
  readonly instance: string;
  readonly pid: number;
  readonly version: string;
  /** Unix milliseconds. */
  readonly startedAt: number;
  readonly url: string | null;
  readonly home: string;
  readonly phase: 'starting' | 'ready' | 'degraded' | 'draining' | 'failed' | 'stopped';
  /** Who gives it its devices: a ledger of its own, or the head of this box, which may be away. */
  readonly cluster: { readonly kind: 'own' | 'head'; readonly connected: boolean };
  readonly models: readonly ServedModel[];
  /** Absent: nothing was trained yet. */
  readonly training?: readonly TrainerStatus[];
  /** Absent: all compute on CPUs. */
  readonly devices?: readonly DeviceHolding[];
}

/** Who computes on a device. */
export interface DeviceHolding {
  /** Its uuid. */
  readonly device: string;
  readonly replicas: readonly { readonly replica: string; readonly rank: number; readonly pid: number | null }[];
  readonly training: readonly { readonly model: string; readonly rank: number; readonly pid: number }[];
  /** Whose turn it is, where replicas sleep while others train; absent: all compute as they like. */
  readonly turn?: DeviceTurn['holder'];
}

/** The state document of a standalone head (`start --head`), on the same admin socket. Plain JSON. */
export interface ClusterHeadStatus {
  readonly kind: 'head';
  readonly instance: string;
  readonly pid: number;
  readonly version: string;
  /** Unix milliseconds. */
  readonly startedAt: number;
  readonly home: string;
  /** Where clients of its box reach it. */
  readonly address: string;
  /** `HOST:PORT` where other boxes join; absent: nowhere. */
  readonly tcp?: string;
  readonly phase: 'ready' | 'stopping';
  readonly cluster: string;
  readonly epoch: number;
  /** Nodes that it knows, whatever their state. */
  readonly nodes: number;
  /** Without leases. */
  readonly groups: {
    /** Groups with every bundle placed. */
    readonly created: number;
    /** Groups that wait for room, lost bundles included. */
    readonly pending: number;
  };
  /** Actors, tasks and objects; absent: the head offers no devices, so it runs none. */
  readonly work?: WorkStatus;
}

/** The state document of an agent (`start --address`), on the same admin socket. Plain JSON. */
export interface ClusterAgentStatus {
  readonly kind: 'agent';
  readonly instance: string;
  readonly pid: number;
  readonly version: string;
  /** Unix milliseconds. */
  readonly startedAt: number;
  readonly home: string;
  /** `HOST:PORT` of its head. */
  readonly address: string;
  readonly phase: 'ready' | 'stopping';
  /** Whether it is with its head now. */
  readonly connected: boolean;
  /** Why not, for people; null: it is. */
  readonly reason: string | null;
  /** Unix milliseconds of the last time that it joined. */
  readonly joinedAt: number;
  readonly node: {
    readonly id: string;
    readonly name: string;
    /** By which other boxes reach it. */
    readonly address: string;
  };
  /** Programs that have joined here, workers, and objects whose bytes are here; absent: it is not with its head. */
  readonly work?: Pick<WorkStatus, 'drivers' | 'workers' | 'store'>;
}

/** The ranks that train a model. */
export interface TrainerStatus {
  readonly model: string;
  readonly state: ModelState;
  /** Why they do not train; null: they do, or begin to. */
  readonly reason: string | null;
  /** Number of this start. */
  readonly epoch: number;
  readonly restarts: number;
  /** By rank; null: it does not run. */
  readonly pids: readonly (number | null)[];
  /** By rank: what it computes on, `cpu` or a uuid. Those that the model's first replica has, too. */
  readonly devices: readonly string[];
  /** Runs whose weights they have. */
  readonly runs: number;
}

/** Actors, tasks and objects as `list` shows them. */
export type { ListedActor, ListedObject, ListedTask, ListedTasks } from '../actors/work-lists.js';
/** Runs as `runs` shows them: see {@link TrainingWatch}. */
export type { RunDetail, RunStatus } from '../training/types/progress.js';

/** Lifecycle events; every one says who it is about. */
export interface HeadEvents {
  progress(model: string, progress: StartProgress): void;
  /** All models are ready; `url` is where to ask. */
  ready(url: string | null): void;
  /** A gang failed; `incident` is the path of its report. */
  failed(model: string, reason: string, incident: string | null): void;
  /** A gang that had failed serves again. @param elapsedMs from the start of its ranks */
  recovered(model: string, elapsedMs: number): void;
  /** Nothing can be served any more: the breaker is open. `details` of the error are those of `createServer`'s. */
  fatal(error: Error): void;
}

/** A running head: supervisor, serving and, when asked, HTTP. */
export interface Head extends AsyncDisposable {
  readonly instance: string;
  readonly inference: Inference;
  /** What reaches every replica of a model; null before it was started. */
  readonly control: FleetControl | null;
  /** Sessions of the Tinker SDK; null before it was started. */
  readonly training: TrainingService | null;
  /** `http://127.0.0.1:8000`, `unix:/path`, or null without HTTP. */
  readonly url: string | null;
  status(): HeadStatus;
  /** Resolves when every model is ready; rejects with the first fatal error, as `fatal` tells it. */
  ready(): Promise<void>;
  /** Refuse new work, let running work finish until the timeout. Resolves true when nothing had to be cut. */
  drain(timeoutMs: number): Promise<boolean>;
  /** End everything at once: when it resolves no process, socket or segment is left. Idempotent. */
  close(): Promise<void>;
  on<K extends keyof HeadEvents>(event: K, listener: HeadEvents[K]): void;
}

/** File `<home>/instances/<instance>.json`: how `status`, `list`, `logs` and `stop` find a head. Removed at its end; a stale one is ignored. */
export interface InstanceFile {
  /** `head`: a standalone head, `agent`: a box of another head; neither serves a model. */
  readonly kind: 'serve' | 'head' | 'agent';
  readonly instance: string;
  readonly pid: number;
  /** Field 22 of /proc/<pid>/stat: tells a reused pid from ours. */
  readonly pidStart: string;
  readonly startedAt: number;
  readonly url: string | null;
  /** Of a standalone head: where its clients connect; of an agent: `HOST:PORT` of its head. Null: a server. */
  readonly address: string | null;
  /** Of a head where other boxes may join: `HOST:PORT`. */
  readonly tcp?: string;
  /** Of a head or agent that runs actors and tasks: the socket where programs join. */
  readonly workSocket?: string;
  /** HTTP over a unix socket in a 0700 folder: GET /status. */
  readonly adminSocket: string;
  /** Folder of `<model>-<replica>-rank<N>.log`. */
  readonly logs: string;
}
