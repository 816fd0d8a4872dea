/** Every route of the peer's models and samplers that a client calls, with the bodies that the peer takes. */
import { beforeEach, describe, expect, it } from 'vitest';
import { useMounted } from './mounted.js';

const mounted = useMounted();
const { detailOf, model, sampler, send } = mounted;
beforeEach(() => mounted.open());

const inputs = [
  { input_ids: [1, 2, 3], labels: [2, 3, -100], attention_mask: [1, 1, 1], position_ids: [0, 1, 2], length: 3 },
];
const adapter_name = 'default';
const LORA = JSON.stringify({ r: 8, target_modules: 'all-linear', _TWINKLE_TYPE_: 'LoraConfig' });

/** `<call>`, what the peer requires in its body, what it takes beside it, and what of the answer it promises. */
const MODEL: readonly [call: string, required: object, optional: object, answer: object | null][] = [
  ['create', {}, { any: 'thing' }, { status: 'ok' }],
  [
    'add_adapter_to_model',
    { adapter_name, config: LORA },
    { save_dir: null, gradient_accumulation_steps: 1 },
    { status: 'ok', adapter_name: expect.stringMatching(/-default$/) },
  ],
  ['set_loss', { adapter_name, loss_cls: 'CrossEntropyLoss' }, { ignore_index: -100 }, null],
  ['set_optimizer', { adapter_name, optimizer_cls: 'AdamW' }, { lr: 1e-4, weight_decay: 0.1 }, null],
  ['set_lr_scheduler', { adapter_name, scheduler_cls: 'StepLR', step_size: 1 }, { gamma: 0.5 }, null],
  ['set_template', { adapter_name, template_cls: 'Template' }, { model_id: 'ms://demo' }, null],
  ['set_processor', { adapter_name, processor_cls: 'InputProcessor' }, { padding_side: 'right' }, null],
  ['add_metric', { adapter_name, metric_cls: 'DPOMetric' }, { is_training: null }, null],
  ['forward', { adapter_name, inputs }, { temperature: 1 }, { result: { logps: [[-0.5]], loss: null, logits: null } }],
  ['calculate_loss', { adapter_name }, {}, { result: 1 }],
  ['backward', { adapter_name }, {}, null],
  ['forward_backward', { adapter_name, inputs }, { gradient_accumulation_steps: 1 }, { result: { loss: 1 } }],
  ['forward_only', { adapter_name, inputs }, { disable_lora: true }, { result: { logps: [[-0.5]] } }],
  ['clip_grad_norm', { adapter_name }, { max_grad_norm: 1, norm_type: 2 }, { result: '3' }],
  ['step', { adapter_name }, {}, null],
  ['zero_grad', { adapter_name }, {}, null],
  ['lr_step', { adapter_name }, {}, null],
  ['clip_grad_and_step', { adapter_name }, { max_grad_norm: 0.5, norm_type: 2, gradient_accumulation_steps: 1 }, null],
  ['get_train_configs', { adapter_name }, {}, { result: expect.stringContaining('AdamW') }],
  ['calculate_metric', { adapter_name }, { is_training: true }, { result: {} }],
  [
    'save',
    { adapter_name },
    { name: 'x', save_optimizer: true, is_sampler: false, consumed_train_samples: 3 },
    { twinkle_path: expect.stringMatching(/^twinkle:/), checkpoint_dir: expect.anything() },
  ],
];
/** What is refused, whatever is sent. */
const REFUSED: readonly [call: string, body: object][] = [
  ['apply_patch', { adapter_name, patch_cls: 'X' }],
  ['get_state_dict', { adapter_name }],
  ['upload_to_hub', { checkpoint_dir: 'x', hub_model_id: 'a/b', hub_token: null, async_upload: true }],
];

async function prepare(): Promise<void> {
  await model('add_adapter_to_model', { adapter_name, config: LORA });
  await model('set_optimizer', { adapter_name, optimizer_cls: 'AdamW' });
  await model('forward_backward', { adapter_name, inputs });
  await model('forward', { adapter_name, inputs });
}

