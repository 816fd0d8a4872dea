/** Adapters saved under names, and gone on with. */
import { TwinkleError } from '../errors.js';
import { type CheckpointPath, pathText, readPath } from '../training/checkpoint-path.js';
import type { FutureFailure, TrainingService } from '../training/types.js';
import type { Adapter } from './adapter.js';
import type { AdapterState } from './adapter-state.js';
import { flag, type Given, maybe, number, object, readArguments, shown, whole } from './arguments.js';
import type { Exports } from './exports.js';
import { savedName } from './saved-name.js';
import { keptScheduler, type Scheduler } from './schedulers/scheduler.js';
import type { AdapterCall } from './types.js';

const SCHEME = 'twinkle://';
const OTHER_SCHEME = 'tinker://';
/** Under which a checkpoint says where its adapter stood. */
const KEPT = 'trainer_state';

const SAVE = {
  save_optimizer: flag(false),
  is_sampler: flag(false),
  consumed_train_samples: maybe(number({ min: 0 })),
  interval: whole({ min: 1 }, 1),
};
const LOAD = { load_optimizer: flag(false) };
const RESUME = { resume_only_model: flag(false) };

/** What the trainer of a checkpoint had done, read again: Tinker's clients write what they like beside theirs. */
const STOOD = {
  cur_step: whole({ min: 0 }),
  consumed_train_samples: number({ min: 0 }),
  gradient_accumulation_steps: whole({ min: 1 }),
  lr_scheduler: maybe(object),
};

/** What the trainer of a checkpoint had done. */
interface Kept {
  readonly cur_step: number;
  readonly consumed_train_samples: number;
  readonly gradient_accumulation_steps: number;
  readonly lr_scheduler: Scheduler | null;
}

export class AdapterSaves {
  #lastMs = 0;
  /** The calls, by their names. */
  readonly acts = {
    save: (adapter: Adapter, kwargs: Given, call: AdapterCall) => this.save(adapter, kwargs, call),
    load: (adapter: Adapter, kwargs: Given, call: AdapterCall) => this.load(adapter, kwargs, call),
    resume_from_checkpoint: (adapter: Adapter, kwargs: Given, call: AdapterCall) => this.resume(adapter, kwargs, call),
    get_state_dict: (): never => {
      throw new TwinkleError(
        'UNSUPPORTED_PARAMETER',
        'weights do not travel as JSON: save the adapter, and download it',
      );
    },
  };

  constructor(
    private readonly training: TrainingService,
    private readonly exports: Exports,
  ) {}

