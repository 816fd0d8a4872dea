/** The actors of a node: made, started again, named, killed, and ended when nobody can reach them any more. */
import { setTimeout as sleep } from 'node:timers/promises';
import { asTwinkleError, TwinkleError } from '../errors.js';
import type { Logger } from '../observability/logger.js';
import type { ActorBorn, ActorCard, ActorSpec } from '../protocol/work.js';
import { type ActorEvent, after, pauseMs, unborn } from './actor-life.js';
import { ActorNames } from './actor-names.js';
import { type Actor, type ActorFacts, factsOf, newActor, stateOf } from './actor-record.js';
import type { Client } from './client.js';
import type { Job } from './job.js';
import { type ObjectDesk, SERVICE } from './object-desk.js';
import type { RuntimeEnvs } from './runtime-envs.js';
import type { Seats } from './seats.js';
import type { Worker, WorkerEnd } from './worker.js';
import type { Workplaces } from './workplace.js';

export type { ActorFacts };

export interface ActorDeskOptions {
  readonly seats: Seats;
  readonly workplaces: Workplaces;
  readonly objects: ObjectDesk;
  readonly envs: Pick<RuntimeEnvs, 'keep' | 'folders'>;
  readonly log: Logger;
  employ(worker: Worker, job: Job): void;
  /** Somebody waits for room. */
  press(): void;
  /** See `LeaseDesk`. */
  reach(client: Client, worker: Pick<Worker, 'node' | 'path'>): string;
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
   * @throws `ACTOR_NAME_TAKEN`, `PLACEMENT_INVALID`, `INVALID_REQUEST`, `PROTOCOL` for references to what is not known
   */
  async create(creator: Client, job: Job, spec: ActorSpec, body: Buffer): Promise<ActorCard> {
    const { objects, seats } = this.#options;
    const { id, name, namespace } = spec;
    const known = this.#named(namespace, name);
    if (known !== null && spec.get_if_exists) return this.#hand(creator, known);
    if (this.#actors.has(id)) throw invalid('an id that nobody has', 'id', id);
    if (spec.max_restarts < -1) throw invalid('at least -1', 'max_restarts', spec.max_restarts);
    this.#names.take(namespace, name, id);
    const actor = newActor(creator, job, spec, body);
    try {
      // Large arguments are an object themselves: each of its lives reads them.
      const { refs, at } = spec.args;
      const kept = at === '' ? refs : [...refs, at];
      objects.represent(spec.detached ? SERVICE : creator.id, id, kept, () => this.#unreachable(actor));
    } catch (error) {
      this.#names.free(namespace, name, id);
      throw error;
    }
    // From here on others can find it, and it can be killed: before it has a place.
    this.#actors.set(id, actor);
    this.#options.envs.keep(id, spec.demand);
    if (spec.detached) objects.hold(creator.id, { ids: [id] });
    try {
      const needs = Object.keys(spec.demand.resources).length === 0 ? NEEDS : null;
      actor.place = await seats.ask(spec.demand, needs, creator.node);
    } catch (error) {
      this.#happened(actor, { e: 'killed', reason: asTwinkleError(error).message, restart: false });
      objects.drop(creator.id, { ids: [id] });
      throw error;
    }
    actor.place.onLost((reason, again) => {
      actor.moves += 1;
      // Where another place is looked for, it has lost its process, no more.
      if (again) actor.worker?.kill();
      else this.#happened(actor, { e: 'killed', reason, restart: false });
    });
    if (actor.ending.signal.aborted) {
      actor.place.release();
      actor.place = null;
    } else void this.#start(actor);
    return actor.card;
  }

  /** The living actor of that name. Throws `ACTOR_NOT_FOUND`. */
  find(client: Client, namespace: string, name: string): ActorCard {
    const actor = this.#named(namespace, name);
    if (actor !== null) return this.#hand(client, actor);
    const others = this.#names.list(namespace).map((other) => `"${other.name}"`);
    const there = others.length === 0 ? 'none has a name there' : `there: ${others.slice(0, 8).join(', ')}`;
    throw new TwinkleError('ACTOR_NOT_FOUND', `no actor "${name}" in namespace "${namespace}": ${there}`);
  }

  /** Named actors of a namespace, or of all (null). */
  named(namespace: string | null): readonly { readonly namespace: string; readonly name: string }[] {
    return this.#names.list(namespace);
  }

  /** Tell that client how it is, now and at every change. One that was forgotten is dead. */
  watch(client: Client, id: string): void {
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

  /** The actor of that worker ends, because it wants to. */
  exit(worker: number): void {
    const actor = this.#byWorker.get(worker);
    if (actor === undefined) throw new TwinkleError('INVALID_REQUEST', `client ${worker} is no actor`);
    this.#happened(actor, { e: 'killed', reason: 'exited by exit_actor()', restart: false });
  }

  /** Client number of its process; -1: it has none now. */
  workerOf(id: string): number {
    return this.#actors.get(id)?.worker?.id ?? -1;
  }

  /** A worker says what became of its constructor. */
  born(worker: Worker, { epoch, cause, methods, ordered }: ActorBorn, body: Buffer): void {
    const actor = this.#byWorker.get(worker.id);
    if (actor === undefined || actor.life.epoch !== epoch || actor.worker !== worker) return;
    if (cause === null) {
      const { pid, path } = worker;
      if (methods !== undefined) actor.card = { ...actor.card, methods, ordered: ordered === true };
      this.#happened(actor, { e: 'born', path, pid, node: actor.node });
    } else {
      actor.cause = Buffer.from(body);
      this.#happened(actor, { e: 'stillborn', reason: 'its constructor raised', cause });
    }
  }

  /** Who made it has ended, and it does not outlive that. */
  clientGone(client: Client): void {
    for (const actor of this.#actors.values()) {
      actor.watchers.delete(client);
      if (actor.creator !== client || actor.spec.detached || actor.life.phase === 'DEAD') continue;
      this.#happened(actor, { e: 'killed', reason: `its creator, client ${client.id}, has ended`, restart: false });
    }
  }

  list(): ActorFacts[] {
    return Array.from(this.#actors.values(), factsOf);
  }

  /** Nothing begins any more. */
  close(): void {
    for (const { ending } of this.#actors.values()) ending.abort();
  }

  #hand(client: Client, { card }: Actor): ActorCard {
    this.#options.objects.hold(client.id, { ids: [card.id] });
    return card;
  }

  /** Who has that name. One whose last handle went a moment ago has not heard of it yet: it ends here. */
  #named(namespace: string, name: string): Actor | null {
    const actor = this.#actors.get((name === '' ? null : this.#names.find(namespace, name)) ?? '');
    if (actor === undefined) return null;
    if (this.#options.objects.knows(actor.card.id)) return actor;
    this.#unreachable(actor);
    return null;
  }

  async #start(actor: Actor): Promise<void> {
    const { workplaces, employ, log, press } = this.#options;
    const { life, spec, job } = actor;
    const { signal } = actor.ending;
    try {
      await actor.left;
      if (pauseMs(life) > 0) await sleep(pauseMs(life), undefined, { signal, ref: false });
      actor.preparation = workplaces.prepare(job, spec.demand);
      const around = await actor.preparation.ready(signal);
      const seat = await actor.place?.ready(signal, press);
      if (seat === undefined || signal.aborted || actor.life.epoch !== life.epoch) return;
      actor.node = seat.node;
      const { moves } = actor;
      const worker = await workplaces.take(job, seat, spec.demand, around);
      if (signal.aborted || actor.life.epoch !== life.epoch) {
        workplaces.giveBack(worker); // it has done nothing yet
        return;
      }
      if (actor.moves !== moves) {
        worker.kill();
        void this.#start(actor);
        return;
      }
      actor.worker = worker;
      this.#byWorker.set(worker.id, actor);
      employ(worker, job);
      void worker.ended.then((end) => this.#ended(actor, worker, end));
      worker.peer.tell('assign', { actor: actor.card.id, spec, epoch: life.epoch }, [actor.body]);
    } catch (error) {
      if (signal.aborted || actor.life.epoch !== life.epoch) return;
      const { code, message } = asTwinkleError(error);
      if (code === 'NODE_LOST') {
        void this.#start(actor); // its place is looked for anew
        return;
      }
      log.warn({ actor: actor.card.id, code, message }, 'actor_not_started');
      // A worker may do better the next time; a place that is not to be had, or an interpreter that cannot run our code, will not.
      const again = code === 'RANK_FAILED' || code === 'INTERNAL';
      this.#happened(actor, again ? { e: 'lost', reason: message } : { e: 'unfit', reason: message, code });
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
    if (worker === null) return;
    worker.kill();
    actor.left = worker.ended;
  }

  #bury(actor: Actor): void {
    const { namespace, name, id } = actor.card;
    actor.ending.abort();
    actor.watchers.clear();
    this.#names.free(namespace, name, id);
    this.#options.envs.folders.letGo(id);
    const { place } = actor;
    actor.place = null;
    void actor.left.then(() => place?.release());
    if (actor.spec.detached) this.#options.objects.drop(SERVICE, { ids: [id] });
  }

  /** No handle is left anywhere. */
  #unreachable(actor: Actor): void {
    if (actor.life.phase !== 'DEAD') {
      this.#happened(actor, { e: 'killed', reason: 'nobody had a handle any more', restart: false });
    }
    this.#actors.delete(actor.card.id);
  }

  #tell(client: Client, actor: Actor): void {
    const body = actor.life.cause === null ? [] : [actor.cause];
    const state = stateOf(actor.card.id, actor.life, actor.card.ordered);
    const path = state.path === '' ? '' : this.#options.reach(client, state);
    client.tell('actor', { ...state, path }, body);
  }
}

function invalid(expected: string, name: string, received: unknown): TwinkleError {
  return new TwinkleError('INVALID_REQUEST', `expected ${expected} for \`${name}\` but received ${received}`);
}
