/**
 * The adapters of one book on all replicas of a model: loaded on all or on none, told again to a replica that starts anew, forgotten on all.
 * Which ones, when, and for whom is not its business.
 */
import { TwinkleError } from '../errors.js';
import type { AdapterBook, AdapterLease, AdapterRecord } from './adapter-book.js';
import { loadCommand, loadRefusal, nobodyToLoad, unloadCommand } from './adapter-commands.js';
import type { AdapterFiles } from './adapter-source.js';
import { broadcast, broke, type OpenReplica, refusalText, succeeded } from './broadcast.js';
import { KeyedChain } from './keyed-chain.js';
import type { Upkeep } from './prepared-gang.js';
import type { ReplicaAnswer } from './types/control.js';

/** What adapters need of the model that they belong to. */
export interface AdaptedReplicas {
  /** Replicas that take requests now. */
  open(): readonly OpenReplica[];
  /** Whether the engines sleep: loading into memory that is away would break them. */
  asleep?(): boolean;
  /** Do it when replicas are awake that others have sleep now and then. Default: at once. */
  inTurn?<T>(job: () => Promise<T>): Promise<T>;
  /** An adapter was lost: a replica that started anew refused it. */
  lost?(name: string, reason: string): void;
}

/** What whoever keeps the book decides. */
interface AdapterPolicy {
  /** Called before an adapter gets its place in the book. Throws when there can be none. */
  makeRoom(): void;
  /** A replica that started anew refused it, and it goes. */
  refused?(record: AdapterRecord, answer: ReplicaAnswer): void;
}

/** A load of one adapter. */
interface AdapterLoad {
  readonly name: string;
  /** The book's from now on; given back when the load fails. */
  readonly files: AdapterFiles;
  readonly is3d: boolean | null;
  /** Somebody asked for it by name: a load that reaches no replica is a failure, and it is never evicted. */
  readonly pinned: boolean;
  /** Replace the weights where it is loaded. */
  readonly inPlace: boolean;
}

/** A big adapter on a slow disk takes a while; what an engine forgets, it forgets at once. */
const LOAD_DEADLINE = { deadlineMs: 120_000 } as const;
const UNLOAD_DEADLINE = { deadlineMs: 15_000 } as const;

export class AdapterReplicas implements Upkeep {
  readonly #chain = new KeyedChain();

  constructor(
    readonly book: AdapterBook,
    readonly model: AdaptedReplicas,
    readonly policy: AdapterPolicy,
  ) {}

  /** Run what changes an adapter after what changed it before. */
  inTurn<T>(name: string, job: () => Promise<T>): Promise<T> {
    return this.#chain.run(name, job);
  }

  settled(replica: string, epoch: number): boolean {
    return this.book.nextStep(replica, epoch) === null;
  }

  async settle(replica: OpenReplica): Promise<void> {
    const { id, epoch } = replica;
    const step = this.book.nextStep(id, epoch);
    if (step === null) return;
    const { name } = step;
    if (step.do === 'unload') {
      await broadcast([replica], unloadCommand(name), UNLOAD_DEADLINE);
      this.book.drop(id, epoch, name);
      return;
    }
    const record = this.book.get(name);
    if (record === undefined) return;
    const { files, is3d } = record;
    const command = loadCommand({ name, path: files.path, is3d }, step.do === 'replace');
    const [answer] = await broadcast([replica], command, LOAD_DEADLINE);
    if (answer === undefined) return;
    if (broke(answer)) throw answer.error;
    if (succeeded(answer)) this.book.hold(id, epoch, name, files);
    // Replaced meanwhile: the files that were refused may be gone, and the next step names the new ones.
    else if (record.files === files) this.#lose(record, answer);
  }

