/**
 * Which runs are on the ranks of their models: so many of a model at most, and none for long that nobody asks anything of. The others are parked: on disk,
 * and loaded again when they are wanted. A run whose gradient waits for its step stays, unless it keeps others waiting for too long.
 */
import { asTwinkleError, TwinkleError } from '../errors.js';
import type { Logger } from '../observability/logger.js';
import { isFull } from './full-runs.js';
import type { ParkedRuns } from './parked-runs.js';
import type { Run } from './run.js';
import { lostWith, lostWithRanks, ranksGone } from './run-failures.js';
import type { RunKeeper, RunPlace } from './run-keeper.js';
import { RunSlots } from './run-slots.js';
import type { Trainer, TrainerHost } from './trainer.js';
import { TrainerQueue } from './trainer-queue.js';

export interface ResidenceRules {
  /** Runs of a model that are on its ranks at a time. */
  readonly maxRuns: number;
  /** A run that was idle for so long is parked; ranks without a run for so long end. */
  readonly idleMs: number;
}

export interface ResidenceParts {
  readonly host: TrainerHost;
  readonly parked: ParkedRuns;
  readonly log: Logger;
  nowMs(): number;
}

/** Of what was parked and cannot be loaded, now or later. */
const LOST_BY: ReadonlySet<string> = new Set(['CHECKPOINT_DAMAGED', 'CHECKPOINT_NOT_FOUND', 'UNSUPPORTED_PARAMETER']);

/** It is on disk still, for those who ask next. */
function notNow(run: string, cause: TwinkleError): TwinkleError {
  const message = `run \`${run}\` is parked and could not be loaded now (${cause.message}): ask again`;
  return new TwinkleError('NOT_READY', message, { cause });
}

export class Residence implements RunKeeper {
  /** Of a model by its served name. */
  readonly #slots = new Map<string, RunSlots<Run>>();
  readonly #queues = new WeakMap<Trainer, TrainerQueue>();
  /** Models whose ranks were asked for, and not ended since. */
  readonly #opened = new Set<string>();
  /** Runs that are on their way to their ranks or off, and what says so last. */
  readonly #moving = new Map<Run, object>();
  /** Those that ended on the way. */
  readonly #over = new WeakSet<Run>();

  constructor(
    private readonly parts: ResidenceParts,
    private readonly rules: ResidenceRules,
  ) {}

  /**
   * Resolves when the run is on its ranks.
   * @param bring has them take it
   * @throws why they cannot, or what the run was lost by meanwhile
   */
  async make(run: Run, bring: (trainer: Trainer) => Promise<unknown>): Promise<void> {
    await this.#moved(run, () => this.#enter(run, bring));
  }

  async #enter(run: Run, bring: (trainer: Trainer) => Promise<unknown>): Promise<void> {
    const { model } = run.progress.labels;
    const slots = this.#slotsOf(model);
    for (const held of slots.held) this.#look(held);
    if (run.loss === null) await slots.take(run);
    try {
      if (run.loss !== null) throw run.loss;
      this.#opened.add(model);
      const trainer = await this.#brought(model, bring);
      if (run.loss !== null) {
        await trainer.call('train_drop', { run: run.id });
        throw run.loss;
      }
      run.begin({ trainer, queue: this.#queueOf(trainer) });
    } catch (error) {
      slots.leave(run);
      throw error;
    }
  }

  /** What ranks that die meanwhile were to take is where it was: those that follow them can take it, too. Once, as it may be what ends them. */
  async #brought(model: string, bring: (trainer: Trainer) => Promise<unknown>): Promise<Trainer> {
    const { host } = this.parts;
    const trainer = await host.open(model);
    try {
      await bring(trainer);
      return trainer;
    } catch (error) {
      if (!trainer.gone) throw error;
    }
    const successor = await host.open(model);
    await bring(successor);
    return successor;
  }

  /** It is on its ranks, or wants to be there, or is on its way off. */
  has(run: Run): boolean {
    return this.#slots.get(run.progress.labels.model)?.held.has(run) === true || this.#waits(run);
  }

