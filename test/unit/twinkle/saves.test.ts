import { afterEach, describe, expect, it, vi } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import { flush } from '../training/fake-trainer.js';
import { SEQUENCE } from './fake-direct.js';
import { useServed } from './served-models.js';

afterEach(() => {
  vi.useRealTimers();
});
const served = useServed();
const { add, call } = served;
interface Saved {
  readonly twinkle_path: string;
  readonly checkpoint_dir: string | null;
}
const train = () => call('forward_backward', { inputs: [SEQUENCE] });
const save = (kwargs: object = {}) => call('save', kwargs as never) as Promise<Saved>;
const names = (tenant = 't') => served.service.checkpoints.of(tenant).map(({ path }) => `${path.kind}/${path.name}`);
const paramsOf = (method: string) =>
  served.host.trainer.sent.flatMap((one) => (one.method === method ? [one.params as Record<string, unknown>] : []));

describe('save', () => {
  it('is found by the path that it answers', async () => {
    await add();
    const path = `twinkle://${served.session}:train:0/weights/step_1_a`;
    expect(await save({ name: 'step 1/a', save_optimizer: true })).toEqual({
      twinkle_path: path,
      checkpoint_dir: path,
    });
    expect(names()).toEqual(['weights/step_1_a']);
    expect(paramsOf('train_save')).toMatchObject([{ optimizer: true }]);
    await save({ name: 'step 1/a' });
    expect(names()).toEqual(['weights/step_1_a']);
    expect(paramsOf('train_save')[1]).toMatchObject({ optimizer: false });
  });

  it('without a name is called after the passes; every so many of them alone, if that is said', async () => {
    await add();
    await train();
    expect(await save({ interval: 2 })).toEqual({ twinkle_path: '', checkpoint_dir: null });
    await train();
    expect((await save({ interval: 2, name: null })).twinkle_path).toMatch(/weights\/checkpoint-step-2$/);
    expect(names()).toEqual(['weights/checkpoint-step-2']);
  });

  it('for a sampler has a path of its own each time, and those before of that adapter go', async () => {
    await add();
    await add('other');
    const theirs = (await call('save', { name: 's', is_sampler: true }, 'other')) as Saved;
    await save({ name: 'w' });
    const paths = new Set<string>();
    vi.useFakeTimers({ toFake: ['Date'] }); // all at the same time
    for (let time = 0; time < 3; time++) {
      const { twinkle_path: path } = await save({ name: 's', is_sampler: true });
      expect(path).toMatch(/:train:0\/sampler_weights\/s-\d{17}$/);
      paths.add(path);
    }
    vi.useRealTimers();
    expect(paths.size).toBe(3);
    const mine = [...paths].at(-1)?.split('/').at(-1);
    expect(names().sort()).toEqual([
      ...[mine, theirs.twinkle_path.split('/').at(-1)].map((name) => `sampler_weights/${name}`).sort(),
      'weights/w',
    ]);
  });

  it('is copied to the folder that the adapter was added with', async () => {
    await add('default', { save_dir: '/out' });
    const { checkpoint_dir: folder } = await save({ name: 'x' });
    expect(folder).toBe(`/out/${served.session}-default/weights/x`);
    expect(served.copies).toEqual([`${folder}: adapter_config.json`]);
  });

  it('waits for the passes before it', async () => {
    await add();
    const all = [train(), save({ name: 'x' }), train()];
    await Promise.all(all);
    expect(served.sent()).toEqual(['create 0', 'pass 0', 'save 0', 'pass 0']);
  });

  it.each([
    [{ name: 3 }, 'expected a name for `name`'],
    [{ name: '' }, 'expected a name for `name`'],
    [{ interval: 0 }, 'at least 1'],
    [{ consumed_train_samples: -1 }, 'at least 0'],
    [{ is_sampler: 'yes' }, 'true or false'],
    [{ push_to_hub: true }, 'no argument `push_to_hub`'],
  ])('with %j is refused', async (kwargs, words) => {
    await add();
    await expect(save(kwargs)).rejects.toMatchObject({ status: 400, message: expect.stringContaining(words) });
    expect(names()).toEqual([]);
  });

  it('that the disk refuses is an error of the server, after which the adapter goes on', async () => {
    await add();
    served.host.trainer.automatic = false;
    const saved = save({ name: 'x' });
    await flush();
    served.host.trainer.sent.at(-1)?.answer.reject(new TwinkleError('STORAGE_FAILED', 'the disk is full') as never);
    await expect(saved).rejects.toMatchObject({ status: 500, message: expect.stringContaining('the disk is full') });
    served.host.trainer.automatic = true;
    await train();
  });

  it('of an adapter that ends meanwhile is a 404, not the end of an iterator', async () => {
    await add();
    served.host.trainer.automatic = false;
    const saved = save({ name: 'x' });
    await flush();
    served.service.finish('t', served.session);
    served.host.trainer.sent.find(({ method }) => method === 'train_save')?.answer.resolve({ bytes: 1 } as never);
    await expect(saved).rejects.toMatchObject({ status: 404 });
  });
});

