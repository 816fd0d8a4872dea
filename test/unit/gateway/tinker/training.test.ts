import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LocalTrainingService } from '../../../../src/training/service.js';
import { FakeSampling } from '../../training/fake-sampling.js';
import { FakeHost } from '../../training/fake-trainer.js';
import { FakeInference } from '../fake-inference.js';
import { gateway } from '../harness.js';

let host: FakeHost;
let training: LocalTrainingService;
let app: FastifyInstance;
let run: string;

beforeEach(async () => {
  host = new FakeHost();
  const inference = new FakeInference();
  training = new LocalTrainingService({
    inference,
    trainers: host,
    sampling: new FakeSampling(),
    checkpointFolder: '/dev/null/nowhere',
    nowMs: () => performance.now(),
  });
  ({ app } = await gateway({ inference, training }));
  const { session_id } = (await post('create_session', {})).json();
  run = (await post('create_model', { session_id, ...CREATE })).json().model_id;
});
afterEach(() => training[Symbol.dispose]());

const CREATE = {
  model_seq_id: 0,
  base_model: 'demo',
  lora_config: { rank: 8, seed: 11, train_unembed: true, train_mlp: true, train_attn: true },
  optimizer_config: { type: 'adamw' },
  type: 'create_model',
};
const ADAM = { learning_rate: 0.002, beta1: 0.9, beta2: 0.95, eps: 1e-12, weight_decay: 0, grad_clip_norm: 0 };

const PROTOBUF = 'application/x-protobuf';
async function post(path: string, payload: object | Uint8Array, type = 'application/json') {
  const body = payload instanceof Uint8Array ? Buffer.from(payload) : JSON.stringify(payload);
  const headers = { accept: PROTOBUF, 'content-type': type };
  return await app.inject({ method: 'POST', url: `/api/v1/${path}`, payload: body, headers });
}

interface Asked {
  readonly tokens?: number[] | null;
  readonly seqId?: number;
  readonly shape?: number[];
  readonly of?: string;
  readonly spans?: readonly [number[], number[]];
}

/** A message with one datum of cross_entropy. */
function message({ of = run, seqId = 1, shape = [2], spans, tokens = [5, 6] }: Asked = {}): Uint8Array {
  const writer = new BinaryWriter();
  const inner = (field: number, write: () => void): void => {
    writer.tag(field, WireType.LengthDelimited).fork();
    write();
    writer.join();
  };
  writer.tag(1, WireType.LengthDelimited).string(of);
  writer.tag(2, WireType.Varint).int32(seqId);
  inner(3, () => {
    inner(1, () => {
      if (tokens === null) inner(2, () => {});
      else {
        const bytes = new Uint8Array(Int32Array.from(tokens).buffer);
        inner(1, () => writer.tag(1, WireType.LengthDelimited).bytes(bytes));
      }
    });
    inner(2, () => {
      writer.tag(1, WireType.LengthDelimited).string('target_tokens');
      inner(2, () => {
        writer.tag(1, WireType.LengthDelimited).bytes(new Uint8Array(16));
        writer.tag(3, WireType.Varint).int32(2);
        for (const extent of shape) writer.tag(4, WireType.Varint).int64(extent);
      });
    });
    for (const [at, lengths] of (spans ?? []).entries()) {
      for (const length of lengths) {
        inner(3 + at, () =>
          inner(1 + at, () => {
            writer.tag(1, WireType.LengthDelimited).string('req-1:0');
            writer.tag(2, WireType.Varint).int64(1);
            writer.tag(3, WireType.Varint).int64(length);
          }),
        );
      }
    }
  });
  writer.tag(4, WireType.LengthDelimited).string('cross_entropy');
  return writer.finish();
}

describe('a run', () => {
  it('takes provenance that fits, as the cookbook sends it with every loss', async () => {
    const asked = await post('forward_backward', message({ spans: [[1, 1], [2]] }), PROTOBUF);
    const { request_id } = asked.json();
    expect((await post('retrieve_future', { request_id })).rawPayload.includes('loss:sum')).toBe(true);
    expect(host.trainer.sent.at(-1)?.params).toMatchObject({ works: [{ run, lengths: [2] }] });
  });

  it('is made, described as the SDK wants it, and listed', async () => {
    expect((await post('get_info', { model_id: run, type: 'get_info' })).json()).toEqual({
      type: 'get_info',
      model_data: { arch: null, model_name: 'demo', tokenizer_id: '/models/demo' },
      model_id: run,
      is_lora: true,
      lora_rank: 8,
      model_name: 'demo',
      optimizer_config: { type: 'adamw' },
    });
    const listed = (await app.inject({ url: '/api/v1/training_runs?limit=1&offset=0&access_scope=owned' })).json();
    expect(listed).toMatchObject({
      training_runs: [{ training_run_id: run, base_model: 'demo', corrupted: false, is_lora: true, lora_rank: 8 }],
      cursor: { offset: 0, limit: 1, total_count: 1 },
    });
    const one = (await app.inject({ url: `/api/v1/training_runs/${run}` })).json();
    expect(one).toEqual(listed.training_runs[0]);
    expect((await app.inject({ url: '/api/v1/training_runs/none' })).statusCode).toBe(404);
  });

  it('computes what it is sent, and answers with the SDK’s message', async () => {
    const asked = await post('forward_backward', message(), PROTOBUF);
    expect(asked.json()).toEqual({ request_id: expect.stringMatching(/^req-/), model_id: run });
    const answer = await post('retrieve_future', asked.json());
    expect([answer.statusCode, answer.headers['content-type']]).toEqual([400, expect.any(String)]); // model_id is no field of it
    const { request_id } = asked.json();
    const fetched = await post('retrieve_future', { request_id, allow_metadata_only: true });
    expect(fetched.headers['content-type']).toBe(PROTOBUF);
    expect(fetched.rawPayload.includes('loss:sum')).toBe(true);
    const { params } = host.trainer.sent.at(-1) ?? {};
    expect(params).toMatchObject({
      works: [
        {
          run,
          loss: 'cross_entropy',
          forward_only: false,
          lengths: [2],
          inputs: [{ name: 'target_tokens', dtype: 'int64', shapes: [[2]] }],
        },
      ],
    });
    const stepped = await post('optim_step', { model_id: run, seq_id: 2, type: 'optim_step', adam_params: ADAM });
    const metrics = await post('retrieve_future', { request_id: stepped.json().request_id });
    expect(metrics.json()).toEqual({ metrics: { 'grad_norm:mean': 2 } });
    expect(host.trainer.sent.at(-1)?.params).toEqual({ run, ...ADAM });
  });
});

