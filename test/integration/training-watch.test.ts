/** What is seen of training from outside: the status, the metrics, the log and the admin socket of a server whose ranks are real (engine mock). */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { askRun, askRuns, askStatus } from '../../src/cli/admin.js';
import { createServer, type Server } from '../../src/runtime/embed.js';
import type { HeadStatus, InstanceFile } from '../../src/runtime/types.js';
import { forwardBackward, wirePost } from '../support/tinker-wire.js';

let home: string;
let server: Server;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'twinkle-watch-'));
});
afterEach(() => {
  rmSync(home, { recursive: true, force: true });
});

async function send(path: string, body: object): Promise<Response> {
  const headers = { 'content-type': 'application/json' };
  return await fetch(`${server.url}/api/v1/${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
}

async function post(path: string, body: object): Promise<Record<string, string>> {
  const answer = await send(path, body);
  expect(answer.status).toBe(200);
  return (await answer.json()) as Record<string, string>;
}

/** Resolves when the request has its answer. 408: a long poll ended before. */
async function answered(requestId: string | undefined): Promise<void> {
  let status = 408;
  while (status === 408) ({ status } = await send('retrieve_future', { request_id: requestId }));
  expect(status).toBe(200);
}

/** Resolves when the request has failed for that reason. */
async function failedFor(requestId: string | undefined, reason: RegExp): Promise<void> {
  let answer = await send('retrieve_future', { request_id: requestId });
  while (answer.status === 408) answer = await send('retrieve_future', { request_id: requestId });
  expect(await answer.json()).toMatchObject({ error: expect.stringMatching(reason) });
}

const metrics = async (): Promise<string[]> =>
  (await (await fetch(`${server.url}/metrics`)).text()).split('\n').filter((line) => /^twinkle_training_/.test(line));

it('shows who trains what on which device, from the first run to its session’s end', async () => {
  const env = { ...process.env, TWINKLE_FAKE_DEVICES: 'gpu:1' };
  await using started = await createServer({
    model: 'mock',
    engine: 'mock',
    home,
    port: 0,
    gpus: '0',
    noAuth: true,
    env,
  });
  server = started;
  const status = (): HeadStatus => server.status();
  expect(status().training).toBeUndefined();
  const { session_id } = await post('create_session', {});
  const made = await post('create_model', {
    session_id,
    model_seq_id: 0,
    base_model: 'mock',
    lora_config: { rank: 8, seed: 1, train_unembed: true, train_mlp: true, train_attn: true },
  });
  const id = made.model_id as string;
  expect(await metrics()).toContain('twinkle_training_runs{model="mock",state="starting"} 1');
  const adam_params = { learning_rate: 1e-3, beta1: 0.9, beta2: 0.95, eps: 1e-12, weight_decay: 0, grad_clip_norm: 0 };
  for (const seq_id of [1, 2]) {
    await answered((await post('optim_step', { model_id: id, seq_id, adam_params })).request_id);
  }

  const [replica] = status().models[0]?.replicas ?? [];
  expect(status().training).toEqual([
    {
      model: 'mock',
      state: 'ready',
      reason: null,
      epoch: 1,
      restarts: 0,
      pids: [expect.any(Number)],
      devices: replica?.ranks.flatMap(({ devices }) => devices),
      runs: 1,
    },
  ]);
  expect(status().training?.[0]?.devices).toEqual([expect.stringMatching(/^GPU-/)]);

  const [name = ''] = readdirSync(join(home, 'instances'));
  const file = JSON.parse(readFileSync(join(home, 'instances', name), 'utf8')) as InstanceFile;
  const row = { id, model: 'mock', rank: 8, state: 'ready', step: 2, steps: 2, tokens: 0, loss: null };
  expect(await askRuns(file)).toMatchObject({ runs: [row] });
  expect(await askRun(file, id)).toMatchObject({ ...row, curve: [] });
  expect(await askStatus(file)).toMatchObject({ training: status().training });

  const lines = await metrics();
  expect(lines).toContain('twinkle_training_steps_total{model="mock"} 2');
  expect(lines).toContain(`twinkle_training_run_steps_total{model="mock",run="${id}"} 2`);
  expect(lines).toContain('twinkle_training_step_seconds_count{model="mock"} 2');
  expect(lines).toContain('twinkle_training_queue_seconds_count{model="mock"} 2');

  const log = readFileSync(join(file.logs, 'head.log'), 'utf8').trimEnd().split('\n');
  const steps = log.map((line) => JSON.parse(line)).filter(({ event }) => event === 'training_step');
  expect(steps).toEqual(
    [1, 2].map((step) => ({
      level: 30,
      time: expect.any(String),
      event: 'training_step',
      run: id,
      model: 'mock',
      step,
      loss: null,
      loss_per_token: null,
      tokens: 0,
      tokens_per_s: 0,
      step_ms: expect.any(Number),
      queue_ms: expect.any(Number),
      grad_norm: null,
    })),
  );

  await post(`sessions/${session_id}/finish`, {});
  expect(await askRuns(file)).toEqual({ runs: [] });
  expect((await metrics()).filter((line) => line.includes(id))).toEqual([]);
  expect(await metrics()).toContain('twinkle_training_steps_total{model="mock"} 2');
  expect(await askRun(file, id)).toBeNull();
});

it('trains on devices of its own, one rank on each, from the start', async () => {
  const env = { ...process.env, TWINKLE_FAKE_DEVICES: 'gpu:3' };
  const where = { home, port: 0, gpus: '0-2', trainGpus: '1,2', noAuth: true, env };
  await using started = await createServer({ model: 'mock', engine: 'mock', ...where });
  server = started;
  const [training] = server.status().training ?? [];
  expect(training).toMatchObject({ model: 'mock', runs: 0, pids: [expect.any(Number), expect.any(Number)] });
  const sampling = server.status().models[0]?.replicas[0]?.ranks.flatMap(({ devices }) => devices) ?? [];
  expect(new Set([...sampling, ...(training?.devices ?? [])]).size).toBe(3);
  const { session_id } = await post('create_session', {});
  const lora_config = { rank: 8, train_unembed: true, train_mlp: true, train_attn: true };
  const made = await post('create_model', { session_id, model_seq_id: 0, base_model: 'mock', lora_config });
  await answered(made.request_id);
  const adam_params = { learning_rate: 1, beta1: 0, beta2: 0, eps: 1, weight_decay: 0, grad_clip_norm: 0 };
  await answered((await post('optim_step', { model_id: made.model_id as string, seq_id: 1, adam_params })).request_id);
  process.kill(training?.pids[1] as number, 'SIGKILL');
  await failedFor(
    (await post('optim_step', { model_id: made.model_id as string, seq_id: 2, adam_params })).request_id,
    /SIGKILL|lost its weights/,
  );
});

it('parks a run that is idle, ends its ranks, goes on when something is asked of it, and lets nobody wait for its step', async () => {
  const where = { home, port: 0, trainingIdleTimeout: 1, maxTrainingRuns: 1, cpu: true, noAuth: true };
  await using started = await createServer({ model: 'mock', engine: 'mock', ...where });
  server = started;
  const { session_id } = await post('create_session', {});
  const lora_config = { rank: 8, train_unembed: true, train_mlp: true, train_attn: true };
  const made = await post('create_model', { session_id, model_seq_id: 0, base_model: 'mock', lora_config });
  const adam_params = { learning_rate: 1, beta1: 0, beta2: 0, eps: 1, weight_decay: 0, grad_clip_norm: 0 };
  const step = async (seq_id: number): Promise<void> =>
    answered((await post('optim_step', { model_id: made.model_id as string, seq_id, adam_params })).request_id);
  await step(1);
  const [pid] = server.status().training?.[0]?.pids ?? [];
  await vi.waitFor(() => expect(server.status().training).toMatchObject([{ state: 'stopped', pids: [null] }]), 20_000);
  expect(() => process.kill(pid as number, 0)).toThrow('ESRCH');
  const [name = ''] = readdirSync(join(home, 'instances'));
  const file = JSON.parse(readFileSync(join(home, 'instances', name), 'utf8')) as InstanceFile;
  expect(await askRuns(file)).toMatchObject({ runs: [{ state: 'parked', step: 1 }] });
  expect(await metrics()).toContain('twinkle_training_runs{model="mock",state="parked"} 1');
  await step(2);
  expect(server.status().training).toMatchObject([{ state: 'ready', epoch: 2, runs: 1 }]);
  expect(await askRuns(file)).toMatchObject({ runs: [{ state: 'ready', step: 2 }] });

  // A gradient without its step keeps the only place, and others waiting: not for longer than that.
  const pass = async (seqId: number): Promise<void> => {
    const { text } = await wirePost(
      server.url as string,
      'forward_backward',
      forwardBackward(made.model_id as string, seqId),
    );
    await answered((JSON.parse(text) as { request_id: string }).request_id);
  };
  await pass(3);
  const other = { session_id, model_seq_id: 1, base_model: 'mock', lora_config };
  await answered((await post('create_model', other)).request_id);
  await failedFor(
    (await post('optim_step', { model_id: made.model_id as string, seq_id: 4, adam_params })).request_id,
    /^the gradient of run `.*:train:0` was dropped: .* send the forward_backwards of this step again/,
  );
  await pass(5);
  await step(6);
  expect(await askRuns(file)).toMatchObject({
    runs: [{ state: 'ready', steps: 3, datums: 2 }, { state: 'parked' }],
  });
});
