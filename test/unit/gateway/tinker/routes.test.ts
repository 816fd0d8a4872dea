import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TwinkleError } from '../../../../src/errors.js';
import { LocalTrainingService } from '../../../../src/training/service.js';
import { deferred } from '../../../../src/util/deferred.js';
import { FakeSampling } from '../../training/fake-sampling.js';
import { FakeHost } from '../../training/fake-trainer.js';
import { FakeInference, logprobOf } from '../fake-inference.js';
import { gateway, listening } from '../harness.js';

let inference: FakeInference;
let training: LocalTrainingService;
let host: FakeHost;
let app: FastifyInstance;

beforeEach(async () => {
  inference = new FakeInference();
  inference.manual = true;
  host = new FakeHost();
  training = new LocalTrainingService({
    inference,
    trainers: host,
    sampling: new FakeSampling(),
    checkpointFolder: '/dev/null/nowhere',
    nowMs: () => performance.now(),
  });
  const auth = { mode: 'anonymous', keyHashes: [], generatedKey: null } as const;
  ({ app } = await gateway({ inference, training, auth }));
});
afterEach(() => training[Symbol.dispose]());

type Headers = Record<string, string>;
async function post(path: string, payload: object, headers: Headers = {}) {
  return await app.inject({ method: 'POST', url: `/api/v1/${path}`, payload, headers });
}
async function get(path: string, headers: Headers = {}) {
  return await app.inject({ url: `/api/v1/${path}`, headers });
}

/** As the SDK 0.38 writes it. */
const ASAMPLE = {
  num_samples: 1,
  prompt: { chunks: [{ tokens: [340, 256, 206], type: 'encoded_text' }] },
  sampling_params: { max_tokens: 12, temperature: 0.0, top_k: -1, top_p: 1.0 },
  seq_id: 1,
  prompt_logprobs: false,
  topk_prompt_logprobs: 0,
  topk_sample_logprobs: 0,
  prompt_alt_tokens_k: 0,
  record_stability_info: false,
  type: 'sample',
};

async function sampler(headers: Headers = {}): Promise<string> {
  const { session_id } = (await post('create_session', { type: 'create_session' }, headers)).json();
  const made = await post(
    'create_sampling_session',
    { session_id, sampling_session_seq_id: 0, base_model: 'demo', type: 'create_sampling_session' },
    headers,
  );
  return made.json().sampling_session_id;
}

describe('what the SDK asks first', () => {
  it('is answered in its words', async () => {
    expect((await get('healthz')).json()).toEqual({ status: 'ok' });
    expect((await post('client/config', { sdk_version: '0.38.0' })).json()).toMatchObject({ pjwt_auth_enabled: false });
    expect((await post('client/dynamic_config', { sdk_version: '0.38.0' })).json()).toMatchObject({
      refresh_interval_sec: 300,
    });
    expect((await get('get_server_capabilities')).json().supported_models[0]).toEqual({
      model_name: 'demo',
      max_context_length: 512,
      trainable: true,
      sampleable: true,
    });
    expect((await post('telemetry', { events: [{ event: 'SESSION_START' }], session_id: 'x' })).json()).toEqual({
      status: 'accepted',
    });
  });
});

describe('sessions', () => {
  it('begin once for one idempotency key, live, are shown to their key alone and end', async () => {
    const key = { 'x-idempotency-key': 'stainless-python-retry-1' };
    const body = { tags: [], user_metadata: { run: 'a' }, sdk_version: '0.38.0', type: 'create_session' };
    const { session_id: id } = (await post('create_session', body, key)).json();
    expect((await post('create_session', body, key)).json().session_id).toBe(id);
    expect((await post('session_heartbeat', { session_id: id, type: 'session_heartbeat' })).json()).toEqual({
      type: 'session_heartbeat',
    });
    expect((await get(`sessions/${id}`)).json()).toMatchObject({ sampler_ids: [], user_metadata: { run: 'a' } });
    expect((await get('sessions?limit=1&offset=0')).json()).toEqual({ sessions: [id] });
    expect((await get('sessions', { 'x-api-key': 'tml-other' })).json()).toEqual({ sessions: [] });
    expect((await post(`sessions/${id}/finish`, { reason: { type: 'success' }, detail: null })).statusCode).toBe(200);
    const late = await post('session_heartbeat', { session_id: id });
    expect(late.statusCode).toBe(410);
    expect(late.json().detail).toContain('create a new one');
    expect((await get('sessions?limit=x')).statusCode).toBe(400);
  });

  it.each([
    ['sessions?access_scope=all', 'owned or accessible'],
    ['training_runs?access_scope=all', 'owned or accessible'],
    ['training_runs?project_id=p', 'no projects'],
  ])('are not listed by %s', async (path, words) => {
    const answer = await get(path);
    expect([answer.statusCode, answer.json().detail]).toEqual([400, expect.stringContaining(words)]);
  });

  it('belong to no project', async () => {
    const answer = await post('create_session', { project_id: 'p' });
    expect([answer.statusCode, answer.json().detail]).toEqual([400, expect.stringContaining('no projects')]);
  });
});