it('is counted, its loss by the tokens that it is of', async () => {
  await post('forward_backward', message(), PROTOBUF);
  const stepped = await post('optim_step', { model_id: run, seq_id: 2, type: 'optim_step', adam_params: ADAM });
  await post('retrieve_future', { request_id: stepped.json().request_id });
  const { body } = await app.inject('/metrics');
  const of = `{model="demo",run="${run}"}`;
  expect(body.split('\n')).toEqual(
    expect.arrayContaining([
      'twinkle_training_steps_total{model="demo"} 1',
      'twinkle_training_tokens_total{model="demo"} 2',
      'twinkle_training_queue_seconds_count{model="demo"} 2',
      'twinkle_training_runs{model="demo",state="ready"} 1',
      `twinkle_training_run_loss${of} 1`,
      `twinkle_training_run_loss_per_token${of} 0.5`,
      `twinkle_training_run_grad_norm${of} 2`,
    ]),
  );
});

it.each<[string, () => Promise<Awaited<ReturnType<typeof post>>>, number, string]>([
  ['garbage', () => post('forward_backward', Buffer.from('garbage'), PROTOBUF), 400, 'no ForwardBackwardRequest'],
  ['JSON by another name', () => post('forward_backward', {}, 'application/own+json'), 415, 'application/x-protobuf'],
  ['spans too short', () => post('forward_backward', message({ spans: [[1], [2]] }), PROTOBUF), 400, 'cover 1 pos'],
  ['half of the spans', () => post('forward_backward', message({ spans: [[2], []] }), PROTOBUF), 400, 'target_tokens'],
  ['a span below 0', () => post('forward_backward', message({ spans: [[3, -1], [2]] }), PROTOBUF), 400, 'no Forward'],
  ['a custom loss', () => post('create_custom_loss', { session_id: 's', graph: {} }), 400, 'forward_backward_custom'],
  ['protobuf for JSON', () => post('optim_step', message(), PROTOBUF), 415, 'application/json'],
  ['an image', () => post('forward_backward', message({ tokens: null }), PROTOBUF), 400, 'not image'],
  ['no tokens', () => post('forward_backward', message({ tokens: [] }), PROTOBUF), 400, 'empty model_input'],
  ['a wrong size', () => post('forward_backward', message({ shape: [3] }), PROTOBUF), 400, '24 bytes'],
  ['number 0', () => post('forward_backward', message({ seqId: 0 }), PROTOBUF), 400, 'seq_id'],
  ['another run', () => post('forward_backward', message({ of: 'x' }), PROTOBUF), 404, 'no training run'],
  [
    'dimuon',
    () => post('optim_step', { model_id: run, seq_id: 1, optimizer_params: { type: 'dimuon' } }),
    400,
    'adamw',
  ],
  ['an unknown option', () => post('optim_step', { model_id: run, seq_id: 1, adam_params: { lr: 1 } }), 400, 'lr'],
])('refuses %s for good, and goes on behind it', async (_what, send, status, words) => {
  const answer = await send();
  expect([answer.statusCode, answer.json().detail]).toEqual([status, expect.stringContaining(words)]);
  expect(host.trainer.methods()).toEqual(['train_create']);
});

it('takes the number of a refused request for used', async () => {
  await post('forward_backward', message({ tokens: [] }), PROTOBUF);
  await post('optim_step', { model_id: run, seq_id: 2, adam_params: { lr: 1 } });
  await post('optim_step', { model_id: run, seq_id: 3, adam_params: { learning_rate: 'much' } });
  await post('optim_step', { model_id: 7, seq_id: 4 });
  await post('forward_backward', message({ seqId: 4 }), PROTOBUF);
  expect(host.trainer.methods()).toEqual(['train_create', 'train_pass']);
});

it.each<[object, string]>([
  [{ optimizer_config: { type: 'dimuon', version: 1 } }, 'adamw'],
  [{ lora_config: { rank: 0 } }, '--train-full'],
  [{ lora_config: { rank: -1 } }, 'rank'],
  [{ lora_config: {} }, 'rank'],
  [{ lora_config: { rank: 4, alpha: 2 } }, 'alpha'],
  [{ base_model: '' }, 'base_model'],
])('refuses to make a run of %j', async (changes, words) => {
  const { session_id } = (await post('create_session', {})).json();
  const answer = await post('create_model', { session_id, ...CREATE, ...changes });
  expect([answer.statusCode, answer.json().detail]).toEqual([400, expect.stringContaining(words)]);
});
