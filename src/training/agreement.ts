/**
 * How far sampler and trainer are apart: the log-probabilities that each gives to a prompt of the run's own, of the same weights. Looked at now and
 * then, when weights are handed over; nobody waits for it, and what cannot be compared is left out.
 */
import { readSampleResponse } from '../protocol/tinker/read-sample-response.js';
import type { TrainWork } from '../protocol/training.js';
import type { Run } from './run.js';
import { SampleRun } from './sample-run.js';
import type { Generate } from './sampler-source.js';
import type { Trainer } from './trainer.js';
import type { SampleRequest } from './types.js';

const EVERY_MS = 30_000;

/** A comparison under way: the trainer has been asked. */
export interface Comparison {
  readonly probe: Int32Array;
  /** Of each token but the first; null: it has none. */
  readonly trained: Promise<Float32Array | null>;
}

export class Agreement {
  readonly #lastMs = new WeakMap<Run, number>();

  constructor(private readonly nowMs: () => number) {}

  /**
   * Ask the trainer, in the turn of what is handed over: to be called before anything of the run is sent again.
   * @returns null: not now
   */
  begin(run: Run, trainer: Trainer): Comparison | null {
    const now = this.nowMs();
    const { probe } = run;
    if (probe === null || now - (this.#lastMs.get(run) ?? Number.NEGATIVE_INFINITY) < EVERY_MS) return null;
    this.#lastMs.set(run, now);
    const trained = trainer
      .call('train_pass', { works: [workOf(run.id, probe)] })
      .then(({ outcomes: [outcome] }) => {
        const data = outcome?.outputs.find(({ name }) => name === 'logprobs')?.data;
        return data === undefined ? null : new Float32Array(Uint8Array.from(data).buffer);
      })
      .catch(() => null); // the trainer's own requests say what is wrong with it
    return { probe, trained };
  }

  /** Ask the sampler, and tell the run's progress. @param generate from the weights that were handed over */
  async end(run: Run, { probe, trained }: Comparison, generate: Generate): Promise<void> {
    const [ours, sampled] = await Promise.all([trained, likelihoods(run, probe, generate)]);
    if (ours === null || sampled === null || ours.length !== sampled.length) return;
    const gap = ours.reduce((most, one, at) => Math.max(most, Math.abs(one - (sampled[at] ?? Number.NaN))), 0);
    if (Number.isFinite(gap)) run.progress.samplerGap = gap;
  }
}

function workOf(run: string, probe: Int32Array): TrainWork {
  const targets = BigInt64Array.from(probe.subarray(1), BigInt);
  const data = new Uint8Array(targets.buffer);
  return {
    run,
    loss: 'cross_entropy',
    config: {},
    forward_only: true,
    tokens: new Uint8Array(probe.buffer, 0, 4 * targets.length),
    lengths: [targets.length],
    inputs: [{ name: 'target_tokens', dtype: 'int64', data, shapes: [[targets.length]] }],
  };
}

/** Of each token but the first, as the sampler sees them; null: it has none. */
function likelihoods(run: Run, probe: Int32Array, generate: Generate): Promise<Float32Array | null> {
  const request: SampleRequest = {
    sampler: run.id,
    seqId: 0n,
    prompt: [...probe],
    count: 1,
    maxTokens: 1,
    seed: null,
    stop: null,
    temperature: 1,
    topK: 0,
    topP: 1,
    promptLogprobs: true,
    promptLogprobsLast: null,
    topkPrompt: 0,
    topkSample: 0,
  };
  return new Promise((resolve) => {
    const sample = new SampleRun(generate, request, { tenant: run.session.tenant }, (answer) => {
      if ('error' in answer) resolve(null);
      else resolve(readSampleResponse(answer.bytes).promptLogprobs?.subarray(1) ?? null);
    });
    try {
      sample.start();
    } catch {
      resolve(null); // a full queue: the next time
    }
  });
}