describe('resume_from_checkpoint', () => {
  const progress = async (): Promise<string> => {
    await add('default', { gradient_accumulation_steps: 2 });
    await call('set_optimizer', { optimizer_cls: 'Adam', lr: 0.5 });
    await call('set_lr_scheduler', { scheduler_cls: 'StepLR', step_size: 1, gamma: 0.5 });
    for (let pass = 0; pass < 4; pass++) {
      await train();
      await call('clip_grad_and_step');
    }
    return (await save({ name: 'x', save_optimizer: true, consumed_train_samples: 12 })).twinkle_path;
  };

  it('goes on where it was saved, also in another adapter, after a restart', async () => {
    const name = await progress();
    await served.restart();
    await add('default');
    await call('set_optimizer', { optimizer_cls: 'Adam', lr: 0.5 });
    expect(await call('resume_from_checkpoint', { name })).toEqual({
      result: { cur_step: 4, consumed_train_samples: 12, gradient_accumulation_steps: 2 },
    });
    expect(paramsOf('train_load')).toMatchObject([{ optimizer: true }]);
    for (let pass = 0; pass < 2; pass++) {
      await train();
      await call('step');
    }
    expect(paramsOf('train_step')).toMatchObject([{ learning_rate: 0.125 }]);
  });

  it('of the weights alone begins at its own step', async () => {
    const name = await progress();
    await add('default');
    await call('set_optimizer', { optimizer_cls: 'Adam', lr: 0.5 });
    expect(await call('resume_from_checkpoint', { name, resume_only_model: true })).toMatchObject({
      result: { cur_step: 4 },
    });
    expect(paramsOf('train_load')).toMatchObject([{ optimizer: false }]);
    expect((await save()).twinkle_path).toMatch(/checkpoint-step-0$/);
  });

  it('of what does not say how far it was changes nothing', async () => {
    await add();
    const [run] = served.service.runs('t');
    const request = { kind: 'weights', name: 'plain', ttlSeconds: null, overwrite: true, userMetadata: null } as const;
    served.service.save('t', { run: run?.id ?? '', seqId: run?.next ?? 0, ...request });
    await flush();
    const name = `twinkle://${run?.id}/weights/plain`;
    const words = expect.stringContaining('does not say how far its training was');
    await expect(call('resume_from_checkpoint', { name })).rejects.toMatchObject({ status: 400, message: words });
    expect(paramsOf('train_load')).toEqual([]);
    await call('load', { name, load_optimizer: true });
    expect(paramsOf('train_load')).toMatchObject([{ optimizer: true }]);
  });

  it.each([
    ['x', 'does not say how far'],
    [{}, 'needs the argument `cur_step`'],
    [{ cur_step: 1, consumed_train_samples: 'many', gradient_accumulation_steps: 1 }, 'consumed_train_samples'],
    [{ cur_step: 1, consumed_train_samples: 0, gradient_accumulation_steps: 0 }, 'gradient_accumulation_steps'],
    [
      {
        ...{ cur_step: 1, consumed_train_samples: 0, gradient_accumulation_steps: 1 },
        lr_scheduler: { name: 'LambdaLR', kwargs: {}, steps: 0 },
      },
      'a function of the client cannot travel',
    ],
    [
      {
        ...{ cur_step: 1, consumed_train_samples: 0, gradient_accumulation_steps: 1 },
        lr_scheduler: { name: 'StepLR', kwargs: { step_size: 1, gamma: 2 }, steps: -1 },
      },
      'steps',
    ],
  ])('of what somebody else wrote there, %j, is refused', async (stood, words) => {
    await add();
    const [run] = served.service.runs('t');
    const userMetadata = { trainer_state: stood };
    const request = { kind: 'weights', name: 'plain', ttlSeconds: null, overwrite: true, userMetadata } as const;
    served.service.save('t', { run: run?.id ?? '', seqId: run?.next ?? 0, ...request });
    await flush();
    const message = expect.stringContaining(words);
    await expect(call('resume_from_checkpoint', { name: `twinkle://${run?.id}/weights/plain` })).rejects.toMatchObject({
      status: 400,
      message,
    });
    expect(paramsOf('train_load')).toEqual([]);
  });

  it('has a gradient forgotten that was not stepped', async () => {
    const name = await progress();
    await train();
    await call('load', { name });
    await train();
    await train();
    await call('clip_grad_and_step');
    expect(paramsOf('train_step').slice(2)).toEqual([]); // 4 + 1 + 2 passes: the next one is due
    await train();
    await call('clip_grad_and_step');
    expect(paramsOf('train_step').at(-1)).toMatchObject({ gradient_scale: 1 / 6 });
  });
});

it('a LoRA of other layers, or of another scale, is not loaded into an adapter', async () => {
  await add();
  const { twinkle_path: name } = await save({ name: 'x' });
  for (const change of [{ target_modules: ['q_proj'] }, { lora_alpha: 8 }, { use_rslora: true }]) {
    const config = JSON.stringify({ r: 4, lora_alpha: 16, ...change, _TWINKLE_TYPE_: 'LoraConfig' });
    await add('default', { config });
    const message = expect.stringContaining('of other layers or another scale');
    await expect(call('load', { name }), config).rejects.toMatchObject({ status: 400, message });
  }
});

describe('a checkpoint', () => {
  it.each(['x', '', 3, null, 'ms://user/model', 'tinker://x/weights/y', 'twinkle://a', 'twinkle://a/weights/b/c'])(
    '%j is no path',
    async (name) => {
      await add();
      for (const method of ['load', 'resume_from_checkpoint'] as const)
        await expect(call(method, { name })).rejects.toMatchObject({ status: 400 });
    },
  );

  it('that there is none of, or of another key, is a 404', async () => {
    await add();
    const { twinkle_path: name } = await save({ name: 'x' });
    const session = served.newSession('o');
    const other = { tenant: 'o', session };
    await add('default', {}, other);
    for (const method of ['load', 'resume_from_checkpoint'] as const) {
      await expect(call(method, { name }, 'default', other)).rejects.toMatchObject({ status: 404 });
      await expect(call(method, { name: name.replace('/x', '/y') })).rejects.toMatchObject({ status: 404 });
    }
  });
});
