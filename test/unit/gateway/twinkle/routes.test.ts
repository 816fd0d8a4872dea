import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LocalTrainingService } from '../../../../src/training/service.js';
import { FakeSampling } from '../../training/fake-sampling.js';
import { FakeHost, flush } from '../../training/fake-trainer.js';
import { FakeInference, servedModel } from '../fake-inference.js';
import { gateway } from '../harness.js';

const KEYS = { mode: 'anonymous', keyHashes: [], generatedKey: null } as const;
const LORA = { rank: 8, seed: 11, train_unembed: true, train_mlp: true, train_attn: true };

let root: string;
let training: LocalTrainingService;
let inference: FakeInference;
let app: FastifyInstance;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'twinkle-routes-'));
  const host = new FakeHost();
  host.trainer.files = ['adapter_config.json', 'manifest.json'];
  inference = new FakeInference();
  const parts = { inference, trainers: host, sampling: new FakeSampling(), checkpointFolder: root };
  training = new LocalTrainingService({ ...parts, rules: { maxRuns: 3 }, nowMs: () => performance.now() });
  ({ app } = await gateway({ inference, training, auth: KEYS }));
});
afterEach(() => {
  training[Symbol.dispose]();
  rmSync(root, { recursive: true, force: true });
});

async function ask(method: 'GET' | 'POST' | 'DELETE', path: string, payload?: object, key = 'key') {
  const headers = { 'twinkle-authorization': `Bearer ${key}`, authorization: 'Bearer other', 'x-request-id': 'r' };
  const body = payload === undefined ? {} : { payload };
  const answer = await app.inject({ method, url: `/api/v1/${path}`, headers, ...body });
  return { status: answer.statusCode, body: answer.json() };
}

/** A run with two checkpoints, made through the other API by the same key. */
async function trained() {
  const { session_id } = (await ask('POST', 'create_session', {})).body;
  const asked = { session_id, model_seq_id: 0, base_model: 'demo', lora_config: LORA, user_metadata: { a: 1 } };
  const run = (await ask('POST', 'create_model', asked)).body.model_id as string;
  await flush();
  await ask('POST', 'save_weights', { model_id: run, seq_id: 1, path: 'one' });
  await flush();
  await ask('POST', 'save_weights_for_sampler', { model_id: run, seq_id: 2, path: 'two' });
  await flush();
  return run;
}

describe('the server', () => {
  it('is there, and can do', async () => {
    expect(await ask('GET', 'twinkle/healthz')).toEqual({ status: 200, body: { status: 'ok' } });
    expect((await ask('GET', 'twinkle/get_server_capabilities')).body).toEqual({
      supported_models: [{ model_name: 'demo' }, { model_name: 'alias/with-slash' }],
    });
  });

  it('deep health: each model, and 503 while one does not answer', async () => {
    const deep = (): Promise<unknown> => ask('GET', 'twinkle/healthz/deep');
    expect(await deep()).toEqual({
      status: 200,
      body: { healthy: true, models: { demo: { healthy: true, status_code: 200 } } },
    });
    inference.served.push(servedModel({ names: ['other'], state: 'failed', reason: 'rank 0 was killed' }));
    const other = { healthy: false, status_code: 503, detail: 'rank 0 was killed' };
    expect(await deep()).toMatchObject({ status: 503, body: { healthy: false, models: { demo: {}, other } } });
  });

  it('capacity counts the runs on the ranks, status what the key has', async () => {
    expect((await ask('GET', 'twinkle/capacity_info')).body).toEqual({ max_loras: 3, used_loras: 0, free_loras: 3 });
    await trained();
    expect((await ask('GET', 'twinkle/capacity_info')).body).toEqual({ max_loras: 3, used_loras: 1, free_loras: 2 });
    const resources = { sessions: 1, models: 1, sampling_sessions: 0 };
    expect((await ask('GET', 'twinkle/status')).body).toEqual({ resources });
    const none = { sessions: 0, models: 0, sampling_sessions: 0 };
    expect((await ask('GET', 'twinkle/status', undefined, 'else')).body).toEqual({ resources: none });
  });
});

describe('sessions', () => {
  it('live by heartbeats; one that is not known is a 404, which no iterator ends by', async () => {
    const { session_id } = (await ask('POST', 'twinkle/create_session', { metadata: { name: 'x' } })).body;
    expect(await ask('POST', 'twinkle/session_heartbeat', { session_id })).toEqual({ status: 200, body: {} });
    for (const [id, key] of [
      ['nobody', 'key'],
      [session_id, 'else'],
    ]) {
      const answer = await ask('POST', 'twinkle/session_heartbeat', { session_id: id }, key);
      expect(answer).toMatchObject({ status: 404, body: { detail: expect.stringContaining('create a new one') } });
    }
    expect((await ask('GET', `sessions/${session_id}`)).body).toMatchObject({ user_metadata: { name: 'x' } });
  });

  it.each([
    ['create_session', { metadata: 3 }],
    ['create_session', { meta: {} }],
    ['session_heartbeat', {}],
    ['session_heartbeat', { session_id: 7 }],
  ])('%s with %j is refused in words that the client shows', async (path, body) => {
    const answer = await ask('POST', `twinkle/${path}`, body);
    expect(answer.status).toBe(400);
    expect(Object.keys(answer.body)).toEqual(['detail']);
  });
});

