/** Runs whose checkpoints are kept in a store that is slow, or away. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { readPath } from '../../../src/training/checkpoint-path.js';
import type { TrainingRules } from '../../../src/training/limits.js';
import { LocalTrainingService } from '../../../src/training/service.js';
import { deferred } from '../../../src/util/deferred.js';
import { FakeInference } from '../gateway/fake-inference.js';
import { FakeSampling, sampleRequest } from './fake-sampling.js';
import { FakeStore, failing } from './fake-store.js';
import { FakeHost, flush, newRun } from './fake-trainer.js';

const adam = { learning_rate: 1, beta1: 0.9, beta2: 0.95, eps: 1e-12, weight_decay: 0, grad_clip_norm: 0 };
const STEPPED = { metrics: { 'grad_norm:mean': 2 } };
let root: string;
let host: FakeHost;
let sampling: FakeSampling;
let store: FakeStore;
let service: LocalTrainingService;
let session: string;
let run: string;
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'twinkle-to-store-'));
  store = new FakeStore();
  await open();
});
afterEach(() => {
  service[Symbol.dispose]();
  rmSync(root, { recursive: true, force: true });
});

async function open(rules: Partial<TrainingRules> = {}): Promise<void> {
  host = new FakeHost();
  host.trainer.files = ['adapter_config.json'];
  sampling = new FakeSampling();
  const parts = { inference: new FakeInference(), trainers: host, sampling, checkpointFolder: join(root, 'c') };
  service = new LocalTrainingService({ ...parts, checkpointStore: store, rules, nowMs: () => 0 });
  await service.restore();
  session = service.createSession('t', { idempotencyKey: null, userMetadata: null, displayName: null }).id;
  ({ run } = service.createRun('t', newRun(session)));
  await flush();
}
/** A server whose disk was wiped, and what the one before it saved. */
async function elsewhere(rules: Partial<TrainingRules> = {}) {
  const saved = await answer(save(1, 'one'));
  service[Symbol.dispose]();
  rmSync(join(root, 'c'), { recursive: true });
  await open(rules);
  return readPath(String(saved?.path));
}
const save = (seqId: number, name: string): string => {
  const rest = { ttlSeconds: null, overwrite: false, userMetadata: null };
  return service.save('t', { run, seqId, kind: 'weights', name, ...rest });
};
/** Null: it has not come. */
async function answer(id: string): Promise<Record<string, unknown> | null> {
  await flush();
  const got = service.request('t', id)?.answer ?? null;
  if (got === null) return null;
  return 'error' in got ? { ...got } : JSON.parse(Buffer.from(got.bytes).toString());
}
/** What it comes to: files take their time to be on disk. */
async function outcome(id: string): Promise<Record<string, unknown> | null> {
  await service.request('t', id)?.wait(5000);
  return await answer(id);
}

it('a run goes on while its save is on the way, and its name is taken', async () => {
  const held = deferred<void>();
  for (let puts = 0; puts < 3; puts++) store.first('put', () => held.promise);
  const saved = save(1, 'one');
  const others = [save(2, 'two'), save(3, 'three')]; // more than the ranks have at a time
  const stepped = service.step('t', { run, seqId: 4, adam });
  const twice = save(5, 'one');
  const other = save(6, 'four');
  expect([await answer(stepped), await answer(saved)]).toEqual([STEPPED, null]);
  expect(await answer(twice)).toMatchObject({ error: expect.stringContaining('take another name'), category: 'user' });
  expect(await answer(other)).toMatchObject({ type: 'save_weights' });
  held.resolve();
  for (const id of [saved, ...others]) expect(await answer(id)).toMatchObject({ type: 'save_weights' });
});

it('a name whose save failed is free', async () => {
  store.first('put', failing());
  expect(await answer(save(1, 'one'))).toEqual({ error: 'the store is away', category: 'server' });
  expect(await answer(save(2, 'one'))).toMatchObject({ type: 'save_weights' });
  expect(service.run('t', run).corrupted).toBe(false);
});

