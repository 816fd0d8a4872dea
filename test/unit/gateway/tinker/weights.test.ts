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
let training: LocalTrainingService;
let app: FastifyInstance;
let session: string;
let run: string;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'twinkle-weights-'));
  const host = new FakeHost();
  host.trainer.files = ['adapter_config.json', 'manifest.json'];
  const inference = new FakeInference();
  const parts = { inference, trainers: host, sampling: new FakeSampling(), checkpointFolder: root };
  training = new LocalTrainingService({ ...parts, nowMs: () => performance.now() });
  ({ app } = await gateway({ inference, training, auth: { mode: 'anonymous', keyHashes: [], generatedKey: null } }));
  session = (await post('create_session', {})).json().session_id;
  const lora = { rank: 8, seed: 11, train_unembed: true, train_mlp: true, train_attn: true };
  const model = { session_id: session, model_seq_id: 0, base_model: 'demo', lora_config: lora };
  run = (await post('create_model', model)).json().model_id;
});
afterEach(() => {
  training[Symbol.dispose]();
  rmSync(root, { recursive: true, force: true });
});

const as = (key: string | null) => (key === null ? {} : { 'x-api-key': key });
const post = (path: string, payload: object, key: string | null = null, more: Record<string, string> = {}) =>
  app.inject({ method: 'POST', url: `/api/v1/${path}`, payload, headers: { ...as(key), ...more } });
const get = (path: string, key: string | null = null) =>
  app.inject({ method: 'GET', url: path.startsWith('/') ? path : `/api/v1/${path}`, headers: as(key) });

/** The answer of the request that a post began. */
async function settled(path: string, payload: object) {
  const begun = await post(path, payload);
  expect([begun.statusCode, begun.json()]).toMatchObject([200, { model_id: run }]);
  await flush();
  return (await post('retrieve_future', { request_id: begun.json().request_id })).json();
}
const saved = async (seqId: number, name: string, kind = 'weights') => {
  const route = {
    weights: 'save_weights',
    sampler_weights: 'save_weights_for_sampler',
    external_weights: 'save_weights_external',
  };
  const answer = await settled(route[kind as keyof typeof route], { model_id: run, seq_id: seqId, path: name });
  expect(answer.path).toBe(`tinker://${run}/${kind}/${name}`);
  return answer.path as string;
};

describe('weights for samplers', () => {
  it('with a name are a checkpoint, of which a sampler can be made', async () => {
    const path = await saved(1, 'one', 'sampler_weights');
    const made = await post('create_sampling_session', {
      session_id: session,
      sampling_session_seq_id: 3,
      model_path: path,
    });
    const { sampling_session_id: sampler } = made.json();
    expect((await get(`samplers/${sampler}`)).json()).toEqual({
      sampler_id: sampler,
      base_model: 'demo',
      model_path: path,
    });
    const { last_checkpoint, last_sampler_checkpoint } = (await get(`training_runs/${run}`)).json();
    expect([last_checkpoint, last_sampler_checkpoint]).toMatchObject([
      null,
      { checkpoint_id: 'sampler_weights/one', checkpoint_type: 'sampler', tinker_path: path },
    ]);
  });

  it('without one are a sampler', async () => {
    const asked = { model_id: run, seq_id: 1, sampling_session_seq_id: 2, kind: 'inflight' };
    const { sampling_session_id: sampler } = await settled('save_weights_for_sampler', asked);
    expect(sampler).toBe(`${session}:sample:2`);
    expect((await get(`samplers/${sampler}`)).json()).toMatchObject({ base_model: 'demo', model_path: null });
  });

  it.each([
    [{}, 'sampling_session_seq_id'],
    [{ sampling_session_seq_id: 1, ttl_seconds: 60 }, 'a name'],
    [{ path: 'a', kind: 'inflight' }, 'snapshot'],
    [{ path: 'a', sampling_session_seq_id: 1 }, 'none beside'],
    [{ path: '../a' }, 'letters, digits'],
    [{ path: 'a', kind: 'other' }, 'kind'],
  ])('as %j are refused, and the number is used up', async (fields, word) => {
    const answer = await post('save_weights_for_sampler', { model_id: run, seq_id: 1, ...fields });
    expect([answer.statusCode, answer.json().detail]).toEqual([400, expect.stringContaining(word)]);
  });

  it('are of their base model alone', async () => {
    const path = await saved(1, 'one', 'sampler_weights');
    const asked = { session_id: session, sampling_session_seq_id: 3, model_path: path, base_model: 'alias/with-slash' };
    expect((await post('create_sampling_session', asked)).json().detail).toContain('which the checkpoint is of');
  });
});

