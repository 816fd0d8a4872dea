/** One adapter of a client: its settings, and what its calls become for the run that trains it. Calls are done in the order in which they come. */
import { TwinkleError } from '../errors.js';
import type { TrainingService } from '../training/types.js';
import { type AdapterState, noteOf, stepIsDue, withoutGradient } from './adapter-state.js';
import { type Given, number, readArguments, whole } from './arguments.js';
import type { Encoders } from './encoders.js';
import { type Feature, readInputs, type Task } from './features.js';
import { Gradient } from './gradient.js';
import { type CompiledWork, compileForward, compileWork } from './losses/compile.js';
import { readLoss } from './losses/loss.js';
import { addMetric, calculateMetrics, passMade } from './metrics/metrics.js';
import { readOptimizer } from './optimizers.js';
import { type ForwardResult, forwardResult } from './outputs.js';
import { lrAt, makeScheduler, stepScheduler } from './schedulers/scheduler.js';
import { readTemplate } from './template.js';
import { trainConfigs } from './train-configs.js';

export interface AdapterParts {
  readonly tenant: string;
  /** Id of the run. */
  readonly run: string;
  readonly training: Pick<TrainingService, 'direct' | 'note' | 'run'>;
  readonly encoders: Encoders;
  nowMs(): number;
}

/** What a forward without a loss left for calculate_loss and backward. */
interface Forwarded {
  readonly features: readonly Feature[];
  readonly kwargs: Given;
}

/** A pass and its result. */
interface Passed extends ForwardResult {
  /** Null: no loss was asked for. */
  readonly loss: number | null;
}

const GRADIENT = { gradient_accumulation_steps: whole({ min: 1 }) };
const CLIP = { max_grad_norm: number({ above: 0 }, 1), norm_type: number({ min: 1 }, 2) };

export class Adapter {
  #turn: Promise<unknown> = Promise.resolve();
  #forwarded: Forwarded | null = null;
  readonly #gradient: Gradient;

  constructor(
    private readonly parts: AdapterParts,
    private state: AdapterState,
  ) {
    this.#gradient = new Gradient(parts.training.direct, parts.tenant, parts.run);
  }

  get id(): string {
    return this.state.id;
  }

  get run(): string {
    return this.parts.run;
  }

  /** Where it stands, for a checkpoint. */
  get now(): AdapterState {
    return this.state;
  }

  /** Something that takes its turn behind all calls before it. */
  async inTurn<T>(act: () => Promise<T> | T): Promise<T> {
    const mine = this.#turn.then(act).catch((error: unknown) => this.#failed(error));
    this.#turn = mine.catch(() => {});
    return await mine;
  }

  // Settings.

  setLoss(name: unknown, kwargs: Given): void {
    this.#set({ loss: readLoss(name, kwargs) });
  }

  setOptimizer(name: unknown, kwargs: Given): void {
    this.#set({ optimizer: { name: String(name), ...readOptimizer(name, kwargs) } });
  }

  setScheduler(name: unknown, kwargs: Given): void {
    this.#optimizer('set_lr_scheduler');
    this.#set({ scheduler: makeScheduler(name, kwargs) });
  }

  setTemplate(name: string, kwargs: Given): void {
    readTemplate(name, kwargs); // refuses what it does not know
    this.#set({ template: { name, kwargs } });
  }

  setProcessor(name: string, kwargs: Given): void {
    this.#set({ processor: { name, kwargs } });
  }

  addMetric(name: unknown, training: boolean | null, kwargs: Given): void {
    this.#set({ metrics: addMetric(this.state.metrics, name, training, kwargs) });
  }

  /** Goes on where a checkpoint was. */
  resume(change: Pick<AdapterState, 'passes' | 'accumulation'> & Partial<Pick<AdapterState, 'scheduler'>>): void {
    this.#forwarded = null;
    this.#set({ ...change, denominator: 0, clip: null });
  }

  // Passes.

  async forward(inputs: unknown, kwargs: Given): Promise<Passed> {
    const features = await this.#features(inputs, kwargs);
    this.#forwarded = { features, kwargs };
    return await this.#pass(compileForward(this.state.loss, features, kwargs), null);
  }

