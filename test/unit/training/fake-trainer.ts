/** Ranks that train, played by the test. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Calls } from '../../../src/protocol/methods.js';
import type { TrainOutcome } from '../../../src/protocol/training.js';
import type { Trainer, TrainerHost } from '../../../src/training/trainer.js';
import type { NewRun } from '../../../src/training/types.js';
import { type Deferred, deferred } from '../../../src/util/deferred.js';

export interface SentCall {
  readonly method: keyof Calls;
  readonly params: never;
  readonly answer: Deferred<never>;
}

export const outcome = (changes: Partial<TrainOutcome> = {}): TrainOutcome => ({
  failure: null,
  shapes: [[1]],
  outputs: [{ name: 'logprobs', data: Buffer.from(Float32Array.of(-0.5).buffer) }],
  metrics: { 'loss:sum': 1 },
  ...changes,
});

/** What a client says of a new run. */
export const newRun = (session: string, changes: Partial<NewRun> = {}): NewRun => ({
  session,
  seqId: 0,
  baseModel: 'demo',
  rank: 8,
  seed: 1,
  attn: true,
  mlp: true,
  unembed: false,
  userMetadata: null,
  ...changes,
});

export class FakeTrainer implements Trainer {
  gone = false;
  readonly sent: SentCall[] = [];
  /** False: the test answers calls itself. */
  automatic = true;
  /** Names of the files that a save writes, each with its name as content; null: it writes nothing at all. */
  files: readonly string[] | null = null;

  call: Trainer['call'] = async (method, params) => {
    const answer = deferred<never>();
    this.sent.push({ method, params: params as never, answer });
    if (method === 'train_save' && this.files !== null) {
      const { folder } = params as Calls['train_save']['params'];
      mkdirSync(folder);
      for (const name of this.files) writeFileSync(join(folder, name), name);
    }
    if (this.automatic) this.answer(this.sent.length - 1);
    return await answer.promise;
  };

  /** As ranks would. */
  answer(at: number): void {
    const { answer, method, params } = this.sent[at] as SentCall;
    const works = (params as { works?: unknown[] }).works ?? [];
    const value =
      method === 'train_pass'
        ? { outcomes: works.map(() => outcome()) }
        : method === 'train_step'
          ? { metrics: { 'grad_norm:mean': 2 } }
          : method === 'train_save'
            ? { bytes: 7 }
            : method === 'train_norm'
              ? { norm: 3 }
              : null;
    answer.resolve(value as never);
  }

  methods(): string[] {
    return this.sent.map(({ method }) => method);
  }
}

export class FakeHost implements TrainerHost {
  trainer = new FakeTrainer();
  failure: unknown = null;

  trains(model: string): boolean {
    return model === 'demo';
  }

  /** What engines could never sample from. */
  refusal: Error | null = null;

  checkRun(): void {
    if (this.refusal !== null) throw this.refusal;
  }

  folder(): string {
    return '/models/demo';
  }

  /** Models whose ranks were not wanted any more. */
  readonly closed: string[] = [];

  close(model: string): void {
    this.closed.push(model);
  }

  async open(): Promise<Trainer> {
    if (this.failure !== null) throw this.failure;
    return this.trainer;
  }
}

/** Everything that was begun has gone as far as it can by itself. */
export async function flush(): Promise<void> {
  for (let turn = 0; turn < 6; turn++) await new Promise((resolve) => setImmediate(resolve));
}
