/** The training service over a bucket of a real S3 server. Only the ranks are played. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { BucketCheckpoints } from '../../src/runtime/bucket-checkpoints.js';
import { BucketTransfer } from '../../src/serving/bucket/bucket-transfer.js';
import { openS3 } from '../../src/serving/bucket/s3-objects.js';
import { readPath } from '../../src/training/checkpoint-path.js';
import { LocalTrainingService } from '../../src/training/service.js';
import type { SaveRequest } from '../../src/training/types/checkpoints.js';
import { readBucketUrl } from '../../src/util/bucket-url.js';
import { Moto } from '../support/moto.js';
import { FakeInference } from '../unit/gateway/fake-inference.js';
import { FakeSampling, sampleRequest } from '../unit/training/fake-sampling.js';
import { FakeHost, flush, newRun } from '../unit/training/fake-trainer.js';

const NEW = { idempotencyKey: null, userMetadata: null, displayName: null };
const FILES = ['adapter_config.json', 'adapter_model.safetensors', 'manifest.json', 'optimizer.safetensors'];

interface Server extends AsyncDisposable {
  readonly home: string;
  readonly host: FakeHost;
  readonly sampling: FakeSampling;
  readonly service: LocalTrainingService;
  readonly logged: string[];
}

let moto: Moto;
let prefix: string;
beforeAll(async () => {
  moto = await Moto.start();
  for (const [name, value] of Object.entries(moto.env)) vi.stubEnv(name, value);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await moto[Symbol.asyncDispose]();
});
beforeEach(() => {
  prefix = `team/${randomBytes(4).toString('hex')}`;
});
afterEach(() => moto.allow());

/** A server of its own home, as if on a machine of its own. */
async function start(): Promise<Server> {
  const home = mkdtempSync(join(tmpdir(), 'twinkle-bucket-checkpoints-'));
  const place = readBucketUrl(moto.place(prefix));
  if (place === null) throw new Error('no place');
  const logged: string[] = [];
  const log = (fields: object, event: string) => void logged.push(`${event} ${JSON.stringify(fields)}`);
  const logger = { debug: log, info: log, warn: log, error: log, child: () => logger } as never;
  const store = await BucketCheckpoints.open({ place, root: home, log: logger });
  const host = new FakeHost();
  host.trainer.files = FILES;
  const sampling = new FakeSampling();
  const parts = { inference: new FakeInference(), trainers: host, sampling, log: logger, nowMs: () => 0 };
  const service = new LocalTrainingService({ ...parts, checkpointFolder: home, checkpointStore: store });
  await service.restore();
  const dispose = async (): Promise<void> => {
    await service.close();
    await store[Symbol.asyncDispose]();
    rmSync(home, { recursive: true, force: true });
  };
  return { home, host, sampling, service, logged, [Symbol.asyncDispose]: dispose };
}

function begin({ service }: Server, tenant = 't'): { session: string; run: string } {
  const session = service.createSession(tenant, NEW).id;
  return { session, run: service.createRun(tenant, newRun(session)).run };
}
async function answer({ service }: Server, id: string): Promise<Record<string, unknown>> {
  const future = service.request('t', id);
  if (future === null) throw new Error('no such request');
  await future.wait(20_000);
  const got = service.request('t', id)?.answer;
  if (got == null) throw new Error('no answer');
  return 'error' in got ? { ...got } : JSON.parse(Buffer.from(got.bytes).toString());
}
async function save(server: Server, run: string, seqId: number, name: string, changes: Partial<SaveRequest> = {}) {
  const request = {
    run,
    seqId,
    kind: 'weights',
    name,
    ttlSeconds: null,
    overwrite: false,
    userMetadata: null,
  } as const;
  return await answer(server, server.service.save('t', { ...request, ...changes }));
}
const objects = async (): Promise<string[]> => (await moto.keys(prefix)).map((key) => key.slice(prefix.length + 1));

it('a server with an empty home sees, loads and samples what another one saved', async () => {
  await using first = await start();
  const { run } = begin(first);
  const { path } = await save(first, run, 1, 'one', { userMetadata: { a: 1 } });
  const [record, ...files] = (await objects()).sort((a, b) => a.length - b.length);
  expect(record).toBe(`t/${run}/weights/one.json`);
  expect(files.map((key) => key.split('/').at(-1)).sort()).toEqual(FILES);
  expect(first.logged.filter((line) => line.startsWith('checkpoint_uploaded'))).toHaveLength(1);

  await using second = await start();
  const from = readPath(String(path));
  const [seen] = second.service.checkpoints.of('t');
  const [kept] = first.service.checkpoints.of('t');
  expect({ ...seen, folder: '' }).toEqual({ ...kept, folder: '' });
  expect(existsSync(seen?.folder ?? '')).toBe(false);
  const session = second.service.createSession('t', NEW).id;
  // Three at once: fetched once.
  const resume = (seqId: number) =>
    second.service.resume('t', { session, seqId, from, reader: 't', optimizer: true, userMetadata: null });
  const both = [resume(0), resume(1)];
  const sampler = second.service.createSampler('t', { session, seqId: 0, of: { from } });
  second.service.sample('t', sampleRequest(sampler.id, { seqId: 1n }));
  for (const { requestId } of both) expect(await answer(second, requestId)).toMatchObject({ type: 'load_weights' });
  const folder = seen?.folder ?? '';
  expect(folder.startsWith(second.home)).toBe(true);
  for (const name of FILES) expect(readFileSync(join(folder, name), 'utf8')).toBe(name);
  expect(second.host.trainer.sent.filter(({ method }) => method === 'train_load').map(({ params }) => params)).toEqual(
    both.map((one) => ({ run: one.run, folder, optimizer: true })),
  );
  await flush();
  expect(second.sampling.told).toEqual([['generate', expect.stringContaining('one@'), folder]]);
  expect(readdirSync(join(folder, '..'))).toHaveLength(1);
});

