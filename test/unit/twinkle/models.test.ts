import { describe, expect, it } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import type { AdapterMethod } from '../../../src/twinkle/types.js';
import { flush } from '../training/fake-trainer.js';
import { SEQUENCE } from './fake-direct.js';
import { useServed } from './served-models.js';

const served = useServed();
const { add, call, sent } = served;
const train = (adapter = 'default') => call('forward_backward', { inputs: [SEQUENCE] }, adapter);

describe('an adapter', () => {
  it('is a run of its session, named after both, with what its LoraConfig says', async () => {
    expect(await add('my.one')).toBe(`${served.session}-my_one`);
    const [run] = served.service.runs('t');
    expect(run).toMatchObject({
      id: `${served.session}:train:0`,
      baseModel: 'demo',
      rank: 4,
      attn: true,
      unembed: false,
    });
    expect(served.host.trainer.sent[0]?.params).toMatchObject({ rank: 4, alpha: 16, targets: null, init: 'default' });
    expect(run?.userMetadata).toEqual({ adapter_name: 'my.one' });
  });

  it('is there when its ranks have it, and not before', async () => {
    served.host.trainer.automatic = false;
    let there = false;
    const added = add().then(() => {
      there = true;
    });
    await flush();
    expect(there).toBe(false);
    served.host.trainer.answer(0);
    await added;
    expect(there).toBe(true);
  });

  it('of all parameters needs a model that is trained so', async () => {
    await expect(add('default', { config: null })).rejects.toMatchObject({ status: 400 });
    await served.restart({ rules: { full: true } });
    await add('default', { config: null });
    expect(served.service.runs('t')).toMatchObject([{ rank: 0 }]);
  });

  it('that cannot be made leaves nothing, and says why', async () => {
    served.host.failure = new TwinkleError('GANG_FAILED', 'no such device');
    await expect(add()).rejects.toThrow('no such device');
    served.host.failure = null;
    expect(served.service.runs('t')).toEqual([]);
    await expect(train()).rejects.toMatchObject({ code: 'ADAPTER_NOT_FOUND' });
    await add();
    await train();
  });

  it.each([
    [{ config: 'x' }, 'expected a LoraConfig'],
    [{ gradient_accumulation_steps: 0 }, 'of at least 1'],
    [{ gradient_accumulation_steps: 1.5 }, 'of at least 1'],
    [{ gradient_accumulation_steps: '2' }, 'of at least 1'],
    [{ train_everything: true }, 'no argument `train_everything`'],
  ])('with %j is refused, and the one of that name stays', async (kwargs, words) => {
    await add();
    await train();
    await expect(add('default', kwargs)).rejects.toMatchObject({
      status: 400,
      message: expect.stringContaining(words),
    });
    expect(served.service.runs('t')).toHaveLength(1);
    await train();
    expect(sent()).toEqual(['create 0', 'pass 0', 'pass 0']);
  });

  it('added again begins anew, as another run, whose number nothing had before', async () => {
    await add('default', { gradient_accumulation_steps: 2 });
    await call('set_optimizer', { optimizer_cls: 'Adam', lr: 0.5 });
    await train();
    await add();
    expect(served.service.runs('t').map(({ id }) => id)).toEqual([`${served.session}:train:1`]);
    expect(sent()).toEqual(['create 0', 'pass 0', 'create 1', 'drop 0']);
    const { result } = (await call('get_train_configs')) as { result: string };
    expect(result).toMatch(/Optimizer: none[\s\S]*Gradient accumulation steps: 1\n/);
    await served.restart();
    await add('other');
    expect(served.service.runs('t').map(({ id }) => id.split(':').at(-1))).toEqual(['1', '2']);
  });

  it('added again while it is being made: the last one counts, and the first ends', async () => {
    served.host.trainer.automatic = false;
    const first = add();
    await flush();
    const second = add();
    const forward = call('forward', { inputs: [SEQUENCE] });
    served.host.trainer.automatic = true;
    for (const at of served.host.trainer.sent.keys()) served.host.trainer.answer(at);
    expect(await first).toBe(await second);
    await forward;
    expect(await call('backward')).toBeNull(); // of the same adapter
    await train();
    expect(served.service.runs('t').map(({ id }) => id)).toEqual([`${served.session}:train:1`]);
  });

  it('of two names are two runs, of which each goes on by itself', async () => {
    await Promise.all([add('a'), add('b')]);
    await Promise.all([train('a'), train('b')]);
    expect(sent().sort()).toEqual(['create 0', 'create 1', 'pass 0', 'pass 1']);
  });
});