  /** Why nothing is done for the run now; null: that is not for want of room, or of a turn on the devices. */
  paused(run: Run): string | null {
    const { model } = run.progress.labels;
    if (!this.#waits(run)) return this.parts.host.paused?.(model) ?? null;
    if (isFull(run.spec)) return `others of ${model} are trained now, and a run that trains all of it has to be alone`;
    const [one] = this.#slots.get(model)?.held ?? [];
    if (one !== undefined && isFull(one.spec)) return `a run trains all of ${model} now, and is not idle`;
    return `${this.#limitOf(model)} runs of ${model} are trained now, and none of them is idle`;
  }

  wanted(run: Run): void {
    if (!this.#moving.has(run)) void this.#moved(run, () => this.#bringBack(run));
  }

  busy(run: Run): void {
    this.#slots.get(run.progress.labels.model)?.busy(run);
  }

  idle(run: Run): void {
    this.#slots.get(run.progress.labels.model)?.idle(run, run.unstepped);
  }

  lost(run: Run): void {
    // What moves it leaves by itself.
    if (!this.#moving.has(run) || this.#waits(run)) this.#slots.get(run.progress.labels.model)?.leave(run);
  }

  /** Its session is over, and the run with it. */
  end(run: Run): void {
    // A rank that cannot has lost it anyway.
    void run.trainer?.call('train_drop', { run: run.id }).catch(() => {});
    if (this.#moving.has(run)) this.#over.add(run);
    else this.parts.parked.drop(run);
  }

  /** Park what is idle, and end ranks that nobody uses. To be called now and then. */
  sweep(): void {
    const { idleMs } = this.rules;
    for (const [model, slots] of this.#slots) {
      for (const run of slots.held) this.#look(run);
      slots.sweep(idleMs);
      if (slots.emptyFor(idleMs) && this.#opened.delete(model)) this.parts.host.close(model);
    }
  }

  #park(slots: RunSlots<Run>, run: Run): void {
    const place = run.leave();
    if (place === null) slots.leave(run);
    else void this.#moved(run, () => this.#takeOff(slots, run, place));
  }

  async #moved(run: Run, move: () => Promise<void>): Promise<void> {
    const token = {};
    this.#moving.set(run, token);
    try {
      await move();
    } finally {
      // It may be on its way again.
      if (this.#moving.get(run) === token) this.#arrived(run);
    }
  }

  #arrived(run: Run): void {
    this.#moving.delete(run);
    if (this.#over.has(run)) this.parts.parked.drop(run);
    else if (run.state === 'parked' && run.early > 0) this.wanted(run);
  }

  async #takeOff(slots: RunSlots<Run>, run: Run, place: RunPlace): Promise<void> {
    const { log, parked } = this.parts;
    const { trainer } = place;
    const goesOn = (): void => {
      slots.stays(run);
      run.begin(place);
    };
    try {
      const copy = await parked.write(run, trainer);
      if (run.loss === null && run.early > 0 && (run.unstepped || !slots.wanted)) {
        parked.discard(copy); // asked of again, and in nobody's way, or about to step
        goesOn();
        return;
      }
      if (run.loss === null) {
        parked.record(run, copy);
        if (run.unstepped) {
          run.dropGradient();
          log.warn({ run: run.id }, 'training_gradient_dropped');
        }
        log.info({ run: run.id, bytes: copy.bytes }, 'training_run_parked');
      } else parked.discard(copy);
    } catch (thrown) {
      const error = asTwinkleError(thrown);
      if (trainer.gone || ranksGone(error)) run.lose(lostWith(run.id, error));
      if (run.loss === null) {
        log.warn({ run: run.id, error: error.message }, 'training_run_not_parked');
        slots.rest();
        goesOn();
        return;
      }
    }
    await trainer.call('train_drop', { run: run.id }).catch(() => {});
    slots.leave(run);
  }

  async #bringBack(run: Run): Promise<void> {
    const { log, parked } = this.parts;
    const copy = parked.find(run);
    try {
      if (copy === null) throw new TwinkleError('CHECKPOINT_NOT_FOUND', 'what was saved of it is gone');
      const { folder } = copy;
      await this.#enter(run, async (trainer) => {
        await trainer.call('train_load', { run: run.id, folder, optimizer: true });
        if (run.loss === null) parked.outdate(copy);
      });
      log.info({ run: run.id }, 'training_run_loaded');
      parked.discard(copy);
    } catch (thrown) {
      const error = asTwinkleError(thrown);
      if (run.loss !== null) {
        if (copy !== null) parked.discard(copy);
      } else if (LOST_BY.has(error.code)) run.lose(lostWith(run.id, error));
      else run.failEarly(notNow(run.id, error));
    }
  }

  /** Ranks that were started again know nothing of it. */
  #look(run: Run): void {
    if (run.trainer?.gone === true && run.loss === null) run.lose(lostWithRanks(run.id));
  }

  #waits(run: Run): boolean {
    return this.#slots.get(run.progress.labels.model)?.waits(run) === true;
  }

  #slotsOf(model: string): RunSlots<Run> {
    const known = this.#slots.get(model);
    if (known !== undefined) return known;
    const { nowMs } = this.parts;
    const park = (run: Run): void => this.#park(slots, run);
    const alone = (run: Run): boolean => isFull(run.spec);
    const slots = new RunSlots<Run>({ limit: this.#limitOf(model), alone, nowMs, park });
    this.#slots.set(model, slots);
    return slots;
  }

  #limitOf(model: string): number {
    return this.parts.host.limits?.(model)?.maxRuns ?? this.rules.maxRuns;
  }

  #queueOf(trainer: Trainer): TrainerQueue {
    const known = this.#queues.get(trainer);
    if (known !== undefined) return known;
    const queue = new TrainerQueue(trainer);
    this.#queues.set(trainer, queue);
    return queue;
  }
}