  async save(adapter: Adapter, kwargs: Given, { tenant }: AdapterCall): Promise<object> {
    const { name: written = null, ...others } = kwargs;
    const read = readArguments('save', others, SAVE);
    const { consumed_train_samples: consumed, interval, is_sampler: sampler, save_optimizer: optimizer } = read;
    if (adapter.now.passes % interval !== 0) return { twinkle_path: '', checkpoint_dir: null };
    await this.training.direct.made(tenant, adapter.run); // hears of a gradient that was dropped, if there is one
    const kind = sampler ? 'sampler_weights' : 'weights';
    // Samplers know weights by their path: what is saved anew must not have that of before.
    const name = savedName(written, adapter.now.passes, sampler ? this.#moment() : null);
    const path: CheckpointPath = { run: adapter.run, kind, name };
    const { accumulation, passes, scheduler } = adapter.now;
    const kept: Kept = {
      cur_step: passes,
      consumed_train_samples: consumed ?? 0,
      gradient_accumulation_steps: accumulation,
      lr_scheduler: scheduler,
    };
    const seqId = this.training.run(tenant, adapter.run).next;
    const request = { run: adapter.run, seqId, kind, name, ttlSeconds: null, overwrite: true, optimizer } as const;
    await this.#answer(tenant, this.training.save(tenant, { ...request, userMetadata: { [KEPT]: kept } }));
    if (sampler) await this.#removeOlder(tenant, path);
    const text = `${SCHEME}${pathText(path).slice(OTHER_SCHEME.length)}`;
    return { twinkle_path: text, checkpoint_dir: await this.#exported(tenant, path, adapter.now, text) };
  }

  /** Now; none comes twice. */
  #moment(): Date {
    this.#lastMs = Math.max(Date.now(), this.#lastMs + 1);
    return new Date(this.#lastMs);
  }

  /** Where a copy lies that the client asked for; else the path, by which it goes everywhere. */
  async #exported(tenant: string, path: CheckpointPath, { id, saveDir }: AdapterState, text: string): Promise<string> {
    if (saveDir === null) return text;
    const { checkpoints } = this.training;
    await checkpoints.bring(tenant, path);
    return await this.exports.copy(checkpoints.list(tenant, path), saveDir, [id, path.kind, path.name]);
  }

  async load(adapter: Adapter, kwargs: Given, call: AdapterCall): Promise<null> {
    const { name, ...others } = kwargs;
    const { load_optimizer: optimizer } = readArguments('load', others, LOAD);
    await this.#load(adapter, call, pathOf(name), optimizer);
    return null;
  }

  async resume(adapter: Adapter, kwargs: Given, call: AdapterCall): Promise<object> {
    const { name, ...others } = kwargs;
    const { resume_only_model: modelOnly } = readArguments('resume_from_checkpoint', others, RESUME);
    const path = pathOf(name);
    const { userMetadata } = this.training.checkpoints.readable(call.tenant, path);
    const kept = userMetadata?.[KEPT];
    if (typeof kept !== 'object' || kept === null) {
      throw new TwinkleError(
        'INVALID_REQUEST',
        `checkpoint ${shown(name)} does not say how far its training was: load it, and begin at its first batch`,
        { param: 'name' },
      );
    }
    const stood = readArguments(KEPT, kept as Given, STOOD);
    const { consumed_train_samples, cur_step, gradient_accumulation_steps } = stood;
    const scheduler = stood.lr_scheduler === null ? null : keptScheduler(stood.lr_scheduler);
    await this.#load(adapter, call, path, !modelOnly);
    adapter.resume({
      ...(modelOnly ? { passes: adapter.now.passes } : { passes: cur_step, scheduler }),
      accumulation: gradient_accumulation_steps,
    });
    return { result: { cur_step, consumed_train_samples, gradient_accumulation_steps } };
  }

  async #load(adapter: Adapter, { tenant }: AdapterCall, from: CheckpointPath, optimizer: boolean): Promise<void> {
    await this.training.direct.made(tenant, adapter.run); // hears of a gradient that was dropped, if there is one
    const seqId = this.training.run(tenant, adapter.run).next;
    const request = { run: adapter.run, seqId, from, reader: tenant, optimizer };
    await this.#answer(tenant, this.training.load(tenant, request));
    adapter.resume({ passes: adapter.now.passes, accumulation: adapter.now.accumulation });
  }

  /** Waits for a request's answer. @throws what it failed with */
  async #answer(tenant: string, id: string): Promise<void> {
    for (;;) {
      const request = this.training.request(tenant, id);
      if (request === null)
        throw new TwinkleError('RUN_NOT_FOUND', 'the adapter has ended meanwhile, with its session'); // not 410: see models.ts
      if (request.answer === null) await request.wait(WAIT_MS);
      else if ('error' in request.answer) throw failed(request.answer);
      else return;
    }
  }

  /** Only the last weights for samplers are kept, as the client's documents say. */
  async #removeOlder(tenant: string, { kind, name, run }: CheckpointPath): Promise<void> {
    const { checkpoints } = this.training;
    const older = checkpoints
      .of(tenant)
      .filter(({ path }) => path.run === run && path.kind === kind && path.name !== name);
    await Promise.all(older.map(({ path }) => checkpoints.remove(tenant, path)));
  }
}

/** Looked at again so often, should a wait end without an answer. */
const WAIT_MS = 60_000;

function failed({ category, error }: FutureFailure): TwinkleError {
  return new TwinkleError(category === 'user' ? 'INVALID_REQUEST' : 'RANK_FAILED', error);
}

/** @throws `INVALID_REQUEST` for what is no path of this server */
function pathOf(name: unknown): CheckpointPath {
  if (typeof name !== 'string' || !name.startsWith(SCHEME)) {
    throw new TwinkleError(
      'INVALID_REQUEST',
      `expected the path of a checkpoint, twinkle://<run>/weights/<name>, for \`name\` but received ${shown(name)}`,
      { param: 'name' },
    );
  }
  return readPath(`${OTHER_SCHEME}${name.slice(SCHEME.length)}`, 'name');
}