it('a request that follows a load waits until the weights are here', async () => {
  await using first = await start();
  const { path } = await save(first, begin(first).run, 1, 'one');
  await using second = await start();
  const { run } = begin(second);
  await flush();
  const from = readPath(String(path));
  const loaded = second.service.load('t', { run, seqId: 1, from, reader: 't', optimizer: true });
  const adam = { learning_rate: 1, beta1: 0.9, beta2: 0.95, eps: 1e-12, weight_decay: 0, grad_clip_norm: 0 };
  const stepped = second.service.step('t', { run, seqId: 2, adam });
  expect(await answer(second, loaded)).toMatchObject({ model_id: run });
  expect(await answer(second, stepped)).toEqual({ metrics: { 'grad_norm:mean': 2 } });
  expect(second.host.trainer.methods()).toEqual(['train_create', 'train_load', 'train_step']);
});

it('an upload that is refused fails the save, leaves nothing, and the run goes on', async () => {
  await using server = await start();
  const { run } = begin(server);
  const refused = { error: expect.stringMatching(/store of checkpoints.*denies/), category: 'server' };
  await moto.deny('s3:PutObject', '*/optimizer.safetensors');
  expect(await save(server, run, 1, 'one')).toEqual(refused);
  expect([
    server.service.checkpoints.of('t'),
    await objects(),
    readdirSync(join(server.home, 't', run, 'weights')),
  ]).toEqual([[], [], []]);
  // All but the record came.
  await moto.deny('s3:PutObject', '*/weights/one.json');
  expect(await save(server, run, 2, 'one')).toEqual(refused);
  expect([server.service.checkpoints.of('t'), await objects()]).toEqual([[], []]);
  await moto.allow();
  expect(await save(server, run, 3, 'one')).toMatchObject({ type: 'save_weights' });
  expect(server.service.run('t', run).corrupted).toBe(false);
  expect(server.logged.join()).not.toMatch(/geheim|AKIA|Signature/i);
});

it('an overwrite that fails leaves the older one as it was; one that does not, nothing of it', async () => {
  await using server = await start();
  const { run } = begin(server);
  await save(server, run, 1, 'one');
  const before = await objects();
  await moto.deny('s3:PutObject', '*/weights/one.json');
  expect(await save(server, run, 2, 'one', { overwrite: true })).toMatchObject({ category: 'server' });
  await moto.allow();
  expect(await objects()).toEqual(before);
  const [older] = server.service.checkpoints.of('t');
  expect(existsSync(older?.folder ?? '')).toBe(true);
  await save(server, run, 3, 'one', { overwrite: true });
  const after = await objects();
  expect(after).toHaveLength(before.length);
  expect(after.filter((key) => before.includes(key))).toEqual([`t/${run}/weights/one.json`]);
  await using other = await start();
  expect(other.service.checkpoints.of('t').map(({ folder }) => folder.split('@')[1])).toEqual(
    server.service.checkpoints.of('t').map(({ folder }) => folder.split('@')[1]),
  );
});

it('what is deleted, published, given a time and copied is so in the bucket', async () => {
  await using server = await start();
  const { run, session } = begin(server);
  for (const [at, name] of ['one', 'two', 'gone'].entries()) await save(server, run, at + 1, name);
  const path = (name: string, of = run) => readPath(`tinker://${of}/weights/${name}`);
  const { checkpoints } = server.service;
  await checkpoints.publish('t', path('one'), true);
  await checkpoints.keepFor('t', path('two'), 60);
  await checkpoints.remove('t', path('gone'));
  const copyRun = `${session}:train:9`;
  await using second = await start(); // which has no files here to send again
  await second.service.checkpoints.copy('t', { from: path('one'), run: copyRun, ttlSeconds: null, reader: 't' });
  await checkpoints.remove('t', path('one'));
  await using third = await start();
  const seen = third.service.checkpoints.of('t');
  expect(seen.map((one) => [one.path.run, one.path.name, one.expires === null]).sort()).toEqual([
    [run, 'two', false],
    [copyRun, 'one', true],
  ]);
  expect((await objects()).filter((key) => key.includes('gone'))).toEqual([]);
  await third.service.checkpoints.bring('t', path('one', copyRun));
  const [copy] = third.service.checkpoints.of('t').filter((one) => one.path.run === copyRun);
  expect(readFileSync(join(copy?.folder ?? '', 'manifest.json'), 'utf8')).toBe('manifest.json');
  const { publish } = third.service.checkpoints;
  await moto.deny('s3:PutObject', '*/two.json');
  await expect(publish.call(third.service.checkpoints, 't', path('two'), true)).rejects.toMatchObject({
    code: 'STORAGE_FAILED',
  });
  expect(third.service.checkpoints.readable('t', path('two')).public).toBe(false);
});

