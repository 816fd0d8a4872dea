/** The adapters of all clients: found by their names, made, called, and taken up again after a restart. */
import { TwinkleError } from '../errors.js';
import type { NewRun, TrainingService } from '../training/types.js';
import { Adapter, type AdapterParts } from './adapter.js';
import { adapterIdOf } from './adapter-id.js';
import { stateOf } from './adapter-state.js';
import { flag, type Given, maybe, readArguments } from './arguments.js';
import type { Encoders } from './encoders.js';
import type { Exports } from './exports.js';
import { readLoraConfig } from './lora-config.js';
import { newAdapter, readAccumulation } from './new-adapter.js';
import { RunNumbers } from './run-numbers.js';
import { AdapterSaves } from './saves.js';
import type { AdapterCall, AdapterMethod, AdapterOwner, TwinkleModels } from './types.js';

export interface ModelsParts {
  readonly training: TrainingService;
  readonly encoders: Encoders;
  readonly exports: Exports;
  nowMs(): number;
}

type Act = (adapter: Adapter, kwargs: Given, call: AdapterCall) => unknown;

/** Arguments of a class, without its name. */
function named(kwargs: Given, field: string): [name: unknown, others: Given] {
  const { [field]: name, ...others } = kwargs;
  return [name, others];
}

const asText = (name: unknown, field: string): string => {
  if (typeof name === 'string' && name !== '') return name;
  throw new TwinkleError('INVALID_REQUEST', `expected the name of a class for \`${field}\``, { param: field });
};

export class AdaptedModels implements TwinkleModels {
  readonly #known = new Map<string, Adapter>();
  readonly #saves: AdapterSaves;
  readonly #numbers: RunNumbers;
  readonly #acts: Readonly<Record<AdapterMethod, Act>>;

  constructor(private readonly parts: ModelsParts) {
    this.#numbers = new RunNumbers(parts.training);
    this.#saves = new AdapterSaves(parts.training, parts.exports);
    this.#acts = { ...ACTS, ...this.#saves.acts };
  }

  check(model: string): void {
    const names = this.parts.training.capabilities().filter(({ trainable }) => trainable);
    if (names.some((one) => one.model === model)) return;
    const there = names.map((one) => `\`${one.model}\``).join(', ') || 'none';
    throw new TwinkleError('MODEL_NOT_FOUND', `no model \`${model}\` is trained here: there are ${there}`, {
      param: 'model',
    });
  }

  async add(call: AdapterCall): Promise<string> {
    const { kwargs, model, tenant } = call;
    this.check(model);
    const { training } = this.parts;
    const { config, gradient_accumulation_steps: accumulation, save_dir: folder = null, ...others } = kwargs;
    const { session, id } = adapterIdOf(call);
    const [unknown] = Object.keys(others).filter((name) => others[name] !== null);
    if (unknown !== undefined)
      throw new TwinkleError('INVALID_REQUEST', `add_adapter_to_model has no argument \`${unknown}\``, {
        param: unknown,
      });
    const shape = readLoraConfig(config);
    const saveDir = folder === null ? null : this.parts.exports.check(folder);
    const steps = readAccumulation(accumulation);
    this.#forgetEnded();
    const seqId = this.#numbers.next(tenant, session); // not that of the one before, which is still there
    const before = this.#find(call, id);
    // Beside a run that trains all of a model there is room for no other.
    if (before !== null && shape.rank === 0) this.#end(call, before);
    const spec = { session, seqId, baseModel: model, seed: null, ...shape };
    const run = this.#create(tenant, { ...spec, userMetadata: { adapter_name: call.adapter } });
    const adapter = newAdapter(this.#partsOf(tenant, run), { id, model, saveDir, accumulation: steps });
    this.#known.set(keyOf(call, id), adapter);
    try {
      await training.direct.made(tenant, run);
    } catch (error) {
      this.#end(call, adapter);
      throw error;
    }
    // Only now: what is refused leaves the one that was there as it was.
    if (before !== null && shape.rank !== 0) training.endRun(tenant, before.run);
    return id;
  }

  async call(method: AdapterMethod, call: AdapterCall): Promise<unknown> {
    this.check(call.model);
    const { id } = adapterIdOf(call);
    const adapter = this.#find(call, id);
    if (adapter === null) {
      throw new TwinkleError(
        'ADAPTER_NOT_FOUND',
        `there is no adapter \`${call.adapter}\` of \`${call.model}\` in this session: it was never added, or has ended with its session or for its age; call add_adapter_to_model`,
        { param: 'adapter_name' },
      );
    }
    return await adapter.inTurn(() => this.#acts[method](adapter, call.kwargs, call));
  }

  #find(owner: AdapterOwner, id: string): Adapter | null {
    const { training } = this.parts;
    const key = keyOf(owner, id);
    const known = this.#known.get(key);
    const runs = training.runs(owner.tenant);
    if (known !== undefined && runs.some((run) => run.id === known.run)) return known;
    this.#known.delete(key);
    for (const run of runs) {
      const state = stateOf(run.note);
      if (state === null || state.id !== id || state.model !== owner.model) continue;
      const adapter = new Adapter(this.#partsOf(owner.tenant, run.id), state);
      this.#known.set(key, adapter);
      return adapter;
    }
    return null;
  }

  #create(tenant: string, spec: NewRun): string {
    try {
      return this.parts.training.createRun(tenant, spec).run;
    } catch (error) {
      // 410 would be the end of an iterator to this client.
      if (!(error instanceof TwinkleError) || error.code !== 'SESSION_ENDED') throw error;
      throw new TwinkleError('SESSION_NOT_FOUND', error.message, { cause: error });
    }
  }

  #end(owner: AdapterOwner, adapter: Adapter): void {
    const key = keyOf(owner, adapter.id);
    // Another one may have taken its place meanwhile.
    if (this.#known.get(key) === adapter) this.#known.delete(key);
    this.parts.training.endRun(owner.tenant, adapter.run);
  }

  /** Runs end with their sessions, too, of which nobody tells. */
  #forgetEnded(): void {
    const runs = new Set(this.parts.training.watch.runs().map(({ id }) => id));
    for (const [key, { run }] of this.#known) if (!runs.has(run)) this.#known.delete(key);
  }

  #partsOf(tenant: string, run: string): AdapterParts {
    const { encoders, nowMs, training } = this.parts;
    return { tenant, run, training, encoders, nowMs };
  }
}

