import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TrainWork } from '../../../../src/protocol/training.js';
import { LocalTrainingService } from '../../../../src/training/service.js';
import { FakeSampling } from '../../training/fake-sampling.js';
import { FakeHost } from '../../training/fake-trainer.js';
import { FakeInference, logprobOf } from '../fake-inference.js';
import { gateway } from '../harness.js';

let host: FakeHost;
let inference: FakeInference;
let training: LocalTrainingService;
let app: FastifyInstance;
let session: string;
let run: string;

beforeEach(async () => {
  host = new FakeHost();
  inference = new FakeInference();
  inference.manual = true;
  const parts = { inference, trainers: host, sampling: new FakeSampling(), checkpointFolder: '/dev/null/nowhere' };
  training = new LocalTrainingService({ ...parts, nowMs: () => performance.now() });
  ({ app } = await gateway({ inference, training }));
  session = (await post('create_session', {})).json().session_id;
  const model = { session_id: session, model_seq_id: 0, base_model: 'demo', lora_config: { rank: 8 } };
  run = (await post('create_model', model)).json().model_id;
});
afterEach(() => training[Symbol.dispose]());

/** As the SDK 0.16 asks: for JSON. */
const post = (path: string, payload: object, accept = 'application/json') =>
  app.inject({ method: 'POST', url: `/api/v1/${path}`, payload, headers: { accept } });

/** As the SDK 0.16 writes it. */
const DATUM = {
  loss_fn_inputs: {
    target_tokens: { data: [2, 3, 4], dtype: 'int64', shape: [3] },
    weights: { data: [0, 1, 0.5], dtype: 'float32', shape: [3] },
  },
  model_input: {
    chunks: [{ tokens: [1, 2], type: 'encoded_text' }, { tokens: [3] }],
  },
};
const INPUT = { data: [DATUM], loss_fn: 'cross_entropy' };
const BODY = { model_id: '', seq_id: 1, forward_backward_input: INPUT };
const datum = (changes: object) => ({ ...INPUT, data: [{ ...DATUM, ...changes }] });
const inputs = (tensor: object) => datum({ loss_fn_inputs: { weights: tensor } });

const works = (): TrainWork[] =>
  host.trainer.sent.flatMap(({ params }) => (params as { works?: TrainWork[] }).works ?? []);

