/** Errors of Twinkle's models as HTTP, and limits of keys. */
import { describe, expect, it } from 'vitest';
import { TwinkleError } from '../../../../src/errors.js';
import { Admission } from '../../../../src/training/admission.js';
import { flush } from '../../training/fake-trainer.js';
import { useMounted } from './mounted.js';

const mounted = useMounted();
const { detailOf, model, sampler } = mounted;
const adapter_name = 'default';
const inputs = [{ input_ids: [1, 2, 3], labels: [2, 3, -100] }];
const add = () => model('add_adapter_to_model', { adapter_name, config: '{"r": 4}' });
const limited = (limits: object) => {
  const clock = { now: 0 };
  const all = {
    requests: null,
    tokens: null,
    windowMs: 10_000,
    maxInputTokens: null,
    queueTimeoutMs: null,
    executionTimeoutMs: null,
    ...limits,
  };
  const [training, sampling] = ['model demo', 'sampler demo'].map((of) => new Admission(all, of, () => clock.now));
  return { clock, admissions: { training: () => training ?? null, sampling: () => sampling ?? null } };
};

describe('limits', () => {
  it('over them are 429 with the seconds to wait, each key apart', async () => {
    const { admissions, clock } = limited({ requests: 1 });
    await mounted.open({ admissions });
    await add();
    expect((await model('forward_backward', { adapter_name, inputs })).status).toBe(200);
    clock.now = 2_400;
    const refused = await model('forward_only', { adapter_name, inputs });
    expect([refused.status, refused.headers['retry-after']]).toEqual([429, '8']);
    expect(detailOf(refused)).toContain('this key has sent model demo 1 requests in 10 s');
    // A step is none of them, and nor is what was refused.
    expect((await model('get_train_configs', { adapter_name })).status).toBe(200);
    clock.now = 10_000;
    expect((await model('forward_only', { adapter_name, inputs })).status).toBe(200);
    expect((await sampler('sample', { inputs, sampling_params: { max_tokens: 1 } })).status).toBe(200);
    expect((await sampler('sample', { inputs })).headers['retry-after']).toBe('10');
    expect((await sampler('sample', { inputs }, { 'twinkle-authorization': 'Bearer else' })).status).toBe(200);
  });

  it('of samples hold a request with many inputs as one', async () => {
    const { admissions } = limited({ requests: 1, maxInputTokens: 6 });
    await mounted.open({ admissions });
    const two = [{ input_ids: [1, 2, 3] }, { input_ids: [4, 5, 6] }];
    expect((await sampler('sample', { inputs: [...two, { input_ids: [7] }] })).status).toBe(400);
    expect((await sampler('sample', { inputs: two })).body.samples).toHaveLength(2);
    expect((await sampler('sample_stream', { inputs: [{ input_ids: [1] }] })).status).toBe(429);
  });
});

describe('what goes wrong', () => {
  it('on the ranks is an error of the server, in their words; a new adapter works', async () => {
    await mounted.open();
    await add();
    mounted.host.trainer.automatic = false;
    const pass = model('forward_backward', { adapter_name, inputs });
    await flush();
    mounted.host.trainer.sent.at(-1)?.answer.reject(new TwinkleError('RANK_FAILED', 'rank 0 was killed') as never);
    const answer = await pass;
    expect([answer.status, detailOf(answer)]).toEqual([500, 'rank 0 was killed']);
    mounted.host.trainer.automatic = true;
    const after = await model('step', { adapter_name, gradient_accumulation_steps: 1 });
    expect(after.status).toBe(200); // no step is due: the ranks are not asked
    expect(detailOf(await model('forward_backward', { adapter_name, inputs }))).toContain('begin anew');
    await add();
    expect((await model('forward_backward', { adapter_name, inputs })).status).toBe(200);
  });

  it('in a batch is the client’s to mend, and the adapter goes on', async () => {
    await mounted.open();
    await add();
    for (const [body, words] of [
      [{ adapter_name, inputs: [{ input_ids: [1], labels: [1, 2] }] }, 'expected 1 labels'],
      [{ adapter_name, inputs, temperature: 0 }, 'above 0'],
      [{ adapter_name, inputs, colour: 'red' }, 'has no argument `colour`'],
      [{ adapter_name, inputs: [{ messages: [{ role: 'user', content: 'x' }] }] }, 'set_template'],
    ] as const) {
      const answer = await model('forward_backward', body);
      expect([answer.status, detailOf(answer)]).toEqual([400, expect.stringContaining(words)]);
    }
    expect((await model('forward_backward', { adapter_name, inputs })).status).toBe(200);
  });

  it('no body, or one that is none, is a 400', async () => {
    await mounted.open();
    const bad = await mounted.app.inject({
      ...{ method: 'POST', url: '/api/v1/model/demo/twinkle/step', payload: '{', headers: mounted.headers() },
    });
    expect([bad.statusCode >= 400 && bad.statusCode < 500, Object.keys(bad.json())]).toEqual([true, ['detail']]);
    expect((await model('step', [] as never)).status).toBe(400);
  });
});