  async forwardOnly(inputs: unknown, kwargs: Given): Promise<Passed> {
    const features = await this.#features(inputs, kwargs);
    return await this.#pass(compileForward(this.state.loss, features, kwargs), false);
  }

  async calculateLoss(kwargs: Given): Promise<number> {
    const { loss } = await this.#pass(this.#again(kwargs, true), null);
    return loss ?? 0;
  }

  async backward(kwargs: Given): Promise<void> {
    this.#accumulate(kwargs);
    await this.#back(this.#again(kwargs, false));
    this.#forwarded = null;
  }

  async forwardBackward(inputs: unknown, kwargs: Given): Promise<Passed> {
    const features = await this.#features(inputs, kwargs);
    this.#accumulate(kwargs);
    const compiled = compileWork(this.state.loss, features, kwargs, false);
    return await this.#back(compiled);
  }

  // Steps.

  /** @returns the norm before it is clipped; null: no step is due */
  async clipGradNorm(kwargs: Given): Promise<number | null> {
    const { max_grad_norm: norm, norm_type: type } = this.#stepArguments('clip_grad_norm', kwargs, CLIP);
    if (!stepIsDue(this.state)) return null;
    const scale = this.#scale();
    const gradNorm = await this.#gradient.norm({ gradient_scale: scale, norm_type: type });
    this.#set({ clip: { scale, norm, type }, gradNorm });
    return gradNorm;
  }

  async step(kwargs: Given): Promise<void> {
    this.#stepArguments('step', kwargs, {});
    if (stepIsDue(this.state)) await this.#step(this.state.clip);
  }

  async zeroGrad(kwargs: Given): Promise<void> {
    this.#stepArguments('zero_grad', kwargs, {});
    if (this.state.unsure) return await this.#forget();
    if (!stepIsDue(this.state)) return;
    await this.#gradient.zero();
    this.#set({ denominator: 0, clip: null });
  }

  lrStep(kwargs: Given): void {
    this.#stepArguments('lr_step', kwargs, {});
    const { scheduler } = this.state;
    if (scheduler !== null && stepIsDue(this.state)) this.#set({ scheduler: stepScheduler(scheduler) });
  }

  async clipGradAndStep(kwargs: Given): Promise<void> {
    const { max_grad_norm: norm, norm_type: type } = this.#stepArguments('clip_grad_and_step', kwargs, CLIP);
    if (!stepIsDue(this.state)) return;
    await this.#step({ scale: this.#scale(), norm, type });
    const { scheduler } = this.state;
    if (scheduler !== null) this.#set({ scheduler: stepScheduler(scheduler) });
  }

  // Answers.

  calculateMetric(training: boolean): Given {
    const { accumulation, gradNorm, metrics: before, passes } = this.state;
    const lrs = this.state.optimizer === null ? [] : [this.#lr()];
    const moment = { lrs, passes, accumulation, gradNorm };
    const { metrics, values } = calculateMetrics(before, training, this.parts.nowMs(), moment);
    this.#set({ metrics });
    return values;
  }

  describe(): string {
    const { run, tenant, training } = this.parts;
    return trainConfigs(this.state, training.run(tenant, run));
  }

  /** A gradient that is gone counts for nothing any more. */
  #failed(error: unknown): never {
    if (error instanceof TwinkleError) {
      // Its passes are to be made again.
      if (error.details.gradientDropped === true) this.#set(withoutGradient(this.state));
      // Ranks clear it, and the step counts as taken.
      else if (error.code === 'DEADLINE_EXCEEDED' && error.details.begun === true) this.#set({ unsure: true });
      else if (error.code === 'NON_FINITE') this.#set({ clip: null, denominator: 0 });
    }
    throw error;
  }

