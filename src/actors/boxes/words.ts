/**
 * What a head and the agents of other boxes say to each other about actors, tasks and objects, beside reservations, on their connection
 * (`transport/peer.ts`). All of it is between processes of one user that hold the join token. Types only.
 */
import type { Demand, Join, Seal, Value } from '../../protocol/work.js';
import type { Job } from '../job.js';
import type { StoreResult } from '../object-types.js';
import type { Seat } from '../seats.js';
import type { WorkerEnd } from '../worker.js';

/** Where the door of a box is, and what opens it: each box has a key of its own, which only the head and those that it tells know. */
export interface DoorAddress {
  readonly host: string;
  readonly port: number;
  /** 32 bytes. */
  readonly key: Uint8Array;
}

/** Node → its door. */
export type Doors = Readonly<Record<string, DoorAddress>>;

/** `talk` of the welcome of an agent. */
export interface BoxWelcome {
  /** Id of the head's node. */
  readonly head: string;
  /** Its clients have numbers from here on, so many. */
  readonly first: number;
  readonly numbers: number;
  /** Of the head: its workers answer nobody else's clients. */
  readonly instance: string;
  readonly inlineBytes: number;
  readonly doors: Doors;
}

/** `talk` of the hello of an agent. */
export interface BoxHello {
  /** `WORK_PROTOCOL`: of its clients, whose words it forwards. */
  readonly protocol: number;
  readonly door: DoorAddress;
}

/**
 * Client numbers of one stay of an agent. Object ids begin with them, so none is given twice; frames of clients have room for 32 bits, of which
 * the upper ones count stays.
 */
export const NUMBERS = 2 ** 20;
export const MOST_STAYS = 2 ** 12 - 1;

/** A frame of a client. */
export interface Said {
  readonly client: number;
  readonly method: string;
  readonly params: unknown;
  readonly body: Uint8Array;
}

/** Where the bytes of an object are. */
export interface Found {
  readonly value: Value;
  /** Small ones come with the answer. */
  readonly body: Uint8Array;
  /** Node that has the large bytes; null: they are in `body`. */
  readonly node: string | null;
}

/** Agent → head, answered. `token`: names the question for `work.withdraw`. */
export interface AgentAsks {
  'work.ask': {
    readonly params: Said & { readonly token: number };
    readonly result: readonly [unknown, Uint8Array | null];
  };
  /** A client has written a large value in the memory of its box. */
  'work.seal': { readonly params: { readonly client: number; readonly seal: Seal }; readonly result: StoreResult };
  /** A client opens what its box does not have. */
  'work.find': {
    readonly params: { readonly client: number; readonly token: number; readonly id: string };
    readonly result: Found;
  };
}

/** Agent → head. */
export interface AgentTells {
  'work.joined': {
    readonly client: number;
    readonly hello: Join;
    /** Of a worker. */
    readonly worker: { readonly pid: number; readonly path: string } | null;
  };
  'work.gone': { readonly client: number; readonly reason: string };
  'work.tell': Said;
  'work.withdraw': { readonly token: number };
  /** The way to a worker of another box does not hold. */
  'work.broken': { readonly node: string; readonly path: string; readonly why: string };
  'work.ended': { readonly client: number; readonly end: WorkerEnd };
}

/** Head → agent, answered. */
export interface HeadAsks {
  /** A worker, set up; answered with its client number. It has joined before. */
  'work.take': {
    readonly params: { readonly job: Job; readonly seat: Seat; readonly demand: Demand };
    readonly result: number;
  };
}

/** Head → agent. */
export interface HeadTells {
  'work.give-back': { readonly client: number };
  'work.kill': { readonly client: number };
  'work.tell': Said;
  'work.close': { readonly client: number; readonly reason: string };
  /** Nobody holds these objects any more. */
  'work.drop': { readonly ids: readonly string[] };
  'work.job-ended': { readonly driver: number };
  'work.doors': { readonly doors: Doors };
  /** A worker of another box cannot be called any more. */
  'work.worker-ended': { readonly node: string; readonly path: string };
}

/** One side of the connection, as the other's words go out. */
export interface Link<
  A extends { readonly [M in keyof A]: { readonly params: unknown; readonly result: unknown } },
  T,
> {
  call<M extends keyof A & string>(method: M, params: A[M]['params']): Promise<A[M]['result']>;
  cast<M extends keyof T & string>(method: M, params: T[M]): void;
}