describe('who may call', () => {
  it('needs a session, which is there', async () => {
    const words = expect.stringContaining('X-Twinkle-Session-Id');
    await expect(add('default', {}, { session: null })).rejects.toMatchObject({ status: 400, message: words });
    await expect(call('step', {}, 'default', { session: null })).rejects.toMatchObject({ status: 400 });
    // 410 would end an iterator of the client.
    await expect(add('default', {}, { session: 'gone' })).rejects.toMatchObject({
      code: 'SESSION_NOT_FOUND',
      status: 404,
    });
    await expect(call('step', {}, 'default', { session: 'gone' })).rejects.toMatchObject({ status: 404 });
  });

  it('needs a model that is trained here, and hears which there are', async () => {
    const message = 'no model `none` is trained here: there are `demo`, `alias/with-slash`';
    served.host.trains = () => true;
    await expect(add('default', {}, { model: 'none' })).rejects.toMatchObject({ status: 404, message });
    await expect(call('step', {}, 'default', { model: 'none' })).rejects.toMatchObject({ status: 404, message });
    served.host.trains = () => false;
    expect(() => served.models.check('demo')).toThrow('there are none');
  });

  it('needs an adapter of its own: of that key, session, model and name', async () => {
    served.host.trains = () => true;
    await add();
    const other = served.newSession();
    const foreign = served.newSession('o');
    for (const [name, change] of [
      ['else', {}],
      ['default', { session: other }],
      ['default', { tenant: 'o' }],
      ['default', { tenant: 'o', session: foreign }],
      ['default', { model: 'alias/with-slash' }],
    ] as const)
      await expect(call('step', {}, name, change)).rejects.toMatchObject({ code: 'ADAPTER_NOT_FOUND', status: 404 });
    await call('step');
  });

  it('has none any more when the session is over', async () => {
    await add();
    served.service.finish('t', served.session);
    await expect(train()).rejects.toMatchObject({
      status: 404,
      message: expect.stringContaining('ended with its session'),
    });
  });
});

