/** Ranks whose runs are numbers: what is trained, saved and loaded can be told from what was never parked. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TwinkleError } from '../../../src/errors.js';
import type { Trainer, TrainerHost } from '../../../src/training/trainer.js';
import { type Deferred, deferred } from '../../../src/util/deferred.js';
import { outcome } from './fake-trainer.js';

interface Weights {
  weight: number;
  moment: number;
  grad: number;
}
type Params = { run: string; folder: string; optimizer: boolean; works: { run: string; forward_only: boolean }[] };

export class WeighingTrainer implements Trainer {
  gone = false;
  readonly runs = new Map<string, Weights>();
  readonly calls: string[] = [];
  /** Method → what its next calls wait for. */
  readonly held = new Map<string, Deferred<void>>();
  /** Method → why it fails. */
  readonly failures = new Map<string, TwinkleError>();

  hold(method: string): Deferred<void> {
    const gate = deferred<void>();
    this.held.set(method, gate);
    return gate;
  }

  call: Trainer['call'] = async (method, params) => {
    const given = params as unknown as Params;
    this.calls.push(`${method} ${given.run ?? given.works[0]?.run}`.replace(/train_(\w+) .*:(\d+)$/, '$1 $2'));
    // Ranks do one after another; here none takes long but those that are held.
    const result = method === 'train_save' ? null : this.#do(method, given);
    await this.held.get(method)?.promise;
    const failure = this.failures.get(method);
    if (failure !== undefined) throw failure;
    return (result ?? this.#do(method, given)) as never;
  };

  #do(method: string, { folder, optimizer, run, works }: Params): unknown {
    if (this.failures.has(method)) return {};
    switch (method) {
      case 'train_create':
        this.runs.set(run, { weight: 1, moment: 0, grad: 0 });
        return {};
      case 'train_drop':
        this.runs.delete(run);
        return {};
      case 'train_pass':
        return { outcomes: works.map((work) => this.#pass(work)) };
      case 'train_step': {
        const of = this.#of(run);
        of.moment = of.moment * 0.9 + of.grad;
        of.weight -= 0.1 * of.moment;
        of.grad = 0;
        return { metrics: { 'weight:mean': of.weight } };
      }
      case 'train_save': {
        const { moment, weight } = this.#of(run);
        mkdirSync(folder);
        writeFileSync(join(folder, 'weights'), JSON.stringify({ weight, moment: optimizer ? moment : 0, grad: 0 }));
        return { bytes: 7 };
      }
      default:
        if (!existsSync(folder)) throw new TwinkleError('CHECKPOINT_NOT_FOUND', 'there is no checkpoint');
        this.runs.set(run, JSON.parse(readFileSync(join(folder, 'weights'), 'utf8')));
        if (!optimizer) this.#of(run).moment = 0;
        return {};
    }
  }

  #pass({ forward_only, run }: { run: string; forward_only: boolean }) {
    const of = this.runs.get(run);
    if (of === undefined) return outcome({ failure: { message: `no run ${run}`, user: false } });
    if (!forward_only) of.grad += of.weight * 0.3;
    return outcome({ metrics: { 'loss:sum': of.weight } });
  }

  #of(run: string): Weights {
    const of = this.runs.get(run);
    if (of === undefined) throw new TwinkleError('RUN_NOT_FOUND', `there is no run ${run}`);
    return of;
  }
}

export class WeighingHost implements TrainerHost {
  trainer = new WeighingTrainer();
  readonly closed: string[] = [];
  opened = 0;

  trains(): boolean {
    return true;
  }

  checkRun(): void {}

  folder(): string {
    return '/models/demo';
  }

  async open(): Promise<Trainer> {
    this.opened += 1;
    return this.trainer;
  }

  close(model: string): void {
    this.closed.push(model);
  }

  /** The ranks are killed, and started again. */
  restart(): WeighingTrainer {
    this.trainer.gone = true;
    this.trainer = new WeighingTrainer();
    return this.trainer;
  }
}

/** Weights after so many steps of a run that was never parked. */
export function trained(steps: number): number {
  let [weight, moment] = [1, 0];
  for (let at = 0; at < steps; at++) {
    moment = moment * 0.9 + weight * 0.3;
    weight -= 0.1 * moment;
  }
  return weight;
}