it('what is torn, foreign or not what its name says is not listed', async () => {
  await using server = await start();
  const { run } = begin(server);
  await save(server, run, 1, 'one');
  await save(server, run, 2, 'torn');
  const place = readBucketUrl(moto.place(prefix));
  if (place === null) throw new Error('no place');
  const store = await openS3();
  const transfer = new BucketTransfer(store, place, new AbortController().signal);
  const above = `t/${run}/weights`;
  const record = await transfer.readText(`${above}/one.json`);
  const [lost] = (await objects()).filter((key) => key.includes('torn@'));
  await transfer.remove(lost ?? '');
  await transfer.writeText(`${above}/other.json`, record);
  await transfer.writeText(`o/${run}/weights/one.json`, record);
  await transfer.writeText(`${above}/half.json`, record.slice(0, 40));
  await transfer.writeText(`${above}/up.json`, record.replaceAll('"one', '"up').replace(/"up@/, '"../up@'));
  await transfer.writeText(`${above}/files@0123456789ab/adapter_config.json`, 'no record');
  await transfer.writeText('README.md', 'ours');
  await using other = await start();
  expect(other.service.checkpoints.of('t').map(({ path }) => path.name)).toEqual(['one']);
  expect(other.service.checkpoints.of('o')).toEqual([]);
  expect(other.logged.some((line) => line.startsWith('checkpoints_unreadable') && line.includes('"count":5'))).toBe(
    true,
  );
  // A day later files without a record go; those of a record that this version cannot read stay.
  const before = await objects();
  const swept = (key: string): boolean => key.includes('/files@');
  expect(before.filter(swept)).toHaveLength(1);
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 25 * 3_600_000 });
  try {
    await using late = await start();
    await vi.waitFor(() => expect(late.logged.join()).toContain('torn_checkpoints_removed {"objects":1,"removed":1}'));
  } finally {
    vi.useRealTimers();
  }
  expect(await objects()).toEqual(before.filter((key) => !swept(key)));
  store.close();
});

it('large files go and are copied in parts', async () => {
  const place = readBucketUrl(moto.place(prefix));
  if (place === null) throw new Error('no place');
  const store = await openS3();
  const folder = mkdtempSync(join(tmpdir(), 'twinkle-parts-'));
  const content = randomBytes((12 << 20) + 7);
  writeFileSync(join(folder, 'large'), content);
  writeFileSync(join(folder, 'empty'), '');
  const transfer = new BucketTransfer(store, place, new AbortController().signal, { send: 5 << 20, copy: 5 << 20 });
  await transfer.upload('x/large', join(folder, 'large'), content.length);
  await transfer.upload('x/empty', join(folder, 'empty'), 0);
  await transfer.copy('x/large', 'y/large', content.length);
  await transfer.copy('x/empty', 'y/empty', 0);
  const found = await transfer.listBelow('y');
  rmSync(join(folder, 'large'));
  await transfer.download(found, folder);
  expect(readFileSync(join(folder, 'large')).equals(content)).toBe(true);
  // Two parts and a little: an etag of parts says how many they were.
  expect(found.map(({ etag }) => /-(\d+)"$/.exec(etag)?.[1])).toEqual([undefined, '3']);
  rmSync(folder, { recursive: true });
  store.close();
});

it('a bucket that is not there, or may not be written, is said at the start', async () => {
  const open = async (url: string) =>
    await BucketCheckpoints.open({ place: readBucketUrl(url) as never, root: '/nowhere', log: { warn() {} } as never });
  await expect(open('s3://nobodys/x')).rejects.toMatchObject({
    code: 'STORAGE_FAILED',
    message: expect.stringMatching(/`s3:\/\/nobodys\/x`: the bucket does not exist; .*--checkpoint-store/),
  });
  await moto.deny('s3:PutObject', '*');
  await expect(open(moto.place(prefix))).rejects.toThrow('the bucket denies this server access to it');
  await moto.allow();
  await moto.deny('s3:DeleteObject', '*');
  await expect(open(moto.place(prefix))).rejects.toThrow('the bucket denies this server access to it');
});