describe('calls', () => {
  const NAMES = {
    loss_cls: 'CrossEntropyLoss',
    optimizer_cls: 'AdamW',
    template_cls: 'Template',
    metric_cls: 'DPOMetric',
  };
  const inputs = [SEQUENCE];

  it('answer as the client reads them', async () => {
    await add();
    const answer = (method: AdapterMethod, kwargs = {}) => call(method, kwargs);
    for (const [method, kwargs] of [
      ['set_loss', { loss_cls: NAMES.loss_cls }],
      ['set_optimizer', { optimizer_cls: NAMES.optimizer_cls, lr: 0.5 }],
      ['set_lr_scheduler', { scheduler_cls: 'StepLR', step_size: 1 }],
      ['set_template', { template_cls: NAMES.template_cls, model_id: 'demo' }],
      ['set_processor', { processor_cls: 'InputProcessor', padding_side: 'right' }],
      ['add_metric', { metric_cls: NAMES.metric_cls, is_training: null }],
    ] as const)
      expect(await answer(method, kwargs), method).toBeNull();
    expect(await answer('forward', { inputs })).toEqual({ result: { logits: null, logps: [[-0.5]], loss: null } });
    expect(await answer('calculate_loss')).toEqual({ result: 1 });
    expect(await answer('backward')).toBeNull();
    expect(await answer('clip_grad_norm', { max_grad_norm: 1, norm_type: 2 })).toEqual({ result: '3' });
    expect(await answer('step')).toBeNull();
    expect(await answer('zero_grad')).toBeNull();
    expect(await answer('lr_step')).toBeNull();
    expect(await answer('forward_backward', { inputs })).toMatchObject({ result: { loss: 1 } });
    expect(await answer('clip_grad_and_step')).toBeNull();
    expect(await answer('forward_only', { inputs })).toMatchObject({ result: { loss: null } });
    expect(await answer('calculate_metric', { is_training: true })).toMatchObject({
      result: { 'learning rate': expect.anything() },
    });
    expect(await answer('calculate_metric', { is_training: false })).toMatchObject({ result: {} });
    expect(await answer('get_train_configs')).toEqual({ result: expect.stringContaining('Optimizer: AdamW') });
  });

  it('to clip while no step is due say so', async () => {
    await add();
    expect(await call('clip_grad_norm')).toEqual({ result: 'None' });
  });

  it.each<[AdapterMethod, object, string]>([
    ['set_loss', { loss_cls: 'CrossEntropyLos' }, 'loss_cls'],
    ['set_loss', { loss_cls: 'MSELoss' }, 'loss_cls'],
    ['set_optimizer', { optimizer_cls: 'Lion' }, 'optimizer_cls'],
    ['set_optimizer', { optimizer_cls: 'Adam', lr: -1 }, 'lr'],
    ['set_lr_scheduler', { scheduler_cls: 'LambdaLR' }, 'scheduler_cls'],
    ['set_template', { template_cls: '' }, 'template_cls'],
    ['set_template', {}, 'template_cls'],
    ['set_template', { template_cls: 'Nope' }, 'template_cls'],
    ['set_processor', { processor_cls: 3 }, 'processor_cls'],
    ['add_metric', { metric_cls: 'Accuracy' }, 'metric_cls'],
    ['add_metric', { metric_cls: 'DPOMetric', is_training: 'no' }, 'is_training'],
    ['calculate_metric', { is_training: 'no' }, 'is_training'],
    ['forward', {}, 'inputs[0]'],
    ['forward_backward', { inputs: [] }, 'inputs'],
    ['forward_backward', { inputs: [{ input_ids: [] }] }, 'inputs[0].input_ids'],
    ['forward_backward', { inputs: [SEQUENCE], disable_lora: true }, 'disable_lora'],
    ['forward_only', { inputs: [SEQUENCE], return_logits: true }, 'return_logits'],
    ['clip_grad_norm', { max_grad_norm: -1 }, 'max_grad_norm'],
    ['apply_patch', { patch_cls: 'X' }, 'patch_cls'],
  ])('%s with %j is a 400 in words', async (method, kwargs, param) => {
    await add();
    await call('set_optimizer', { optimizer_cls: 'Adam' });
    await expect(call(method, kwargs as never)).rejects.toMatchObject({ status: 400, param });
  });

  it('to read weights are refused', async () => {
    await add();
    await expect(call('get_state_dict')).rejects.toThrow('save the adapter, and download it');
  });
});

describe('after a restart', () => {
  it('an adapter whose ranks are gone says what is lost, has its settings, and is followed by a new one', async () => {
    await add('default', { gradient_accumulation_steps: 3 });
    await call('set_optimizer', { optimizer_cls: 'SGD', lr: 0.25 });
    await train();
    await served.restart();
    const { result } = (await call('get_train_configs')) as { result: string };
    expect(result).toMatch(/Optimizer: SGD[\s\S]*Learning rate: 0.25[\s\S]*steps: 3\n/);
    await expect(train()).rejects.toThrow(/lost its weights \(the server was started again\): begin anew/);
    await add();
    await train();
    expect(served.service.runs('t').map(({ corrupted, id }) => [id.split(':').at(-1), corrupted])).toEqual([
      ['1', false],
    ]);
  });

  it('is taken up once, whoever asks first', async () => {
    await add();
    await served.restart();
    const all = await Promise.allSettled([train(), call('set_loss', { loss_cls: 'CrossEntropyLoss' }), train()]);
    expect(all.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'rejected']);
  });

  it('one that was added in another’s place does not come back', async () => {
    await add();
    await served.service.written(); // it is in the journal
    await add();
    await served.restart();
    expect(served.service.runs('t')).toHaveLength(1);
  });
});