describe('samples', () => {
  it('are asked for, waited for and fetched, twice', async () => {
    const sampling_session_id = await sampler();
    const asked = (await post('asample', { ...ASAMPLE, sampling_session_id })).json();
    expect(asked).toEqual({
      request_id: expect.stringMatching(/^req-/),
      model_id: null,
      sample_sequence_ids: [`${sampling_session_id}:1:0`],
    });
    const { request_id } = asked;
    const accept = { accept: 'application/x-protobuf' };
    const waiting = post('retrieve_future', { request_id, allow_metadata_only: true }, accept);
    const call = inference.calls[0];
    call?.send('y', { token_ids: [7], logprobs: [logprobOf('y', 0)], finish: 'stop' });
    call?.finish();
    const answers = [await waiting, await post('retrieve_future', { request_id, allow_metadata_only: false }, accept)];
    for (const answer of answers) {
      expect(answer.headers['content-type']).toBe('application/x-protobuf');
      // sequences[0] = {stop_reason: 0, tokens: [7], logprobs: [-0.5]}, prompt_cache_hit_tokens = 1
      expect(answer.rawPayload.toString('hex')).toBe('0a0e0800120407000000' + '1a04000000bf' + '2001');
    }
  });

  it('have numbers beyond 2⁵³, read exactly', async () => {
    const sampling_session_id = await sampler();
    const headers = { 'content-type': 'application/json' };
    const text = (extra: string) =>
      JSON.stringify({ ...ASAMPLE, sampling_session_id, sampling_params: { stop: ['"seq_id": 9'] } }).replace(
        '"seq_id":1,',
        extra,
      );
    const send = async (extra: string) =>
      await app.inject({ method: 'POST', url: '/api/v1/asample', payload: text(extra), headers });
    expect((await send('"seq_id": 683302102000000001,')).json().sample_sequence_ids).toEqual([
      `${sampling_session_id}:683302102000000001:0`,
    ]);
    expect((await send('"seq_id":683302102000000001,"seq_id":683302102000000002,')).statusCode).toBe(400);
    expect((await send('"seq_id":6.83302102000000001e17,')).statusCode).toBe(400);
  });

  it('that fail are answered with who is at fault', async () => {
    const sampling_session_id = await sampler();
    const { request_id } = (await post('asample', { ...ASAMPLE, sampling_session_id })).json();
    inference.calls[0]?.fail(new TwinkleError('CONTEXT_LENGTH_EXCEEDED', 'too long'));
    const answer = await post('retrieve_future', { request_id });
    expect([answer.statusCode, answer.json()]).toEqual([200, { error: 'too long', category: 'user' }]);
  });

  it('are cancelled, and expire as the SDK knows it', async () => {
    const sampling_session_id = await sampler();
    const { request_id } = (await post('asample', { ...ASAMPLE, sampling_session_id })).json();
    expect((await post('cancel_future', { request_id })).statusCode).toBe(200);
    expect(inference.calls[0]?.aborted).toBe(true);
    expect((await post('cancel_future', { request_id: 'req-none' })).statusCode).toBe(200);
    expect((await post('retrieve_future', { request_id: 'req-none' })).statusCode).toBe(410);
    const foreign = await post('retrieve_future', { request_id }, { 'x-api-key': 'tml-other' });
    expect(foreign.statusCode).toBe(410);
  });

  it('that the queue refuses are to be asked for later', async () => {
    const sampling_session_id = await sampler();
    inference.refusal = new TwinkleError('OVERLOADED', 'full', { retryAfterMs: 2000 });
    const answer = await post('asample', { ...ASAMPLE, sampling_session_id });
    expect([answer.statusCode, answer.headers['retry-after']]).toEqual([429, '2']);
  });

  it.each<[object, string]>([
    [{ prompt: { chunks: [] } }, 'at least one token'],
    [{ prompt: { chunks: [{ type: 'image', data: '', format: 'png' }] } }, 'only encoded_text'],
    [{ prompt: { chunks: [{ data: '', format: 'png' }] } }, 'only encoded_text'],
    [{ prompt: { chunks: [{ type: 'encoded_text', tokens: [-1] }] } }, 'prompt.chunks[0].tokens[0]'],
    [{ num_samples: 0 }, 'num_samples'],
    [{ num_samples: 1e6 }, 'num_samples'],
    [{ sampling_params: { temperatur: 1 } }, 'temperature'],
    [{ sampling_params: { temperature: -1 } }, 'temperature'],
    [{ sampling_params: { stop: [1, 'a'] } }, 'stop'],
    [{ prompt_alt_tokens_k: 2 }, 'prompt_alt_tokens_k'],
    [{ record_stability_info: true }, 'record_stability_info'],
    [{ target_prompt_logprobs: { data: [] } }, 'target_prompt_logprobs'],
    [{ seq_id: -1 }, 'seq_id'],
    [{ nonsense: 1 }, 'nonsense'],
  ])('refuses %j for good', async (change, word) => {
    const sampling_session_id = await sampler();
    const answer = await post('asample', { ...ASAMPLE, sampling_session_id, ...change });
    expect(answer.statusCode).toBe(400);
    expect(Object.keys(answer.json())).toEqual(['detail']);
    expect(answer.json().detail).toContain(word);
    expect(inference.calls).toHaveLength(0);
  });

  it.each<[object, number]>([
    [{ base_model: 'none' }, 404],
    [{ model_path: 'tinker://a/sampler_weights/b' }, 400],
    [{ model_path: 'tinker://41e19319-58e8-4f2a-9aa3-daf341272b75:train:0/sampler_weights/b' }, 404],
    [{}, 400],
  ])('from %j are refused', async (what, status) => {
    const { session_id } = (await post('create_session', {})).json();
    const answer = await post('create_sampling_session', { session_id, sampling_session_seq_id: 0, ...what });
    expect([answer.statusCode, typeof answer.json().detail]).toEqual([status, 'string']);
  });

  it('may be heard of all at once, by each clone of a client', async () => {
    const sampling_session_id = await sampler();
    const joined = await post('join_sampling_session', { sampling_session_id, type: 'join_sampling_session' });
    expect(joined.json()).toEqual({ type: 'join_sampling_session', client_counter: 1 });
    expect((await get(`samplers/${sampling_session_id}`)).json()).toMatchObject({ base_model: 'demo' });
    const { request_id } = (await post('asample', { ...ASAMPLE, sampling_session_id, seq_id: 1e9 + 1 })).json();
    const target = { type: 'sampling_session', sampling_session_id, cloned_sampler_id: 1 };
    const waiting = post('retrieve_futures', { target, prev_cursor: 0, retrieved_request_ids: [] });
    inference.calls[0]?.send('y', { token_ids: [7], logprobs: [logprobOf('y', 0)], finish: 'length' });
    inference.calls[0]?.finish();
    const heard = (await waiting).json();
    expect(heard).toEqual({
      completions: [{ state: 'finished', request_id, response_payload_uncompressed_size: expect.any(Number) }],
      cursor: 1,
    });
    const body = { target, prev_cursor: 1, timeout: 0, retrieved_request_ids: [request_id] };
    expect((await post('retrieve_futures', body)).json()).toEqual({ completions: [], cursor: 1 });
    expect((await post('retrieve_future', { request_id })).statusCode).toBe(410);
  });
});

it('holds a poll no longer than its client does', async () => {
  const { url } = await listening({ inference, training });
  const asJson = async (path: string, body: object, signal?: AbortSignal) => {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${url}/api/v1/${path}`, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
      ...(signal === undefined ? {} : { signal }),
    });
    return (await answer.json()) as Record<string, string>;
  };
  const { session_id } = await asJson('create_session', {});
  const made = await asJson('create_sampling_session', { session_id, sampling_session_seq_id: 0, base_model: 'demo' });
  const { request_id = '' } = await asJson('asample', { ...ASAMPLE, sampling_session_id: made.sampling_session_id });
  const leaving = new AbortController();
  const future = training.request('local', request_id);
  if (future === null) throw new Error('not known');
  const heardOfIt = deferred<void>();
  const wait = future.wait.bind(future);
  future.wait = async (ms, listener) => {
    const left = wait(ms, (leave) => listener?.(leave));
    leaving.abort();
    await left;
    heardOfIt.resolve();
  };
  await expect(asJson('retrieve_future', { request_id }, leaving.signal)).rejects.toThrow('abort');
  await heardOfIt.promise;
});
