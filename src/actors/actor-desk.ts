/** The actors of a node: made, started again, named, killed, and ended when nobody can reach them any more. */
import type { Cluster, Group } from '../cluster/api.js';
import { asTwinkleError, TwinkleError } from '../errors.js';
import type { Logger } from '../observability/logger.js';
import type { ActorBorn, ActorCard, ActorSpec, ActorState, Demand } from '../protocol/work.js';
import { type ActorEvent, type ActorLife, after, unborn } from './actor-life.js';
import { ActorNames } from './actor-names.js';
import type { ClientPeer } from './client-peer.js';
import { type Job, setupOf } from './job.js';
import { type ObjectDesk, SERVICE } from './object-desk.js';
import { askForSeat, type Seat } from './seat.js';
import type { Worker, WorkerEnd, WorkerPool } from './worker-pool.js';

export interface ActorDeskOptions {
  readonly cluster: Cluster;
  readonly pool: WorkerPool;
  readonly objects: ObjectDesk;
  /** Of this box. */
  readonly node: string;
  readonly log: Logger;
  seat(group: Group, demand: Demand): Promise<Seat>;
  employ(worker: Worker, job: Job): void;
  /** Somebody waits for room. */
  press(): void;
}

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

interface Actor {
  readonly card: ActorCard;
  readonly spec: ActorSpec;
  /** Bytes of its constructor's arguments. */
  readonly body: Buffer;
  readonly job: Job;
  readonly creator: ClientPeer;
  readonly watchers: Set<ClientPeer>;
  readonly ending: AbortController;
  life: ActorLife;
  group: Group | null;
  worker: Worker | null;
  /** Bytes of what its constructor raised. */
  cause: Buffer;
}

/** Ray places an actor by one CPU, and lets it hold what it asks for: nothing, unless it says so. */
const NEEDS = { CPU: 1 };

export class ActorDesk {
  readonly #options: ActorDeskOptions;
  readonly #actors = new Map<string, Actor>();
  readonly #byWorker = new Map<number, Actor>();
  readonly #names = new ActorNames();

  constructor(options: ActorDeskOptions) {
    this.#options = options;
  }

  /**
   * Make an actor, or find the one of that name. It begins at once; its state is told to who watches it.
   * @throws `ACTOR_NAME_TAKEN`, `PLACEMENT_INVALID`, `INVALID_REQUEST`
   */
  async create(creator: ClientPeer, job: Job, spec: ActorSpec, body: Buffer): Promise<ActorCard> {
    const { objects } = this.#options;
    const { id, name, namespace, cls_name, methods, max_task_retries } = spec;
    const known = name === '' ? null : this.#names.find(namespace, name);
    if (known !== null && spec.get_if_exists) return this.#hand(creator, known);
    this.#names.take(namespace, name, id);
    const card: ActorCard = { id, cls_name, name, namespace, methods, max_task_retries, ordered: isOrdered(spec) };
    const actor: Actor = {
      ...{ card, spec, body: Buffer.from(body), job, creator, cause: Buffer.alloc(0) },
      ...{ watchers: new Set<ClientPeer>(), ending: new AbortController() },
      ...{ life: unborn(spec.max_restarts), group: null, worker: null },
    };
    try {
      const needs = Object.keys(spec.demand.resources).length === 0 ? NEEDS : null;
      actor.group = await askForSeat(this.#options.cluster, spec.demand, this.#options.node, needs);
    } catch (error) {
      this.#names.free(namespace, name, id);
      throw error;
    }
    this.#actors.set(id, actor);
    objects.represent(spec.detached ? SERVICE : creator.id, id, spec.args.refs, () => this.#unreachable(actor));
    if (spec.detached) objects.hold(creator.id, { ids: [id] });
    void this.#start(actor);
    return card;
  }

  /** The living actor of that name. Throws `ACTOR_NOT_FOUND`. */
  find(client: ClientPeer, namespace: string, name: string): ActorCard {
    const id = this.#names.find(namespace, name);
    if (id === null) {
      const others = this.#names.list(namespace).map((other) => `"${other.name}"`);
      const there = others.length === 0 ? 'none has a name there' : `there: ${others.slice(0, 8).join(', ')}`;
      throw new TwinkleError('ACTOR_NOT_FOUND', `no actor "${name}" in namespace "${namespace}": ${there}`);
    }
    return this.#hand(client, id);
  }

  /** Named actors of a namespace, or of all (null). */
  named(namespace: string | null): readonly { readonly namespace: string; readonly name: string }[] {
    return this.#names.list(namespace);
  }

  /** Tell that client how it is, now and at every change. One that was forgotten is dead. */
  watch(client: ClientPeer, id: string): void {
    const actor = this.#actors.get(id);
    if (actor === undefined) {
      const life = { ...unborn(0), phase: 'DEAD' as const, reason: 'it ended, and nobody had a handle any more' };
      client.tell('actor', stateOf(id, life));
      return;
    }
    if (actor.life.phase !== 'DEAD') actor.watchers.add(client);
    this.#tell(client, actor);
  }

  /** End it. @param restart it may come back, as if its process had died */
  kill(id: string, restart: boolean): void {
    const actor = this.#actors.get(id);
    if (actor === undefined || actor.life.phase === 'DEAD') return;
    this.#happened(actor, { e: 'killed', reason: 'it was killed', restart });
  }

  /** A worker says what became of its constructor. */
  born(worker: Worker, { epoch, cause }: ActorBorn, body: Buffer): void {
    const actor = this.#byWorker.get(worker.id);
    if (actor === undefined || actor.life.epoch !== epoch || actor.worker !== worker) return;
    if (cause === null) {
      const { pid, path } = worker;
      const node = actor.group?.status.bundles[0]?.node ?? '';
      this.#happened(actor, { e: 'born', path, pid, node });
    } else {
      actor.cause = Buffer.from(body);
      this.#happened(actor, { e: 'stillborn', reason: 'its constructor raised', cause });
    }
  }

  /** Who made it has ended, and it does not outlive that. */
  clientGone(client: ClientPeer): void {
    for (const actor of this.#actors.values()) {
      actor.watchers.delete(client);
      if (actor.creator !== client || actor.spec.detached || actor.life.phase === 'DEAD') continue;
      this.#happened(actor, { e: 'killed', reason: `its creator, client ${client.id}, has ended`, restart: false });
    }
  }

  list(): ActorFacts[] {
    return [...this.#actors.values()].map(({ card, spec, life }) => ({
      ...{ id: card.id, cls: card.cls_name, name: card.name, namespace: card.namespace, detached: spec.detached },
      ...{ state: life.phase, epoch: life.epoch, reason: life.reason, resources: spec.demand.resources },
      ...{ pid: life.phase === 'ALIVE' ? life.pid : null, node: life.node === '' ? null : life.node },
    }));
  }

