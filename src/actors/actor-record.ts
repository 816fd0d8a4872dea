/** One actor of this node, and what others are shown of it. Changes nothing. */
import type { ActorCard, ActorSpec, ActorState } from '../protocol/work.js';
import { type ActorLife, unborn } from './actor-life.js';
import type { Client } from './client.js';
import type { Job } from './job.js';
import type { Preparation } from './runtime-envs.js';
import type { Place } from './seats.js';
import type { Worker } from './worker.js';

/** What `list actors` shows. */
export interface ActorFacts {
  readonly id: string;
  readonly cls: string;
  readonly name: string;
  readonly namespace: string;
  readonly detached: boolean;
  readonly state: ActorLife['phase'];
  readonly epoch: number;
  readonly pid: number | null;
  readonly node: string | null;
  readonly reason: string;
  readonly resources: Readonly<Record<string, number>>;
}

export interface Actor {
  card: ActorCard;
  readonly spec: ActorSpec;
  /** Bytes of its constructor's arguments. */
  readonly body: Buffer;
  readonly job: Job;
  readonly creator: Client;
  readonly watchers: Set<Client>;
  /** Aborted when it is dead. */
  readonly ending: AbortController;
  life: ActorLife;
  /** Null: it has given it back. */
  place: Place | null;
  /** Of the surroundings of its process; null: it has not begun. */
  preparation: Preparation | null;
  /** Of the box where it was placed last; empty: nowhere yet. */
  node: string;
  worker: Worker | null;
  /** How often its place was taken away: who starts it sees whether it still has the one that was found. */
  moves: number;
  /** Its process of before is gone: its devices are free for the next. */
  left: Promise<unknown>;
  /** Bytes of what its constructor raised. */
  cause: Buffer;
}

/** An actor that has no place yet. */
export function newActor(creator: Client, job: Job, spec: ActorSpec, body: Buffer): Actor {
  const { id, name, namespace, cls_name, methods, max_task_retries } = spec;
  const card: ActorCard = { id, cls_name, name, namespace, methods, max_task_retries, ordered: isOrdered(spec) };
  return {
    ...{ card, spec, body: Buffer.from(body), job, creator, cause: Buffer.alloc(0), left: Promise.resolve() },
    ...{ watchers: new Set<Client>(), ending: new AbortController() },
    ...{ life: unborn(spec.max_restarts), place: null, preparation: null, node: '', worker: null, moves: 0 },
  };
}

/** As its watchers are told. */
export function stateOf(id: string, life: ActorLife, ordered?: boolean): ActorState {
  const { phase, epoch, path, pid, node, reason, cause, code } = life;
  return {
    id,
    state: phase,
    epoch,
    path,
    pid,
    node,
    reason,
    cause,
    ...(code === null ? {} : { code }),
    ...(ordered === undefined ? {} : { ordered }),
  };
}

export function factsOf({ card, spec, life, place, preparation }: Actor): ActorFacts {
  const waits = life.phase === 'PENDING' || life.phase === 'RESTARTING';
  // What is missing matters more than why it was started again.
  const reason = (waits ? (place?.reason ?? preparation?.reason) : null) ?? life.reason;
  return {
    ...{ id: card.id, cls: card.cls_name, name: card.name, namespace: card.namespace, detached: spec.detached },
    ...{ state: life.phase, epoch: life.epoch, reason, resources: spec.demand.resources },
    ...{ pid: life.phase === 'ALIVE' ? life.pid : null, node: life.node === '' ? null : life.node },
  };
}

/** With one call at a time they run in the order in which a caller made them; with several nobody can say. */
function isOrdered({ max_concurrency, groups }: ActorSpec): boolean {
  return max_concurrency === 1 && Object.keys(groups).length === 0;
}