  /** Of a request that was given up while it was computed, nobody knows what counts: begin the step anew. */
  async #forget(): Promise<void> {
    await this.#gradient.zero();
    this.#set({ ...withoutGradient(this.state), unsure: false });
  }

  #set(change: Partial<AdapterState>): void {
    this.state = { ...this.state, ...change };
    this.parts.training.note(this.parts.tenant, this.run, noteOf(this.state));
  }

  async #features(inputs: unknown, { task }: Given): Promise<readonly Feature[]> {
    const read = readInputs(inputs, (task === 'embedding' ? 'embedding' : 'causal_lm') satisfies Task);
    if (read.kind === 'features') return read.features;
    const { model, template } = this.state;
    if (template === null)
      throw new TwinkleError('INVALID_REQUEST', 'inputs with `messages` need a template: call set_template first', {
        param: 'inputs',
      });
    return await this.parts.encoders.encode(model, template, read.trajectories);
  }

  /** What forward was given, once more. */
  #again(kwargs: Given, forwardOnly: boolean): CompiledWork {
    if (this.#forwarded === null)
      throw new TwinkleError('INVALID_REQUEST', 'there is nothing to go back through: call forward before');
    const { features, kwargs: before } = this.#forwarded;
    return compileWork(this.state.loss, features, { ...before, ...kwargs }, forwardOnly);
  }

  async #back(compiled: CompiledWork): Promise<Passed> {
    if (this.state.unsure) await this.#forget();
    // The clip of before was of another gradient.
    if (this.state.clip !== null) this.#set({ clip: null });
    const passed = await this.#pass(compiled, true);
    const { denominator, passes } = this.state;
    this.#set({ passes: passes + 1, denominator: denominator + compiled.denominator });
    return passed;
  }

  /** @param training whose metrics hear of it; null: none */
  async #pass(compiled: CompiledWork, training: boolean | null): Promise<Passed> {
    const { parts } = this;
    const outcome = await parts.training.direct.pass(parts.tenant, parts.run, compiled.work);
    const loss = compiled.hasLoss ? (outcome.metrics['loss:sum'] ?? null) : null;
    if (training !== null) {
      const { loss: spec, metrics } = this.state;
      this.#set({ metrics: passMade(metrics, training, { compiled, spec, outcome }) });
    }
    return { ...forwardResult(outcome), loss };
  }

  async #step(clip: AdapterState['clip']): Promise<void> {
    const optimizer = this.#optimizer('step');
    if (this.state.unsure) {
      await this.#forget();
      throw new TwinkleError(
        'INVALID_REQUEST',
        'a request before this one was given up while it was computed, so what had been added up was forgotten: make the passes of this step again',
      );
    }
    const metrics = await this.#gradient.step({ optimizer, lr: this.#lr(), clip });
    const gradNorm = metrics['grad_norm:mean'] ?? this.state.gradNorm;
    this.#set({ clip: null, denominator: 0, ...(clip === null ? {} : { gradNorm }) });
  }

  #optimizer(call: string): NonNullable<AdapterState['optimizer']> {
    if (this.state.optimizer !== null) return this.state.optimizer;
    throw new TwinkleError('INVALID_REQUEST', `\`${call}\` needs an optimizer: call set_optimizer first`);
  }

  #lr(): number {
    const { optimizer, scheduler } = this.state;
    if (optimizer === null) return 0;
    return scheduler === null ? optimizer.lr : lrAt(scheduler, optimizer.lr, scheduler.steps);
  }

  #scale(): number {
    return this.state.denominator > 0 ? 1 / this.state.denominator : 1;
  }

  /** How many passes make a step may be said with any call. */
  #accumulate({ gradient_accumulation_steps: steps }: Given): void {
    if (steps === undefined || steps === null) return;
    const read = readArguments('a pass', { gradient_accumulation_steps: steps }, GRADIENT);
    if (read.gradient_accumulation_steps !== this.state.accumulation)
      this.#set({ accumulation: read.gradient_accumulation_steps });
  }

  #stepArguments<const F extends Parameters<typeof readArguments>[2]>(of: string, kwargs: Given, fields: F) {
    const { gradient_accumulation_steps: _, ...others } = kwargs;
    this.#accumulate(kwargs);
    return readArguments(of, others, fields);
  }
}