  /** Nothing begins any more. */
  close(): void {
    for (const { ending } of this.#actors.values()) ending.abort();
  }

  #hand(client: ClientPeer, id: string): ActorCard {
    this.#options.objects.hold(client.id, { ids: [id] });
    return (this.#actors.get(id) as Actor).card;
  }

  async #start(actor: Actor): Promise<void> {
    const { pool, employ, seat, log, press } = this.#options;
    const { epoch } = actor.life;
    const { signal } = actor.ending;
    try {
      const { group, spec, job } = actor;
      if (group === null) return;
      const stop = group.onChange(({ scheduling }) => {
        if (scheduling === 'NO_RESOURCES') press();
      });
      if (group.status.scheduling === 'NO_RESOURCES') press();
      await group.ready({ signal }).finally(stop);
      const place = await seat(group, spec.demand);
      const worker = await pool.take(job.python, setupOf(job, place.env, place.devices));
      if (signal.aborted || actor.life.epoch !== epoch || worker.gone) {
        worker.kill();
        if (worker.gone && !signal.aborted) throw new TwinkleError('RANK_FAILED', 'its worker ended at once');
        return;
      }
      actor.worker = worker;
      this.#byWorker.set(worker.id, actor);
      employ(worker, job);
      void worker.ended.then((end) => this.#ended(actor, worker, end));
      worker.peer.tell('assign', { actor: actor.card.id, spec, epoch }, [actor.body]);
    } catch (error) {
      if (signal.aborted || actor.life.epoch !== epoch) return;
      const { code, message } = asTwinkleError(error);
      log.warn({ actor: actor.card.id, code, message }, 'actor_not_started');
      this.#happened(actor, { e: 'lost', reason: message });
    }
  }

  #ended(actor: Actor, worker: Worker, end: WorkerEnd): void {
    this.#byWorker.delete(worker.id);
    if (actor.worker !== worker) return;
    actor.worker = null;
    const tail = end.logTail.slice(-20).join('\n');
    const reason = `its process ended: ${end.how}${tail === '' ? '' : `. Its last words:\n${tail}`}`;
    this.#happened(actor, { e: 'lost', reason });
  }

  #happened(actor: Actor, event: ActorEvent): void {
    const before = actor.life;
    actor.life = after(before, event);
    if (actor.life === before) return;
    const { phase, epoch, reason } = actor.life;
    this.#options.log.info({ actor: actor.card.id, class: actor.card.cls_name, phase, epoch, reason }, 'actor');
    if (phase === 'RESTARTING' || phase === 'DEAD') this.#release(actor);
    for (const watcher of actor.watchers) this.#tell(watcher, actor);
    if (phase === 'RESTARTING') void this.#start(actor);
    if (phase === 'DEAD') this.#bury(actor);
  }

  /** Its process of before ends, with what it started. */
  #release(actor: Actor): void {
    const { worker } = actor;
    actor.worker = null;
    worker?.kill();
  }

  #bury(actor: Actor): void {
    const { namespace, name, id } = actor.card;
    actor.ending.abort();
    actor.watchers.clear();
    this.#names.free(namespace, name, id);
    void actor.group?.remove();
    actor.group = null;
    if (actor.spec.detached) this.#options.objects.drop(SERVICE, { ids: [id] });
  }

  /** No handle is left anywhere. */
  #unreachable(actor: Actor): void {
    if (actor.life.phase !== 'DEAD') {
      this.#happened(actor, { e: 'killed', reason: 'nobody had a handle any more', restart: false });
    }
    this.#actors.delete(actor.card.id);
  }

  #tell(client: ClientPeer, actor: Actor): void {
    const body = actor.life.cause === null ? [] : [actor.cause];
    client.tell('actor', stateOf(actor.card.id, actor.life), body);
  }
}

/** With one call at a time they run in the order in which a caller made them; with several nobody can say. */
function isOrdered({ max_concurrency, groups }: ActorSpec): boolean {
  return max_concurrency <= 1 && Object.keys(groups).length === 0;
}

function stateOf(id: string, life: ActorLife): ActorState {
  const { phase, epoch, path, pid, node, reason, cause } = life;
  return { id, state: phase, epoch, path, pid, node, reason, cause };
}
