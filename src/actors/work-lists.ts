/** What people see of actors, tasks and objects: the facts of the desks, with pids where those have client numbers. */
import type { ActorFacts } from './actor-desk.js';
import type { ObjectStatus } from './object-desk.js';
import type { ObjectFacts } from './object-types.js';
import type { Reports, TaskFacts } from './task-reports.js';

/** What `status` shows. Plain JSON. */
export interface WorkStatus {
  /** Programs that have joined. */
  readonly drivers: number;
  readonly workers: number;
  /** Actors that are not dead. */
  readonly actors: number;
  /** Workers that run tasks, or wait for their next. */
  readonly leases: number;
  readonly store: ObjectStatus;
}

/** What `list actors`, `list tasks` and `list objects` show. Plain JSON. */
export interface WorkLists {
  actors(): readonly ListedActor[];
  /** Asks every client: after a second it goes on without those that do not answer. */
  tasks(): Promise<ListedTasks>;
  objects(): readonly ListedObject[];
}

/** A row of `list actors`. */
export interface ListedActor {
  readonly id: string;
  readonly class: string;
  /** Empty: it has none. */
  readonly name: string;
  readonly namespace: string;
  /** It outlives who made it. */
  readonly detached: boolean;
  readonly state: ActorFacts['state'];
  /** Why it waits, starts again or is dead; null: there is nothing to say. */
  readonly reason: string | null;
  readonly restarts: number;
  /** Null: it has no process now. */
  readonly pid: number | null;
  /** Id of its node, or of its last one; null: it had none yet. */
  readonly node: string | null;
  readonly resources: Readonly<Record<string, number>>;
}

/** A row of `list tasks`: a call whose result its caller has not got yet. */
export interface ListedTask extends Omit<TaskFacts, 'kind' | 'state'> {
  /** `actor`: of a method. */
  readonly kind: 'task' | 'actor';
  /** WAITING: for a value, for a worker, or for its turn. */
  readonly state: 'WAITING' | 'RUNNING';
  /** Of the process that has it; null: none, or not known. `worker` is its number, as in the name of its log. */
  readonly pid: number | null;
}

/** A row of `list objects`. */
export interface ListedObject extends Omit<ObjectFacts, 'owner' | 'holders'> {
  /** Pids of those that hold it or write it. */
  readonly holders: readonly number[];
  /** Pid of who promised it or made it known first; null: that process has ended. */
  readonly owner: number | null;
}

/** The document of `GET /work/tasks`. */
export interface ListedTasks extends Omit<Reports, 'tasks'> {
  readonly tasks: readonly ListedTask[];
}

/** Client number → pid; null: it is not there any more. */
export type PidOf = (client: number) => number | null;

export function listedActors(actors: readonly ActorFacts[]): ListedActor[] {
  return actors.map(({ cls, epoch, reason, id, name, namespace, detached, state, pid, node, resources }) => ({
    ...{ id, class: cls, name, namespace, detached, state, reason: reason === '' ? null : reason, restarts: epoch },
    ...{ pid, node, resources },
  }));
}

export function listedTasks({ tasks, ...others }: Reports, pidOf: PidOf): ListedTasks {
  const listed = tasks.map(({ kind, state, worker, ...task }) => ({
    ...{ ...task, worker, pid: worker === null ? null : pidOf(worker) },
    // Later clients may have more words than we know.
    ...{ kind: kind as ListedTask['kind'], state: state as ListedTask['state'] },
  }));
  return { tasks: listed, ...others };
}

/** Without those that stand for actors, which have a list of their own. */
export function listedObjects(
  objects: readonly ObjectFacts[],
  actors: readonly ActorFacts[],
  pidOf: PidOf,
): ListedObject[] {
  const stand = new Set(actors.map(({ id }) => id));
  return objects.flatMap(({ holders, owner, ...object }) => {
    if (stand.has(object.id)) return [];
    const pids = new Set(holders.flatMap((client) => pidOf(client) ?? []));
    return [{ ...object, holders: [...pids], owner: pidOf(owner) }];
  });
}