describe('runs and checkpoints', () => {
  it('are listed, each key its own', async () => {
    const run = await trained();
    const weights = { checkpoint_id: 'weights/one', checkpoint_type: 'training', is_lora: true, lora_rank: 8 };
    const sampler = { checkpoint_id: 'sampler_weights/two', checkpoint_type: 'sampler', base_model: 'demo' };
    const shown = {
      training_run_id: run,
      base_model: 'demo',
      is_lora: true,
      lora_rank: 8,
      last_checkpoint: { ...weights, twinkle_path: `twinkle://${run}/weights/one` },
      last_sampler_checkpoint: sampler,
      user_metadata: { a: 1 },
    };
    expect((await ask('GET', 'twinkle/training_runs')).body).toMatchObject({
      training_runs: [shown],
      cursor: { limit: 20, offset: 0, total_count: 1 },
    });
    expect((await ask('GET', 'twinkle/training_runs?limit=5&offset=1')).body).toEqual({
      training_runs: [],
      cursor: { limit: 5, offset: 1, total_count: 1 },
    });
    expect((await ask('GET', `twinkle/training_runs/${run}`)).body).toMatchObject(shown);
    const { checkpoints } = (await ask('GET', `twinkle/training_runs/${run}/checkpoints`)).body;
    expect(checkpoints).toMatchObject([weights, sampler]);
    expect((await ask('GET', 'twinkle/training_runs', undefined, 'else')).body.training_runs).toEqual([]);
    for (const path of ['', '/checkpoints', '/checkpoints/weights/one']) {
      const method = path.endsWith('one') ? 'DELETE' : 'GET';
      expect((await ask(method, `twinkle/training_runs/${run}${path}`, undefined, 'else')).status).toBe(404);
    }
  });

  it('have a path that says nothing of our disk', async () => {
    const run = await trained();
    const path = `twinkle://${run}/weights/one`;
    const asked = await ask('GET', `twinkle/checkpoint_path/${run}/weights/one`);
    expect(asked.body).toEqual({ path, twinkle_path: path });
    for (const name of [path, path.replace('twinkle:', 'tinker:')]) {
      expect((await ask('POST', 'twinkle/weights_info', { twinkle_path: name })).body).toEqual({
        ...{ training_run_id: run, base_model: 'demo', model_owner: 'me', is_lora: true, lora_rank: 8 },
      });
    }
  });

  it('go', async () => {
    const run = await trained();
    const path = `twinkle/training_runs/${run}/checkpoints/weights/one`;
    expect(await ask('DELETE', path)).toMatchObject({ status: 200, body: { success: true } });
    expect((await ask('DELETE', path)).status).toBe(404);
    const { checkpoints } = (await ask('GET', `twinkle/training_runs/${run}/checkpoints`)).body;
    expect(checkpoints).toHaveLength(1);
  });

  it.each([
    ['GET', 'training_runs/nobody', 404],
    ['GET', 'training_runs/nobody/checkpoints', 404],
    ['GET', 'training_runs?limit=x', 400],
    ['GET', 'checkpoint_path/nobody/weights/one', 400],
    ['GET', 'checkpoint_path/00000000-0000-0000-0000-000000000000:train:0/weights/one', 404],
    ['GET', 'checkpoint_path/00000000-0000-0000-0000-000000000000:train:0/weight/one', 404],
    ['GET', 'checkpoint_path/00000000-0000-0000-0000-000000000000:train:0/constructor/one', 404],
    ['GET', 'checkpoint_path/00000000-0000-0000-0000-000000000000:train:0/weights/..%2Fone', 400],
  ] as const)('%s %s: %i', async (method, path, status) => {
    const answer = await ask(method, `twinkle/${path}`);
    expect([answer.status, Object.keys(answer.body)]).toEqual([status, ['detail']]);
  });

  it.each(['x', 'twinkle://a', 'twinkle://a/weights/b/c', 'file:///etc/passwd'])('%s is no path', async (path) => {
    expect((await ask('POST', 'twinkle/weights_info', { twinkle_path: path })).status).toBe(400);
  });
});

describe('keys', () => {
  it('the header of Twinkle wins, with or without Bearer', async () => {
    const run = await trained();
    const seen = async (headers: Record<string, string>): Promise<number> => {
      const answer = await app.inject({ url: '/api/v1/twinkle/training_runs', headers });
      return answer.json().training_runs.filter((one: { training_run_id: string }) => one.training_run_id === run)
        .length;
    };
    expect(await seen({ 'twinkle-authorization': 'key' })).toBe(1);
    expect(await seen({ 'twinkle-authorization': 'bearer key', authorization: 'Bearer else' })).toBe(1);
    expect(await seen({ 'twinkle-authorization': 'else', authorization: 'Bearer key' })).toBe(0);
    for (const none of ['', 'Bearer', 'bearer ']) {
      expect(await seen({ 'twinkle-authorization': none, authorization: 'Bearer key' })).toBe(1);
    }
    expect(await seen({ authorization: 'Bearer key' })).toBe(1);
    expect(await seen({})).toBe(0);
  });
});