describe('a download', () => {
  it('is read by links, without a key, and without our own notes', async () => {
    const path = await saved(1, 'mine', 'external_weights');
    const id = path.split('/').slice(-2).join('/');
    const { expires, urls } = (await get(`training_runs/${run}/checkpoints/${id}/external_weights_urls`)).json();
    expect(Object.keys(urls)).toEqual(['adapter_config.json']);
    expect(Date.parse(expires)).toBeGreaterThan(Date.now());
    const file = await get(new URL(urls['adapter_config.json']).pathname);
    expect([file.statusCode, file.body, file.headers['content-length']]).toEqual([200, 'adapter_config.json', '19']);
  });

  it('by a link that was changed, or whose checkpoint is gone, is refused', async () => {
    await saved(1, 'mine', 'external_weights');
    const listed = `training_runs/${run}/checkpoints/external_weights/mine`;
    const link = new URL((await get(`${listed}/external_weights_urls`)).json().urls['adapter_config.json']).pathname;
    const changed = link.replace(/files\/./, (text) => text.slice(0, -1) + (text.endsWith('A') ? 'B' : 'A'));
    expect((await get(changed)).statusCode).toBe(404);
    expect((await get('/api/v1/files/a.b/c')).statusCode).toBe(404);
    await app.inject({ method: 'DELETE', url: `/api/v1/${listed}` });
    expect((await get(link)).statusCode).toBe(404);
  });

  it('is its owner’s to ask for', async () => {
    await saved(1, 'mine', 'external_weights');
    const asked = await get(
      `training_runs/${run}/checkpoints/external_weights/mine/external_weights_urls`,
      'tml-other',
    );
    expect(asked.statusCode).toBe(404);
  });

  it('is not encrypted', async () => {
    const asked = { model_id: run, seq_id: 1, path: 'a', age_encryption_recipients: ['age1x'] };
    expect((await post('save_weights_external', asked)).json().detail).toContain('not encrypted');
    await saved(2, 'after');
  });
});

describe('a copy', () => {
  const copy = (fields: object, key: string | null = null, once = 'once') =>
    post('copy_weights', fields, key, { 'x-idempotency-key': once });

  it('is of another run, once for each request', async () => {
    const source_path = await saved(1, 'one');
    const first = (await copy({ source_path })).json().tinker_path;
    expect(first).toMatch(/^tinker:\/\/[0-9a-f-]{36}:train:0\/weights\/one$/);
    expect((await copy({ source_path })).json().tinker_path).toBe(first);
    expect((await copy({ source_path, destination_project_id: 'p' }, null, 'another')).json().tinker_path).not.toBe(
      first,
    );
    const named = await copy({ source_path, session_id: session, model_seq_id: 7, ttl_seconds: 3600 });
    expect(named.json().tinker_path).toBe(`tinker://${session}:train:7/weights/one`);
  });

  it('of another account’s weights wants its token', async () => {
    const asked = { session_id: (await post('create_session', {}, 'tml-owner')).json().session_id, model_seq_id: 0 };
    const source_path = await saved(1, 'one');
    const other = await copy({ source_path, ...asked }, 'tml-owner');
    expect(other.statusCode).toBe(404);
    const begun = await post('load_weights', { ...asked, path: source_path }, 'tml-owner');
    expect(begun.statusCode).toBe(404);
    const wrong = await post(
      'load_weights',
      { ...asked, path: source_path, weights_access_token: 'tml-wrong' },
      'tml-owner',
    );
    expect(wrong.statusCode).toBe(404);
  });

  it.each([[{ model_seq_id: 1 }, 'together']])('to %j is refused', async (fields, word) => {
    const source_path = await saved(1, 'one');
    const answer = await copy({ source_path, ...fields });
    expect([answer.statusCode, answer.json().detail]).toEqual([400, expect.stringContaining(word)]);
  });

  it('over a run that lives is refused', async () => {
    const source_path = await saved(1, 'one');
    expect((await copy({ source_path, session_id: session, model_seq_id: 0 })).json().detail).toContain('exists');
  });
});

it('reads another account’s weights by its token', async () => {
  const owner = (await post('create_session', {}, 'tml-owner')).json().session_id;
  const lora = { rank: 8, seed: 11, train_unembed: true, train_mlp: true, train_attn: true };
  const model = { session_id: owner, model_seq_id: 0, base_model: 'demo', lora_config: lora };
  const { model_id } = (await post('create_model', model, 'tml-owner')).json();
  await post('save_weights', { model_id, seq_id: 1, path: 'theirs' }, 'tml-owner');
  await flush();
  const path = `tinker://${model_id}/weights/theirs`;
  const resume = (fields: object) => post('load_weights', { session_id: session, model_seq_id: 5, path, ...fields });
  expect((await resume({})).statusCode).toBe(404);
  expect((await resume({ weights_access_token: 'tml-owner' })).json().model_id).toBe(`${session}:train:5`);
});
