/** What a client hears when there is no room, for its run or for one more request. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { LocalTrainingService } from '../../../../src/training/service.js';
import { FakeSampling } from '../../training/fake-sampling.js';
import { FakeHost, flush } from '../../training/fake-trainer.js';
import { FakeInference } from '../fake-inference.js';
import { gateway } from '../harness.js';

let host: FakeHost;
let training: LocalTrainingService;
let app: FastifyInstance;
let session: string;
let root: string;

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  root = mkdtempSync(join(tmpdir(), 'twinkle-capacity-'));
  host = new FakeHost();
  const inference = new FakeInference();
  const parts = { inference, trainers: host, sampling: new FakeSampling(), checkpointFolder: root };
  training = new LocalTrainingService({ ...parts, rules: { maxRuns: 1, pending: 2 }, nowMs: () => 0 });
  ({ app } = await gateway({ inference, training }));
  session = (await post('create_session', {})).json().session_id;
});
afterEach(async () => {
  training[Symbol.dispose]();
  vi.useRealTimers();
  await app.close();
  rmSync(root, { recursive: true, force: true });
});

async function post(path: string, payload: object) {
  return await app.inject({ method: 'POST', url: `/api/v1/${path}`, payload });
}
async function create(seqId: number) {
  const lora_config = { rank: 8, train_unembed: true, train_mlp: true, train_attn: true };
  const answer = await post('create_model', {
    session_id: session,
    model_seq_id: seqId,
    base_model: 'demo',
    lora_config,
  });
  await flush();
  return answer.json() as { model_id: string; request_id: string };
}
async function retrieve(request_id: string) {
  const answer = post('retrieve_future', { request_id });
  await flush();
  await vi.advanceTimersByTimeAsync(30_000);
  const { statusCode } = await answer;
  return { statusCode, ...(await answer).json() };
}

it('a run that waits for room: paused, and why', async () => {
  const { model_id } = await create(0);
  host.trainer.automatic = false;
  const { request_id } = (await post('optim_step', { model_id, seq_id: 1 })).json();
  await flush();
  const waits = await create(1);
  const trying = { statusCode: 408, type: 'try_again' };
  expect(await retrieve(request_id)).toEqual({ ...trying, request_id, queue_state: 'active' });
  expect(await retrieve(waits.request_id)).toEqual({
    ...trying,
    request_id: waits.request_id,
    queue_state: 'paused_capacity',
    queue_state_reason: '1 runs of demo are trained now, and none of them is idle',
  });
});

it('one request too many: to be sent again, under the same number', async () => {
  const { model_id } = await create(0);
  host.trainer.automatic = false;
  const save = (seq_id: number) => post('save_weights', { model_id, seq_id, path: `at-${seq_id}` });
  for (const seqId of [1, 2]) expect((await save(seqId)).statusCode).toBe(200);
  const refused = await save(3);
  expect([refused.statusCode, refused.headers['retry-after']]).toEqual([429, '1']);
  expect(refused.json()).toEqual({ detail: expect.stringContaining('2 requests of this key wait') });
  await flush();
  host.trainer.sent.at(-1)?.answer.reject(new Error('no'));
  await flush();
  expect((await save(3)).statusCode).toBe(200);
});