describe('a pass in JSON', () => {
  it('is what its protobuf would be', async () => {
    const asked = await post('forward_backward', { ...BODY, model_id: run });
    expect(asked.json()).toEqual({ request_id: expect.stringMatching(/^req-/), model_id: run });
    expect(works()).toEqual([
      {
        run,
        loss: 'cross_entropy',
        config: {},
        forward_only: false,
        tokens: Buffer.from(Int32Array.of(1, 2, 3).buffer),
        lengths: [3],
        inputs: [
          {
            name: 'target_tokens',
            dtype: 'int64',
            data: Buffer.from(BigInt64Array.of(2n, 3n, 4n).buffer),
            shapes: [[3]],
          },
          { name: 'weights', dtype: 'float32', data: Buffer.from(Float32Array.of(0, 1, 0.5).buffer), shapes: [[3]] },
        ],
      },
    ]);
  });

  it('runs once for one number', async () => {
    const [first, again] = [
      await post('forward_backward', { ...BODY, model_id: run }),
      await post('forward_backward', { ...BODY, model_id: run }),
    ];
    expect(again.json()).toEqual(first.json());
    expect(works()).toHaveLength(1);
  });

  it('without gradient has a route of its own', async () => {
    const input = { ...INPUT, loss_fn: 'ppo', loss_fn_config: { clip_low_threshold: 0.9 } };
    await post('forward', { model_id: run, seq_id: 1, forward_input: input });
    expect(works()).toMatchObject([{ forward_only: true, loss: 'ppo', config: { clip_low_threshold: 0.9 } }]);
  });

  it('may have sparse tensors, and tensors without a shape', async () => {
    const weights = {
      data: [7, 8],
      dtype: 'float32',
      shape: [2, 3],
      sparse_crow_indices: [0, 1, 2],
      sparse_col_indices: [2, 0],
    };
    const target_tokens = { data: [1, 2], dtype: 'int64' };
    const forward_backward_input = datum({ loss_fn_inputs: { weights, target_tokens } });
    await post('forward_backward', { model_id: run, seq_id: 1, forward_backward_input });
    expect(works()[0]?.inputs).toMatchObject([
      { shapes: [[2, 3]], data: Buffer.from(Float32Array.of(0, 0, 7, 8, 0, 0).buffer) },
      { shapes: [[2]] },
    ]);
  });

  it.each<[object, string]>([
    [{ ...INPUT, data: [] }, 'at least one datum'],
    [{ ...INPUT, loss: 'x' }, 'loss'],
    [datum({ model_input: { chunks: [{ type: 'image', data: '', format: 'png' }] } }), 'not image'],
    [datum({ model_input: { chunks: [{ data: '', format: 'png' }] } }), 'without tokens'],
    [datum({ model_input: { chunks: [{ type: 'encoded_text', tokens: [-1] }] } }), 'tokens[0]'],
    [datum({ model_input: { chunks: [{ type: 'encoded_text', tokens: [2 ** 31] }] } }), 'tokens[0]'],
    [datum({ model_input: { chunks: [] } }), 'empty model_input'],
    [datum({ model_input_spans: [] }), 'model_input_spans'],
    [inputs({ data: [1.5], dtype: 'int64' }), 'integers'],
    [inputs({ data: [1, 2], dtype: 'float32', shape: [3] }), '12 bytes'],
    [inputs({ data: [1], dtype: 'bfloat16' }), 'dtype'],
    [inputs({ data: [1], dtype: 'float32', shape: [1, 1], sparse_crow_indices: [0, 1] }), 'together'],
    [inputs({ data: [null], dtype: 'float32' }), 'data[0]'],
  ])('of %j is refused, and the number is used up', async (forward_backward_input, words) => {
    const answer = await post('forward_backward', { model_id: run, seq_id: 1, forward_backward_input });
    expect([answer.statusCode, answer.json().detail]).toEqual([400, expect.stringContaining(words)]);
    await post('forward_backward', { ...BODY, model_id: run, seq_id: 2 });
    expect(works()).toHaveLength(1);
  });

  it.each<[object, string]>([
    [{}, 'model_id'],
    [{ model_id: 7, seq_id: 1, forward_backward_input: INPUT }, 'model_id'],
    [{ model_id: 'x', seq_id: 0, forward_backward_input: INPUT }, 'seq_id'],
    [{ model_id: 'x', seq_id: 1, forward_input: INPUT }, 'forward'],
  ])('that is %j is refused', async (body, words) => {
    const answer = await post('forward_backward', body);
    expect([answer.statusCode, answer.json().detail]).toEqual([400, expect.stringContaining(words)]);
  });
});

describe('an answer is JSON for who does not ask for protobuf:', () => {
  it('of a pass', async () => {
    const { request_id } = (await post('forward_backward', { ...BODY, model_id: run })).json();
    for (const accept of ['application/json', '*/*']) {
      const fetched = await post('retrieve_future', { request_id }, accept);
      expect(fetched.headers['content-type']).toBe('application/json; charset=utf-8');
      expect(fetched.json()).toEqual({
        loss_fn_output_type: 'ArrayRecord',
        loss_fn_outputs: [{ logprobs: { data: [-0.5], dtype: 'float32', shape: [1] } }],
        metrics: { 'loss:sum': 1 },
      });
    }
    const both = await post('retrieve_future', { request_id }, 'application/x-protobuf, application/json');
    expect(both.headers['content-type']).toBe('application/x-protobuf');
  });

  it('of a sample', async () => {
    const of = { session_id: session, sampling_session_seq_id: 0, base_model: 'demo' };
    const { sampling_session_id } = (await post('create_sampling_session', of)).json();
    const prompt = { chunks: [{ tokens: [1, 2] }] };
    const asked = { sampling_session_id, seq_id: 0, prompt, prompt_logprobs: true, topk_prompt_logprobs: 1 };
    const { request_id } = (await post('asample', asked)).json();
    const scored = { ...logprobOf('b', 0), top: [[2, 'b', null, -0.25]] };
    inference.calls[0]?.send('y', {
      token_ids: [7],
      logprobs: [logprobOf('y', 0)],
      finish: 'stop',
      prompt: { tokens: 2, logprobs: [null, scored] } as never,
    });
    inference.calls[0]?.finish();
    expect((await post('retrieve_future', { request_id })).json()).toEqual({
      type: 'sample',
      sequences: [{ stop_reason: 'stop', tokens: [7], logprobs: [-0.5] }],
      prompt_logprobs: [null, -0.5],
      topk_prompt_logprobs: [null, [[2, -0.25]]],
      prompt_cache_hit_tokens: 1,
    });
  });
});
