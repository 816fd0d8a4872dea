/**
 * Carries out what autoscaling decides for one model: only the wanted replicas have a placement group and ranks. One that is not wanted any
 * more takes no new request, finishes what runs, ends its ranks and gives its group back. How many are wanted is `serving/autoscale.ts`'.
 */
import type { Autoscaling } from '../config/types.js';
import type { Logger } from '../observability/logger.js';
import { decideScale, newScale, type ScaleMemory } from '../serving/autoscale.js';
import { LoadWindow } from '../serving/load-window.js';
import type { ModelService } from '../serving/model-service.js';
import type { Replica } from '../serving/replica.js';
import type { GroupKeeper } from './place-replicas.js';
import type { PlacedGang } from './placed-gang.js';

/** Ray's control loop. A load is a mean over time, so somebody has to look now and then. */
const LOOK_MS = 100;

/** One replica that may run. */
export interface ReplicaSlot {
  readonly gang: PlacedGang;
  readonly replica: Replica;
  /** A new group for it. @param patient it may wait for room */
  keep(patient: boolean): GroupKeeper;
}

export interface ScalerContext {
  readonly model: string;
  readonly log: Logger;
  nowMs(): number;
  /** The state of the model may have changed. */
  changed(): void;
}

/** `up`: it has a group. `retiring`: it finishes what runs. `ending`: its ranks and its group go. */
type At = 'down' | 'up' | 'retiring' | 'ending';

interface Held extends ReplicaSlot {
  at: At;
  keeper: GroupKeeper | null;
}

export class ReplicaScaler {
  readonly #slots: readonly Held[];
  readonly #window: LoadWindow;
  readonly #ends = new Set<Promise<void>>();
  #memory: ScaleMemory;
  #timer: NodeJS.Timeout | null = null;
  #halted = false;

  /** Nothing runs before {@link begin}. @param slots as many as there may be replicas */
  constructor(
    readonly policy: Autoscaling,
    readonly service: ModelService,
    slots: readonly ReplicaSlot[],
    private readonly context: ScalerContext,
  ) {
    this.#slots = slots.map((slot) => ({ ...slot, at: 'down', keeper: null }));
    this.#window = new LoadWindow(policy.lookBackMs, policy.aggregation);
    this.#memory = newScale(policy);
    for (const { gang } of this.#slots) void gang.park();
    this.#tell();
  }

  /** Open the groups of the start, which must find room now, and follow the load from then on. */
  begin(): void {
    this.#follow(false);
    this.service.onWaiting = () => {
      if (this.#memory.wanted === 0) this.look();
    };
    if (this.policy.min === this.policy.max) return;
    this.#timer = setInterval(() => this.look(), LOOK_MS);
    this.#timer.unref();
  }

  /** The groups that there are. */
  get keepers(): readonly GroupKeeper[] {
    return this.#slots.flatMap(({ keeper }) => keeper ?? []);
  }

  /** Look at the load and act. */
  look(): void {
    if (this.#halted) return;
    const { service, policy } = this;
    const nowMs = this.context.nowMs();
    this.#window.set(nowMs, service.ongoing);
    const ready = this.#slots.filter(({ at, replica }) => at === 'up' && replica.lead !== null).length;
    const waiting = service.waiting > 0;
    const before = this.#memory.wanted;
    this.#memory = decideScale(policy, this.#memory, { nowMs, load: this.#window.value(nowMs), waiting, ready });
    const { wanted } = this.#memory;
    if (wanted === before) return;
    this.context.log.info({ model: this.context.model, before, wanted, ready, ongoing: service.ongoing }, 'scale');
    this.#tell();
    this.#follow(true);
    this.context.changed();
  }

  /** Scale no more. What runs is the caller's business, and then {@link settled}. */
  halt(): void {
    this.#halted = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    for (const keeper of this.keepers) keeper.halt();
  }

  /** When every replica that was ending has ended. */
  async settled(): Promise<void> {
    await Promise.all(this.#ends);
  }

  #tell(): void {
    const { min, max } = this.policy;
    this.service.scale = { wanted: this.#memory.wanted, min, max };
  }

  /** Make as many as are wanted. Those that still retire come back first: they are warm. */
  #follow(patient: boolean): void {
    if (this.#halted) return;
    const at = (...states: readonly At[]): Held[] => this.#slots.filter((slot) => states.includes(slot.at));
    const missing = this.#memory.wanted - at('up').length;
    for (const slot of [...at('retiring'), ...at('down')].slice(0, Math.max(0, missing))) this.#raise(slot, patient);
    const spare = at('up').sort(leastUseful);
    for (const slot of spare.slice(0, Math.max(0, -missing))) this.#retire(slot);
  }

  #raise(slot: Held, patient: boolean): void {
    if (slot.at === 'down') {
      slot.gang.unpark();
      slot.keeper = slot.keep(patient);
      void slot.keeper.open();
    }
    slot.at = 'up';
    slot.replica.revive();
    this.service.dispatch(); // one that retired may have room
  }

  #retire(slot: Held): void {
    slot.at = 'retiring';
    const end = this.#end(slot).finally(() => this.#ends.delete(end));
    this.#ends.add(end);
  }

  async #end(slot: Held): Promise<void> {
    if (!(await slot.replica.retire()) || this.#halted) return;
    slot.at = 'ending';
    const { keeper } = slot;
    keeper?.halt();
    await slot.gang.park();
    await keeper?.release();
    slot.keeper = null;
    slot.at = 'down';
    slot.replica.revive();
    // What it waited for is not waited for any more.
    if (this.service.state === 'ready') this.service.progress = null;
    this.#follow(true); // more may be wanted again
    this.context.changed();
  }
}

/** Which ends first: one that serves nobody yet, then the one with the least to finish, then the latest. */
function leastUseful(a: Held, b: Held): number {
  const serves = ({ replica }: Held): number => (replica.lead === null ? 0 : 1);
  return serves(a) - serves(b) || a.replica.width - b.replica.width || (a.replica.id < b.replica.id ? 1 : -1);
}
