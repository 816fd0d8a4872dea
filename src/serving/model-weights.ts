/**
 * Weights of one model, replaced in place and the same on all its replicas: one that did not take the current ones, or that started since,
 * is told again before it takes more requests. How an engine writes them is its own business; one that wrote half of them ends itself.
 */
import { asTwinkleError, TwinkleError } from '../errors.js';
import { broadcast, broke, nobodyOpen, type OpenReplica, refusalText, succeeded } from './broadcast.js';
import { KeyedChain } from './keyed-chain.js';
import { type NewWeights, ORIGINAL, takeWeights } from './new-weights.js';
import type { Upkeep } from './prepared-gang.js';
import type { Command, ReplicaAnswer } from './types/control.js';
import type { ServedWeights, WeightStore, WeightUpdate } from './types/weights.js';

/** Who gives ranks their segments. */
export interface SegmentSharing {
  /** Have all ranks of the replica attach it; those that have it already are left alone. */
  attach(replica: OpenReplica, store: WeightStore): Promise<void>;
  /** Have all ranks of all replicas let go of it. Never rejects. */
  detach(store: WeightStore): Promise<void>;
}

export interface ModelWeightsOptions {
  /** Replicas that take requests now. */
  open(): readonly OpenReplica[];
  /** Whether the engines sleep: there is nothing to write to. */
  asleep(): boolean;
  readonly segments: SegmentSharing;
  /** Do it when replicas are awake that others have sleep now and then. Default: at once. */
  inTurn?<T>(job: () => Promise<T>): Promise<T>;
  /** A replica stays closed, because it refuses the current weights. It is asked again. */
  refused(replica: string, reason: string): void;
}

/** A wait for long answers, and then a big model from a slow disk. */
const DEADLINE = { deadlineMs: 1_800_000 } as const;
/** Until a replica that refused is asked again; doubled each time. */
const AGAIN_MS = { first: 1_000, most: 60_000 } as const;

interface Current extends NewWeights {
  readonly since: number;
}

export class ModelWeights implements Upkeep {
  readonly #chain = new KeyedChain();
  /** Null: those of the start. */
  #current: Current | null = null;
  /** Replica → what it has, by its start; `unknown`: it was told and did not say. Absent: what it was started with. */
  readonly #has = new Map<string, { readonly epoch: number; readonly weights: Current | 'unknown' | null }>();

  constructor(readonly options: ModelWeightsOptions) {}

  /** Null: those that the model was started with. */
  get served(): ServedWeights | null {
    return this.#current === null ? null : { source: this.#current.label, since: this.#current.since };
  }

  /**
   * Tell all replicas that take requests, one update after the other. The weights are current when one of them took them.
   * @throws `INVALID_REQUEST` as `takeWeights`; `NOT_READY` when no replica takes requests, or the model sleeps
   */
  update(update: WeightUpdate): Promise<readonly ReplicaAnswer[]> {
    const { inTurn = (job) => job() } = this.options;
    return this.#chain.run('', () => inTurn(() => this.#update(update)));
  }

  settled(replica: string, epoch: number): boolean {
    return this.#held(replica, epoch) === this.#current;
  }

  outdated(replica: string, epoch: number): boolean {
    return !this.settled(replica, epoch);
  }

  /** Stays until the replica has taken the current weights, or is gone: other weights than its fellows' would be wrong answers. */
  async settle(replica: OpenReplica): Promise<void> {
    const { id, epoch } = replica;
    for (
      let pauseMs: number = AGAIN_MS.first;
      !this.settled(id, epoch);
      pauseMs = Math.min(pauseMs * 2, AGAIN_MS.most)
    ) {
      const target = this.#current;
      const answer = await this.#tell(replica, target, target?.command('wait') ?? ORIGINAL);
      if (broke(answer)) throw answer.error;
      if (succeeded(answer)) return;
      this.options.refused(id, refusalText(answer));
      await new Promise((resolve) => {
        setTimeout(resolve, pauseMs).unref();
      });
    }
  }

  async #update({ mode, source }: WeightUpdate): Promise<readonly ReplicaAnswer[]> {
    const { asleep, open } = this.options;
    if (asleep()) {
      throw new TwinkleError('NOT_READY', 'the model sleeps, so its weights cannot be replaced: POST /wake_up first');
    }
    const replicas = open();
    if (replicas.length === 0) throw nobodyOpen('weights cannot be replaced');
    const next: Current = { ...(await takeWeights(source)), since: Date.now() };
    const command = next.command(mode);
    const answers = await Promise.all(replicas.map((replica) => this.#tell(replica, next, command)));
    const taken = answers.some(succeeded);
    const over = taken ? this.#current : next;
    if (taken) this.#current = next;
    if (over !== null) await this.#dispose(over);
    // Looking begins to tell those that are behind.
    open();
    return answers;
  }

  async #tell(replica: OpenReplica, weights: Current | null, command: Command): Promise<ReplicaAnswer> {
    const { epoch, id } = replica;
    try {
      if (weights?.store != null) await this.options.segments.attach(replica, weights.store);
    } catch (thrown) {
      return { replica: id, status: null, body: '', error: asTwinkleError(thrown) };
    }
    const [answer] = (await broadcast([replica], command, DEADLINE)) as [ReplicaAnswer];
    if (succeeded(answer)) this.#has.set(id, { epoch, weights });
    // An engine that answers has changed nothing; of one that does not nobody knows.
    else if (answer.status === null) this.#has.set(id, { epoch, weights: 'unknown' });
    return answer;
  }

  #held(replica: string, epoch: number): Current | 'unknown' | null {
    const known = this.#has.get(replica);
    return known?.epoch === epoch ? known.weights : null;
  }

  async #dispose(over: Current): Promise<void> {
    over.release();
    if (over.store !== null && over.store !== this.#current?.store) await this.options.segments.detach(over.store);
  }
}