it('what follows a load waits for the weights, and goes on without them when they do not come', async () => {
  const from = await elsewhere();
  const held = deferred<void>();
  store.first('fetch', () => held.promise);
  const load = (seqId: number) => service.load('t', { run, seqId, from, reader: 't', optimizer: true });
  const [loaded, stepped] = [load(1), service.step('t', { run, seqId: 2, adam })];
  expect([await answer(loaded), await answer(stepped), host.trainer.methods()]).toEqual([null, null, ['train_create']]);
  held.reject(new Error('cut'));
  expect([await answer(loaded), await answer(stepped)]).toEqual([
    expect.objectContaining({ error: expect.stringContaining('cut') }),
    STEPPED,
  ]);
  expect(await outcome(load(3))).toMatchObject({ type: 'load_weights' });
  expect(host.trainer.methods()).toEqual(['train_create', 'train_step', 'train_load']);
});

it('a run that ends while it waits for weights is not loaded', async () => {
  const from = await elsewhere();
  const held = deferred<void>();
  store.first('fetch', () => held.promise);
  const asked = { session, seqId: 1, from, reader: 't', optimizer: true, userMetadata: null };
  const { requestId } = service.resume('t', asked);
  service.load('t', { run, seqId: 1, from, reader: 't', optimizer: true });
  expect(await answer(requestId)).toBeNull();
  service.finish('t', session);
  held.resolve();
  await service.checkpoints.bring('t', from);
  await flush();
  expect(host.trainer.methods()).toEqual(['train_create', 'train_drop']);
});

it('a run whose ranks are gone does not wait for weights first', async () => {
  const from = await elsewhere();
  const held = deferred<void>();
  store.first('fetch', () => held.promise);
  const loaded = service.load('t', { run, seqId: 1, from, reader: 't', optimizer: true });
  host.trainer.gone = true;
  expect(service.run('t', run).corrupted).toBe(true);
  expect(await answer(loaded)).toMatchObject({ error: expect.stringContaining('lost its weights') });
  held.resolve();
  await service.checkpoints.bring('t', from);
});

it('a new run from weights that do not come says why, and its number is free', async () => {
  const from = await elsewhere();
  store.first('fetch', failing());
  const resume = () =>
    service.resume('t', { session, seqId: 1, from, reader: 't', optimizer: true, userMetadata: null });
  expect(await answer(resume().requestId)).toEqual({ error: 'the store is away', category: 'server' });
  expect(await outcome(resume().requestId)).toMatchObject({ type: 'load_weights' });
});

it('samples begin when their weights are here', async () => {
  const from = await elsewhere();
  const held = deferred<void>();
  store.first('fetch', () => held.promise);
  const { id } = service.createSampler('t', { session, seqId: 0, of: { from } });
  service.sample('t', sampleRequest(id, { seqId: 1n }));
  await flush();
  expect(sampling.told).toEqual([]);
  held.resolve();
  await vi.waitFor(() => expect(sampling.told).toHaveLength(1));
  const { folder } = service.checkpoints.readable('t', from);
  expect(sampling.told).toEqual([['generate', expect.stringContaining('one@'), folder]]);
});

it('a run that is parked while its load waits goes on with that load', async () => {
  const from = await elsewhere({ maxRuns: 1 });
  const held = deferred<void>();
  store.first('fetch', () => held.promise);
  const loaded = service.load('t', { run, seqId: 1, from, reader: 't', optimizer: true });
  service.createRun('t', newRun(session, { seqId: 1 }));
  await flush();
  const record = join(root, 'c', 't', run, 'parked', 'run.json');
  expect(JSON.parse(readFileSync(record, 'utf8'))).toMatchObject({ next: 1 });
  held.resolve();
  expect(await outcome(loaded)).toMatchObject({ type: 'load_weights' });
  expect(host.trainer.methods().slice(-2)).toEqual(['train_load', 'train_load']);
});
