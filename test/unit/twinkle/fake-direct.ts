/** A run of one adapter whose ranks are played by the test: what they were asked, in order, and what was kept with the run. */
import { TwinkleError } from '../../../src/errors.js';
import type { TrainOutcome } from '../../../src/protocol/training.js';
import type { ComputeRequest, DirectTraining, RunInfo, RunNote } from '../../../src/training/types.js';
import { Adapter } from '../../../src/twinkle/adapter.js';
import { stateOf } from '../../../src/twinkle/adapter-state.js';
import { Encoders } from '../../../src/twinkle/encoders.js';
import { newAdapter } from '../../../src/twinkle/new-adapter.js';
import { type Deferred, deferred } from '../../../src/util/deferred.js';
import { newRun, outcome } from '../training/fake-trainer.js';

export type Work = ComputeRequest['work'];

/** One sequence of three tokens, of which two count. */
export const SEQUENCE = { input_ids: [5, 6, 7], labels: [6, 7, -100] };

/** Bytes of an engine's floats. */
export const floats = (...values: readonly number[]): Uint8Array => Buffer.from(Float32Array.from(values).buffer);

export class FakeDirect implements DirectTraining {
  /** Names of calls, each with its run. */
  readonly calls: string[] = [];
  readonly works: Work[] = [];
  readonly steps: Parameters<DirectTraining['step']>[2][] = [];
  readonly norms: Parameters<DirectTraining['norm']>[2][] = [];
  /** What the next calls fail with. */
  readonly failures: unknown[] = [];
  /** Set: calls wait for it. */
  gate: Deferred<void> | null = null;
  norm_ = 4;
  loss = 6;

  async #do<T>(what: string, run: string, result: () => T): Promise<T> {
    this.calls.push(`${what} ${run}`);
    await this.gate?.promise;
    const failure = this.failures.shift();
    if (failure !== undefined) throw failure;
    return result();
  }

  pass(_tenant: string, run: string, work: Work): Promise<TrainOutcome> {
    this.works.push(work);
    const size = work.lengths.reduce((sum, length) => sum + length, 0);
    const logprobs = { name: 'logprobs', data: floats(...Array<number>(size).fill(-0.5)) };
    return this.#do(work.forward_only ? 'forward' : 'pass', run, () =>
      outcome({
        shapes: work.lengths.map((length) => [length]),
        outputs: [logprobs],
        metrics: { 'loss:sum': this.loss },
      }),
    );
  }

  step(_tenant: string, run: string, params: Parameters<DirectTraining['step']>[2]) {
    this.steps.push(params);
    return this.#do('step', run, () => ({ 'grad_norm:mean': this.norm_ }));
  }

  norm(_tenant: string, run: string, params: Parameters<DirectTraining['norm']>[2]): Promise<number> {
    this.norms.push(params);
    return this.#do('norm', run, () => this.norm_);
  }

  zero(_tenant: string, run: string): Promise<void> {
    return this.#do('zero', run, () => {});
  }

  made(_tenant: string, run: string): Promise<void> {
    return this.#do('made', run, () => {});
  }

  encode: DirectTraining['encode'] = (_model, { conversations }) =>
    this.#do('encode', 'all', () => ({
      tokens: new Uint8Array(Int32Array.from(conversations.flatMap(() => [1, 2, 3])).buffer),
      labels: new Uint8Array(Int32Array.from(conversations.flatMap(() => [2, 3, -100])).buffer),
      lengths: conversations.map(() => 3),
    }));

  sampled(): readonly string[] {
    return ['demo'];
  }

  admitSamples(): void {}

  generate(): never {
    throw new TwinkleError('NOT_READY', 'nothing is generated here');
  }

  hold(): Deferred<void> {
    this.gate = deferred<void>();
    return this.gate;
  }
}

/** Adapters over one {@link FakeDirect}, and what is kept of them. */
export class Bench {
  readonly direct = new FakeDirect();
  readonly notes: RunNote[] = [];
  nowMs = 0;

  #parts(run: string) {
    const training = {
      direct: this.direct,
      note: (_tenant: string, _run: string, note: RunNote): void => {
        this.notes.push(JSON.parse(JSON.stringify(note)) as RunNote);
      },
      run: (): RunInfo => ({
        ...newRun('s'),
        ...{ id: run, folder: '/models/demo', corrupted: false, lastRequest: 0, next: 1, note: null },
      }),
    };
    return { tenant: 't', run, training, encoders: new Encoders(this.direct), nowMs: () => this.nowMs };
  }

  /** With an optimizer whose learning rate is 0.5. */
  adapter(accumulation = 1, run = 'r'): Adapter {
    const made = newAdapter(this.#parts(run), { id: `s-${run}`, model: 'demo', saveDir: null, accumulation });
    made.setOptimizer('Adam', { lr: 0.5 });
    return made;
  }

  /** The one that another process takes up from what was kept last. */
  again(run = 'r'): Adapter {
    const state = stateOf(this.notes.at(-1) ?? null);
    if (state === null) throw new Error('nothing was kept');
    return new Adapter(this.#parts(run), state);
  }
}
