import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import { readPath } from '../../../src/training/checkpoint-path.js';
import { LocalTrainingService } from '../../../src/training/service.js';
import type { SaveRequest } from '../../../src/training/types/checkpoints.js';
import type { NewRun } from '../../../src/training/types.js';
import { FakeInference } from '../gateway/fake-inference.js';
import { FakeSampling, sampleRequest } from './fake-sampling.js';
import { FakeHost, flush, newRun } from './fake-trainer.js';

let root: string;
let host: FakeHost;
let sampling: FakeSampling;
let service: LocalTrainingService;
let session: string;
let run: string;
const NEW = { idempotencyKey: null, userMetadata: null, displayName: null };
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'twinkle-saving-'));
  host = new FakeHost();
  sampling = new FakeSampling();
  host.trainer.files = [];
  const parts = { inference: new FakeInference(), trainers: host, sampling, checkpointFolder: join(root, 'c') };
  service = new LocalTrainingService({ ...parts, nowMs: () => 0 });
  session = service.createSession('t', NEW).id;
  ({ run } = service.createRun('t', spec()));
});
afterEach(() => {
  service[Symbol.dispose]();
  rmSync(root, { recursive: true, force: true });
});

const spec = (changes: Partial<NewRun> = {}): NewRun => newRun(session, changes);
const ask = (seqId: number, name: string, changes: Partial<SaveRequest> = {}): string =>
  service.save('t', {
    run,
    seqId,
    kind: 'weights',
    name,
    ttlSeconds: null,
    overwrite: false,
    userMetadata: null,
    ...changes,
  });
async function answer(id: string): Promise<Record<string, unknown>> {
  await flush();
  const got = service.request('t', id)?.answer;
  if (got == null) throw new Error('no answer');
  return 'error' in got ? { ...got } : JSON.parse(Buffer.from(got.bytes).toString());
}

it('saves in its turn, and tells the path', async () => {
  const path = `tinker://${run}/weights/one`;
  expect(await answer(ask(1, 'one'))).toEqual({ path, size_bytes: 7, type: 'save_weights' });
  expect(service.checkpoints.readable('t', readPath(path))).toMatchObject({
    bytes: 7,
    run: { rank: 8, baseModel: 'demo' },
  });
  expect(await answer(ask(2, 'one'))).toEqual({ error: expect.stringContaining('another name'), category: 'user' });
  expect(await answer(ask(3, 'one', { overwrite: true }))).toMatchObject({ path });
  expect(service.checkpoints.of('t')).toHaveLength(1);
  expect(() => ask(4, '../one')).toThrow('letters, digits');
});

it('says so when the disk is full, and the run goes on', async () => {
  await flush();
  host.trainer.automatic = false;
  const id = ask(1, 'one');
  await flush();
  host.trainer.sent.at(-1)?.answer.reject(new TwinkleError('STORAGE_FAILED', 'no space left'));
  expect(await answer(id)).toEqual({ error: 'no space left', category: 'server' });
  expect([service.checkpoints.of('t'), service.run('t', run).corrupted]).toEqual([[], false]);
  host.trainer.automatic = true;
  expect(await answer(ask(2, 'one'))).toMatchObject({ type: 'save_weights' });
});

it('goes on in a new run, and in place', async () => {
  await answer(ask(1, 'one'));
  const from = readPath(`tinker://${run}/weights/one`);
  const resumed = service.resume('t', {
    session,
    seqId: 1,
    from,
    reader: 't',
    optimizer: true,
    userMetadata: { b: 2 },
  });
  expect(await answer(resumed.requestId)).toEqual({ model_id: `${session}:train:1`, type: 'load_weights' });
  expect(service.run('t', resumed.run)).toMatchObject({ rank: 8, unembed: false, userMetadata: { b: 2 } });
  const { folder } = service.checkpoints.readable('t', from);
  expect(host.trainer.sent.at(-1)).toMatchObject({
    method: 'train_load',
    params: { run: resumed.run, folder, optimizer: true },
  });
  const loaded = service.load('t', { run, seqId: 2, from, reader: 't', optimizer: false });
  expect(await answer(loaded)).toMatchObject({ model_id: run, type: 'load_weights' });
  const { run: other } = service.createRun('t', spec({ seqId: 5, rank: 4 }));
  expect(() => service.load('t', { run: other, seqId: 1, from, reader: 't', optimizer: false })).toThrow(
    'begin a run from it',
  );
});

it('goes on from nobody else’s', async () => {
  await answer(ask(1, 'one'));
  const from = readPath(`tinker://${run}/weights/one`);
  const { id } = service.createSession('o', NEW);
  const asked = { session: id, seqId: 0, from, reader: 'o', optimizer: false, userMetadata: null };
  const resume = () => service.resume('o', asked);
  expect(resume).toThrow('no checkpoint');
  await service.checkpoints.publish('t', from, true);
  expect(resume().run).toBe(`${id}:train:0`);
});

it('saves for samplers without the optimizer, and for downloads', async () => {
  const sampled = `tinker://${run}/sampler_weights/one`;
  expect(await answer(ask(1, 'one', { kind: 'sampler_weights' }))).toMatchObject({ path: sampled });
  expect(host.trainer.sent.at(-1)?.params).toMatchObject({ optimizer: false, handed_over: false });
  const external = await answer(ask(2, 'one', { kind: 'external_weights' }));
  expect(external).toMatchObject({ path: `tinker://${run}/external_weights/one`, size_bytes: 7 });
});

it('samples from what was saved, until it is removed', async () => {
  const { path } = await answer(ask(1, 'one', { kind: 'sampler_weights' }));
  const from = readPath(String(path));
  const sampler = service.createSampler('t', { session, seqId: 0, of: { from } });
  expect(service.sampler('t', sampler.id)).toEqual({ id: sampler.id, baseModel: 'demo', from });
  service.sample('t', sampleRequest(sampler.id, { seqId: 1n }));
  const { folder } = service.checkpoints.readable('t', from);
  expect(sampling.told).toEqual([['generate', expect.stringMatching(/^tinker:.*one@[0-9a-f]+$/), folder]]);
  await service.checkpoints.remove('t', from);
  expect(() => service.sample('t', sampleRequest(sampler.id, { seqId: 2n }))).toThrow('there is no checkpoint');
  expect(() => service.createSampler('t', { session, seqId: 1, of: { from } })).toThrow('there is no checkpoint');
});