describe('a model', () => {
  it.each(MODEL)('%s takes what the peer takes', async (call, required, optional, answer) => {
    await prepare();
    for (const body of [required, { ...required, ...optional }]) {
      if (call === 'backward') await model('forward', { adapter_name, inputs });
      const { body: said, status } = await model(call, body);
      expect([status, said], JSON.stringify(body)).toEqual([200, answer === null ? null : said]);
      if (answer !== null) expect(said).toMatchObject(answer);
    }
  });

  it('load and resume_from_checkpoint take what save answers', async () => {
    await prepare();
    const { twinkle_path: name } = (await model('save', { adapter_name, name: 'x' })).body;
    expect(await model('load', { adapter_name, name, load_optimizer: false })).toMatchObject({
      status: 200,
      body: null,
    });
    const progress = { cur_step: 1, consumed_train_samples: 0, gradient_accumulation_steps: 1 };
    const resumed = await model('resume_from_checkpoint', { adapter_name, name, resume_only_model: false });
    expect(resumed).toMatchObject({ status: 200, body: { result: progress } });
  });

  it.each(REFUSED)('%s is refused in words', async (call, body) => {
    await prepare();
    const answer = await model(call, body);
    expect([answer.status, detailOf(answer).length > 20]).toEqual([400, true]);
  });

  it('tells that it is there, and of uploads that there are none', async () => {
    expect(await send('GET', '/api/v1/model/demo/healthz')).toMatchObject({ status: 200, body: { status: 'ok' } });
    expect((await send('GET', '/api/v1/model/demo/twinkle/upload_status/x')).status).toBe(400);
  });

  const calls = [
    ...MODEL.slice(1).map(([call, required]) => [call, required] as const),
    ['load', { adapter_name, name: 'twinkle://x' }] as const,
  ];

  it.each(calls)(
    '%s of an unknown adapter is a 404, without a session and without a name a 400',
    async (call, required) => {
      const unknown = call === 'add_adapter_to_model' ? 200 : 404;
      expect((await model(call, { ...required, adapter_name: 'nobody' })).status).toBe(unknown);
      const unsessioned = await model(call, required, { 'x-twinkle-session-id': '' });
      expect([unsessioned.status, detailOf(unsessioned)]).toEqual([
        400,
        expect.stringContaining('X-Twinkle-Session-Id'),
      ]);
      for (const name of [undefined, null, '', 3]) {
        const nameless = await model(call, { ...required, adapter_name: name });
        expect([nameless.status, detailOf(nameless)], String(name)).toEqual([
          400,
          expect.stringContaining('adapter_name'),
        ]);
      }
    },
  );

  it.each(['set_loss', 'set_optimizer', 'set_lr_scheduler', 'set_template', 'set_processor', 'add_metric'])(
    '%s without a class is a 400',
    async (call) => {
      await prepare();
      expect((await model(call, { adapter_name })).status).toBe(400);
    },
  );

  it.each(['forward', 'forward_only', 'forward_backward'])('%s without inputs is a 400', async (call) => {
    await prepare();
    const answer = await model(call, { adapter_name });
    expect([answer.status, detailOf(answer)]).toEqual([400, expect.stringContaining('inputs')]);
  });
});

/** As {@link MODEL}. */
const SAMPLER: typeof MODEL = [
  ['create', {}, { engine_args: {} }, { status: 'ok' }],
  ['set_template', { template_cls: 'Template' }, { adapter_name: '', model_id: 'demo' }, { status: 'ok' }],
  ['add_adapter_to_sampler', { adapter_name, config: {} }, { other: 1 }, { status: 'ok', adapter_name }],
  [
    'sample',
    { inputs },
    { sampling_params: { max_tokens: 2 }, adapter_name: '', adapter_uri: null, num_samples: 1 },
    {
      samples: [
        {
          sequences: [{ stop_reason: 'length', decoded: expect.stringContaining('w0.0 w0.1') }],
          prompt_logprobs: null,
        },
      ],
    },
  ],
];

describe('a sampler', () => {
  it.each(SAMPLER)('%s takes what the peer takes', async (call, required, optional, answer) => {
    for (const body of [required, { ...required, ...optional }]) {
      const { body: said, status } = await sampler(call, body);
      expect([status, said], JSON.stringify(body)).toEqual([200, said]);
      expect(said).toMatchObject(answer ?? {});
    }
  });

  it('apply_patch is refused in words', async () => {
    const answer = await sampler('apply_patch', { patch_cls: 'X', adapter_name: null });
    expect([answer.status, detailOf(answer)]).toEqual([400, expect.stringContaining('patch')]);
  });
});

describe('paths', () => {
  it('are those of the file, and those that clients build', async () => {
    for (const path of ['/api/v1/model/demo', '/models/demo', '/api/v1/model/alias/with-slash', '/samplers/demo'])
      expect(await send('POST', `${path}/twinkle/create`, {})).toMatchObject({ status: 200, body: { status: 'ok' } });
    expect((await send('POST', '/models/demo/twinkle/forward', { adapter_name, inputs })).status).toBe(404);
  });

  it.each(['/api/v1/model/none/twinkle/create', '/api/v1/sampler/none/twinkle/sample', '/models/none/twinkle/step'])(
    '%s, of a model that is not here, is a 404',
    async (path) => {
      expect((await send('POST', path, {})).status).toBe(404);
    },
  );

  it('know no other method', async () => {
    expect((await send('GET', '/api/v1/model/demo/twinkle/step')).status).toBe(405);
  });

  it('of a model that is there no more, or not trained, say which there are', async () => {
    mounted.host.trains = () => false;
    mounted.inference.served = [];
    for (const answer of [await model('create'), await sampler('create')])
      expect([answer.status, detailOf(answer)]).toEqual([
        404,
        expect.stringMatching(/no model `demo` is .* there are none/),
      ]);
  });
});