  /** What a replica refuses that starts anew, none may serve: answers would depend on the replica. */
  #lose(record: AdapterRecord, answer: ReplicaAnswer): void {
    const { name } = record;
    if (this.book.get(name) !== record) return;
    this.policy.refused?.(record, answer);
    this.model.lost?.(name, refusalText(answer));
    this.evict(record);
  }

  /**
   * Load on all replicas, or on none. To be called in turn.
   * @returns a use of it, for otherwise it might go before anybody has one
   * @throws `INVALID_REQUEST` with the engine's words; `NOT_READY` while the engines sleep, or for a pinned one that no replica could load
   */
  async load(load: AdapterLoad): Promise<AdapterLease> {
    // While it is replaced it is in use: another load must not take its place.
    const replaced = this.book.lease(load.name);
    try {
      const { inTurn } = this.model;
      return await (inTurn === undefined ? this.#load(load) : inTurn(() => this.#load(load)));
    } catch (error) {
      load.files.release(); // if the book had them, it has given them back
      throw error;
    } finally {
      replaced?.release();
    }
  }

  async #load(load: AdapterLoad): Promise<AdapterLease> {
    const { name, files, inPlace, is3d, pinned } = load;
    if (this.model.asleep?.() === true) {
      throw new TwinkleError(
        'NOT_READY',
        `the model sleeps, so adapter \`${name}\` cannot be loaded: POST /wake_up first`,
      );
    }
    const known = this.book.get(name);
    if (known === undefined) {
      // What an engine should have forgotten and has not: it would refuse the name.
      await this.forget(name);
      this.policy.makeRoom();
    }
    const record = known ?? this.book.add(name, files, { pinned, is3d });
    const command = loadCommand({ name, path: files.path, is3d }, inPlace && known !== undefined);
    const asked = new Set<string>();
    const refused: ReplicaAnswer[] = [];
    let reached = 0;
    // Again for replicas that began to take requests while the others loaded.
    for (let replicas = this.#others(asked); replicas.length > 0; replicas = this.#others(asked)) {
      const answers = await broadcast(replicas, command, LOAD_DEADLINE);
      replicas.forEach(({ id, epoch }, at) => {
        const answer = answers[at] as ReplicaAnswer;
        // A replica that broke meanwhile is told when it is back.
        if (broke(answer)) return;
        this.book.hold(id, epoch, name, files);
        if (succeeded(answer)) reached += 1;
        else refused.push(answer);
      });
    }
    // Without a replica a first use waits like any request: whichever starts is told before it takes requests.
    if (refused.length === 0 && (reached > 0 || !pinned)) {
      // A replica that started anew has refused what is being replaced.
      if (this.book.get(name) !== record) return await this.#load(load);
      this.book.commit(name, { files, is3d, pinned: pinned || record.pinned });
      return this.book.lease(name) as AdapterLease;
    }
    const error = refused.length === 0 ? nobodyToLoad(name) : loadRefusal(name, refused);
    // An engine replaces weights only by such that it could read: where all refused, all have what they had.
    if (known !== undefined && reached === 0 && refused.every(({ status }) => status !== null)) throw error;
    this.book.remove(name);
    await this.forget(name);
    throw error;
  }

  /** No request may use it from now on, and the replicas forget it when their turn comes. */
  evict({ name }: AdapterRecord): void {
    this.book.remove(name);
    void this.inTurn(name, async () => {
      // A load that was before this in the row has had it forgotten, and has brought it back.
      if (this.book.get(name) === undefined) await this.forget(name);
    });
  }

  /** Tell every replica that holds it to forget it. Returns those that did not; that it knew nothing of it is as good. */
  async forget(name: string): Promise<readonly ReplicaAnswer[]> {
    const holders = this.model.open().filter(({ id, epoch }) => this.book.holds(id, epoch, name));
    const answers = await broadcast(holders, unloadCommand(name), UNLOAD_DEADLINE);
    return answers.filter((answer, at) => {
      const gone = succeeded(answer) || answer.status === 404 || broke(answer);
      const holder = holders[at];
      if (gone && holder !== undefined) this.book.drop(holder.id, holder.epoch, name);
      return !gone;
    });
  }

  /** Replicas that take requests and are not in `asked` yet; they are from now on. */
  #others(asked: Set<string>): readonly OpenReplica[] {
    const others = this.model.open().filter(({ id, epoch }) => !asked.has(`${id} ${epoch}`));
    for (const { id, epoch } of others) asked.add(`${id} ${epoch}`);
    return others;
  }
}