const keyOf = ({ model, tenant }: AdapterOwner, id: string): string => `${tenant}\n${model}\n${id}`;

const result = async (value: unknown): Promise<object> => ({ result: await value });
const nothing = async (done: unknown): Promise<null> => {
  await done;
  return null;
};

/** Of those that save and load there is a file of its own. */
const ACTS = {
  forward: (adapter, kwargs) => {
    const [inputs, others] = named(kwargs, 'inputs');
    return result(adapter.forward(inputs, others));
  },
  forward_only: (adapter, kwargs) => {
    const [inputs, others] = named(kwargs, 'inputs');
    return result(adapter.forwardOnly(inputs, others));
  },
  forward_backward: (adapter, kwargs) => {
    const [inputs, others] = named(kwargs, 'inputs');
    return result(adapter.forwardBackward(inputs, others));
  },
  calculate_loss: (adapter, kwargs) => result(adapter.calculateLoss(kwargs)),
  backward: (adapter, kwargs) => nothing(adapter.backward(kwargs)),
  // The answer is text, whatever it says.
  clip_grad_norm: async (adapter, kwargs) => ({ result: textOf(await adapter.clipGradNorm(kwargs)) }),
  step: (adapter, kwargs) => nothing(adapter.step(kwargs)),
  zero_grad: (adapter, kwargs) => nothing(adapter.zeroGrad(kwargs)),
  lr_step: (adapter, kwargs) => nothing(adapter.lrStep(kwargs)),
  clip_grad_and_step: (adapter, kwargs) => nothing(adapter.clipGradAndStep(kwargs)),
  get_train_configs: (adapter) => result(adapter.describe()),
  set_loss: (adapter, kwargs) => nothing(adapter.setLoss(...named(kwargs, 'loss_cls'))),
  set_optimizer: (adapter, kwargs) => nothing(adapter.setOptimizer(...named(kwargs, 'optimizer_cls'))),
  set_lr_scheduler: (adapter, kwargs) => nothing(adapter.setScheduler(...named(kwargs, 'scheduler_cls'))),
  set_template: (adapter, kwargs) => {
    const [name, others] = named(kwargs, 'template_cls');
    return nothing(adapter.setTemplate(asText(name, 'template_cls'), others));
  },
  set_processor: (adapter, kwargs) => {
    const [name, others] = named(kwargs, 'processor_cls');
    return nothing(adapter.setProcessor(asText(name, 'processor_cls'), others));
  },
  add_metric: (adapter, kwargs) => {
    const { is_training: training = null, metric_cls: name, ...others } = kwargs;
    return nothing(adapter.addMetric(name, ofTraining('add_metric', training), others));
  },
  calculate_metric: (adapter, { is_training: training }) =>
    result(adapter.calculateMetric(ofTraining('calculate_metric', training) ?? true)),
  apply_patch: (_adapter, { patch_cls: name }) => {
    const said = typeof name === 'string' ? ` \`${name.slice(0, 80)}\`` : '';
    throw new TwinkleError(
      'UNSUPPORTED_PARAMETER',
      `a patch${said} changes the code of a model that others train, too`,
      {
        param: 'patch_cls',
      },
    );
  },
} satisfies Partial<Record<AdapterMethod, Act>>;

const TRAINING = { is_training: maybe(flag()) };

/** Null: it is not said. */
const ofTraining = (of: string, said: unknown): boolean | null =>
  readArguments(of, { is_training: said }, TRAINING).is_training;

const textOf = (value: unknown): string => (value === null ? 'None' : String(value));
