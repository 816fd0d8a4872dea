import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LocalTrainingService } from '../../../../src/training/service.js';
import { FakeSampling } from '../../training/fake-sampling.js';
import { FakeHost, flush } from '../../training/fake-trainer.js';
import { FakeInference } from '../fake-inference.js';
import { gateway } from '../harness.js';

let root: string;
let host: FakeHost;
let inference: FakeInference;
let training: LocalTrainingService;
let app: FastifyInstance;
let session: string;
let run: string;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'twinkle-repeats-'));
  host = new FakeHost();
  host.trainer.files = [];
  inference = new FakeInference();
  const parts = { inference, trainers: host, sampling: new FakeSampling(), checkpointFolder: root };
  training = new LocalTrainingService({ ...parts, nowMs: () => performance.now() });
  ({ app } = await gateway({ inference, training, auth: { mode: 'anonymous', keyHashes: [], generatedKey: null } }));
  session = (await send('create_session', {}, 'begin')).json().session_id;
  const model = { session_id: session, model_seq_id: 0, base_model: 'demo', lora_config: { rank: 8 } };
  run = (await send('create_model', model, 'make')).json().model_id;
  await send('save_weights', { model_id: run, seq_id: 1, path: 'one' }, 'save');
  const of = { session_id: session, sampling_session_seq_id: 0, base_model: 'demo' };
  await send('create_sampling_session', of, 'sample');
  await flush();
});
afterEach(() => {
  training[Symbol.dispose]();
  rmSync(root, { recursive: true, force: true });
});

const send = (path: string, payload: object, key: string, more: Record<string, string> = {}) =>
  app.inject({ method: 'POST', url: `/api/v1/${path}`, payload, headers: { 'x-idempotency-key': key, ...more } });
const remove = (name: string, key: string) =>
  app.inject({
    method: 'DELETE',
    url: `/api/v1/training_runs/${run}/checkpoints/weights/${name}`,
    headers: { 'x-idempotency-key': key },
  });

const tensor = { data: [1], dtype: 'int64' };
const data = [{ model_input: { chunks: [{ tokens: [1] }] }, loss_fn_inputs: { target_tokens: tensor } }];
const input = { data, loss_fn: 'cross_entropy' };
const model = () => ({ model_id: run, seq_id: 2 });

/** The SDK gives the repeats of its outer retries new keys: those tell by their number. */
describe.each([
  ['the same key', 'again'],
  ['a new key', 'another'],
])('what is sent twice with %s is one request:', (_what, second) => {
  it.each<[string, () => object]>([
    [
      'create_model',
      () => ({ session_id: session, model_seq_id: 1, base_model: 'demo', lora_config: { rank: 8, seed: 1 } }),
    ],
    ['forward', () => ({ ...model(), forward_input: input })],
    ['forward_backward', () => ({ ...model(), forward_backward_input: input })],
    ['optim_step', model],
    ['save_weights', () => ({ ...model(), path: 'two' })],
    ['save_weights_for_sampler', () => ({ ...model(), path: 'two' })],
    ['save_weights_for_sampler', () => ({ ...model(), sampling_session_seq_id: 5 })],
    ['save_weights_external', () => ({ ...model(), path: 'two' })],
    ['load_weights', () => ({ ...model(), path: `tinker://${run}/weights/one` })],
    ['load_weights', () => ({ session_id: session, model_seq_id: 1, path: `tinker://${run}/weights/one` })],
    ['create_sampling_session', () => ({ session_id: session, sampling_session_seq_id: 1, base_model: 'demo' })],
    [
      'asample',
      () => ({ sampling_session_id: `${session}:sample:0`, seq_id: 0, prompt: { chunks: [{ tokens: [1] }] } }),
    ],
    ['copy_weights', () => ({ source_path: `tinker://${run}/weights/one`, session_id: session, model_seq_id: 9 })],
  ])('%s', async (path, body) => {
    const first = await send(path, body(), 'again');
    await flush();
    const asked = [host.trainer.sent.length, inference.calls.length];
    const again = await send(path, body(), second);
    await flush();
    expect([again.statusCode, again.json()]).toEqual([200, first.json()]);
    expect([host.trainer.sent.length, inference.calls.length]).toEqual(asked);
  });
});

describe('what has no number goes by its key:', () => {
  it('a session', async () => {
    const { session_id } = (await send('create_session', {}, 'again')).json();
    expect((await send('create_session', {}, 'again')).json().session_id).toBe(session_id);
    expect((await send('create_session', {}, 'another')).json().session_id).not.toBe(session_id);
  });

  it('a client that joins', async () => {
    const join = async (key: string, more = {}) => {
      const answer = await send('join_sampling_session', { sampling_session_id: `${session}:sample:0` }, key, more);
      return [answer.statusCode, answer.json().client_counter];
    };
    expect(await join('a')).toEqual([200, 1]);
    expect(await join('a')).toEqual([200, 1]);
    expect(await join('b')).toEqual([200, 2]);
    // Another tenant's key is another key.
    expect(await join('a', { 'x-api-key': 'tml-other' })).toEqual([404, undefined]);
    expect(await join('')).toEqual([200, 3]);
    expect(await join('')).toEqual([200, 4]);
  });

  it('what is deleted', async () => {
    expect((await remove('one', 'a')).statusCode).toBe(200);
    expect((await remove('one', 'a')).statusCode).toBe(200);
    expect((await remove('one', 'b')).statusCode).toBe(404);
    expect((await remove('none', 'c')).statusCode).toBe(404);
    await send('save_weights', { model_id: run, seq_id: 2, path: 'none' }, 'later');
    await flush();
    // What failed is tried again.
    expect((await remove('none', 'c')).statusCode).toBe(200);
  });

  it('a copy', async () => {
    const copy = async (key: string) =>
      (await send('copy_weights', { source_path: `tinker://${run}/weights/one` }, key)).json().tinker_path;
    const path = await copy('a');
    expect(await copy('a')).toBe(path);
    expect(await copy('b')).not.toBe(path);
  });
});
