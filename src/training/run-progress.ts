/** How a run trains: what went into its steps and what came of them. In constant room; knows neither queue nor ranks. */
import type { TrainOutcome, TrainWork } from '../protocol/training.js';
import type { Emitter } from '../util/emitter.js';
import { addWeights, type KeptCurve, LossCurve, perToken } from './loss-curve.js';
import { targetWeight } from './target-weight.js';
import type { RunLabels, StepReport, TrainingEvents } from './types/progress.js';

/** Steps that the throughput is of. */
const RECENT_STEPS = 16;

/** What was sent to the ranks for a step. */
interface Departures {
  /** Of the first; null: nothing was. */
  firstMs: number | null;
  longestWaitMs: number;
}

/** What came back for a step. */
interface Passed {
  datums: number;
  tokens: number;
  /** Null: no pass. */
  loss: number | null;
  weight: number | null;
}

/** What the server after this one goes on from. Plain JSON. */
export interface KeptProgress
  extends Pick<RunProgress, 'begun' | 'steps' | 'datums' | 'tokens' | 'last' | 'samplerGap'> {
  readonly curve: KeptCurve;
}

const nothingSent = (): Departures => ({ firstMs: null, longestWaitMs: 0 });
const nothingPassed = (): Passed => ({ datums: 0, tokens: 0, loss: null, weight: 0 });

export class RunProgress {
  /** Unix ms. */
  readonly begun: number;
  readonly curve: LossCurve;
  steps: number;
  datums: number;
  tokens: number;
  last: StepReport | null;
  /** See `RunStatus.samplerGap`. */
  samplerGap: number | null;
  /** Of the step whose requests are being sent. */
  #sent = nothingSent();
  /** Of the steps that the ranks have, in order. */
  readonly #under: Departures[] = [];
  #passed = nothingPassed();
  #endedMs = Number.NEGATIVE_INFINITY;
  readonly #recent: { readonly tokens: number; readonly ms: number }[] = [];

  constructor(
    readonly labels: RunLabels,
    private readonly events: Emitter<TrainingEvents>,
    private readonly nowMs: () => number = () => performance.now(),
    kept: KeptProgress | null = null,
  ) {
    this.begun = kept?.begun ?? Date.now();
    this.curve = new LossCurve(kept?.curve);
    this.steps = kept?.steps ?? 0;
    this.datums = kept?.datums ?? 0;
    this.tokens = kept?.tokens ?? 0;
    this.last = kept?.last ?? null;
    this.samplerGap = kept?.samplerGap ?? null;
  }

  /** What there is between two steps. */
  kept(): KeptProgress {
    const { begun, curve, datums, last, samplerGap, steps, tokens } = this;
    return { begun, steps, datums, tokens, last, samplerGap, curve: curve.kept() };
  }

  /**
   * A request was taken.
   * @param kind `pass`: of a step; `step`: the end of one, {@link stepped} or {@link stepFailed} follows; `other`: no part of any
   * @returns to be called when it is sent to the ranks
   */
  taken(kind: 'pass' | 'step' | 'other'): () => void {
    const takenMs = this.nowMs();
    return () => {
      const now = this.nowMs();
      const waitedMs = now - takenMs;
      this.events.emit('sent', this.labels, waitedMs);
      if (kind === 'other') return;
      this.#sent.firstMs ??= now;
      this.#sent.longestWaitMs = Math.max(this.#sent.longestWaitMs, waitedMs);
      if (kind === 'pass') return;
      this.#under.push(this.#sent);
      this.#sent = nothingSent();
    };
  }

  /** A forward_backward came back. Others, and those that failed, train nothing. */
  passed(
    work: Pick<TrainWork, 'forward_only' | 'inputs' | 'lengths' | 'loss'>,
    { failure, metrics }: TrainOutcome,
  ): void {
    if (failure !== null || work.forward_only) return;
    const tokens = work.lengths.reduce((sum, length) => sum + length, 0);
    this.datums += work.lengths.length;
    this.tokens += tokens;
    const passed = this.#passed;
    passed.datums += work.lengths.length;
    passed.tokens += tokens;
    passed.loss = (passed.loss ?? 0) + (metrics['loss:sum'] ?? Number.NaN);
    passed.weight = addWeights(passed.weight, targetWeight(work));
  }

  /** A step was made. @param metrics of the optimizer */
  stepped(metrics: Readonly<Record<string, number>>): void {
    const now = this.nowMs();
    const { firstMs, longestWaitMs } = this.#under.shift() ?? nothingSent();
    const { datums, loss, tokens, weight } = this.#passed;
    const stepMs = now - Math.max(firstMs ?? now, this.#endedMs);
    this.#passed = nothingPassed();
    this.#endedMs = now;
    this.steps += 1;
    const step = Math.max(metrics['step:max'] ?? 0, (this.last?.step ?? 0) + 1);
    const finite = loss !== null && Number.isFinite(loss);
    if (finite) this.curve.push(step, loss, weight);
    this.last = {
      ...this.labels,
      step,
      loss: finite ? loss : null,
      lossPerToken: finite ? perToken(loss, weight) : null,
      gradNorm: metrics['grad_norm:mean'] ?? null,
      datums,
      tokens,
      tokensPerSecond: this.#throughput(tokens, stepMs),
      stepMs,
      queueMs: longestWaitMs,
    };
    this.events.emit('stepped', this.last);
  }

  /** What was passed for the next step is gone. */
  gradientDropped(): void {
    this.#sent = nothingSent();
    this.#passed = nothingPassed();
  }

  /** A step was not made, and its gradient is gone. */
  stepFailed(): void {
    this.#under.shift();
    this.#passed = nothingPassed();
  }

  #throughput(tokens: number, ms: number): number | null {
    this.#recent.push({ tokens, ms });
    if (this.#recent.length > RECENT_STEPS) this.#recent.shift();
    const all = this.#recent.reduce((sum, one) => ({ tokens: sum.tokens + one.tokens, ms: sum.ms + one.ms }));
    return all.ms > 0 ? (all.tokens * 1000) / all.ms : null;
  }
}
