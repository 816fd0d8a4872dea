/** Checkpoints over a store that is played; over a real one: test/integration/bucket-checkpoints.test.ts. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import { CheckpointFiles } from '../../../src/training/checkpoint-files.js';
import type { CheckpointPath } from '../../../src/training/checkpoint-path.js';
import { Checkpoints } from '../../../src/training/checkpoints.js';
import { TenantCount } from '../../../src/training/limits.js';
import { NamedCheckpoints } from '../../../src/training/named-checkpoints.js';
import type { Checkpoint } from '../../../src/training/types/checkpoints.js';
import { deferred } from '../../../src/util/deferred.js';
import { FakeStore, failing } from './fake-store.js';
import { flush } from './fake-trainer.js';

const RUN = '41e19319-58e8-4f2a-9aa3-daf341272b75:train:0';
let root: string;
let now: number;
let store: FakeStore;
let all: Checkpoints;
let named: NamedCheckpoints;
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'twinkle-named-'));
  now = 1_000_000;
  store = new FakeStore();
  await open();
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** The next server with that home. */
async function open(bytes = new TenantCount(), at: FakeStore | null = store): Promise<void> {
  const files = new CheckpointFiles(root);
  all = new Checkpoints(files, () => now, bytes);
  named = new NamedCheckpoints({ all, files, store: at });
  await named.load();
}
const path = (name: string): CheckpointPath => ({ run: RUN, kind: 'weights', name });
/** As the ranks write it. */
function write(name: string, changes: Partial<Checkpoint> = {}): Checkpoint {
  const folder = all.newFolder('t', path(name));
  mkdirSync(folder);
  writeFileSync(join(folder, 'manifest.json'), name);
  const run = { baseModel: 'demo', rank: 4, seed: 1, attn: true, mlp: true, unembed: true };
  const plain = { runMetadata: null, userMetadata: null, expires: null, public: false };
  return { path: path(name), tenant: 't', folder, run, time: now, bytes: 10, ...plain, ...changes };
}
const names = () => named.of('t').map((one) => one.path.name);
const onDisk = () => (existsSync(join(root, 't', RUN, 'weights')) ? readdirSync(join(root, 't', RUN, 'weights')) : []);
const away = { code: 'STORAGE_FAILED', message: 'the store is away' };

describe('a save', () => {
  it('is there once its record is in the store, which is the only one', async () => {
    const held = deferred<void>();
    store.first('record', () => held.promise);
    const saved = named.save(write('one'));
    await flush();
    expect([names(), store.asked()]).toEqual([[], ['put one', 'record one']]);
    held.resolve();
    await saved;
    expect([names(), onDisk()]).toEqual([['one'], [expect.stringMatching(/^one@/)]]);
    await open();
    expect([names(), onDisk()]).toEqual([['one'], [expect.stringMatching(/^one@/)]]);
  });

  it('that fails leaves nothing, here or there', async () => {
    store.first('put', failing());
    await expect(named.save(write('one'))).rejects.toMatchObject(away);
    store.first('record', failing());
    await expect(named.save(write('one'))).rejects.toMatchObject(away);
    expect([names(), onDisk(), store.files.size, store.records.size]).toEqual([[], [], 0, 0]);
    expect(store.asked().filter((call) => call.startsWith('unrecord'))).toEqual([]);
  });

  it('that may have got there is taken back', async () => {
    store.first('record', failing(true));
    await expect(named.save(write('one'))).rejects.toMatchObject(away);
    expect(store.asked()).toEqual(['put one', 'record one', 'unrecord one', 'remove one']);
    const older = write('one');
    await named.save(older);
    store.first('record', failing(true));
    await expect(named.save(write('one'))).rejects.toMatchObject(away);
    expect(store.calls.slice(-2)[0]).toBe(`record ${basename(older.folder)}`);
    expect([...store.files.keys()]).toEqual([basename(older.folder)]);
    expect(named.readable('t', path('one')).folder).toBe(older.folder);
  });

  it('that cannot be taken back keeps its files: its record may be there', async () => {
    store.first('record', failing(true));
    store.first('unrecord', failing());
    await expect(named.save(write('one'))).rejects.toMatchObject(away);
    expect([names(), store.files.size]).toEqual([[], 1]);
  });

  it('of one name ends in its turn, and others do not wait for it', async () => {
    const held = deferred<void>();
    store.first('put', () => held.promise);
    const [first, second] = [write('one'), write('one')];
    const both = [named.save(first), named.save(second)];
    await named.save(write('two'));
    const gone = named.remove('t', path('two'));
    await gone;
    expect(store.calls.filter((call) => call.includes('one@'))).toEqual([`put ${basename(first.folder)}`]);
    held.resolve();
    await Promise.all(both);
    expect(named.readable('t', path('one')).folder).toBe(second.folder);
    expect([...store.files.keys()]).toEqual([basename(second.folder)]);
    expect(onDisk()).toEqual([basename(second.folder)]);
  });

  it('counts while it is on its way', async () => {
    await open(new TenantCount(15, () => new TwinkleError('INVALID_REQUEST', 'too much')));
    const held = deferred<void>();
    store.first('put', () => held.promise);
    const saved = named.save(write('one'));
    await expect(named.save(write('two'))).rejects.toThrow('too much');
    held.resolve();
    await saved;
    await named.remove('t', path('one'));
    await named.save(write('two'));
    expect([names(), onDisk()]).toEqual([['two'], [expect.stringMatching(/^two@/)]]);
  });
});

describe('what the store says no to', () => {
  it('is as it was', async () => {
    await named.save(write('one'));
    for (const call of ['unrecord', 'record', 'record'] as const) store.first(call, failing());
    await expect(named.remove('t', path('one'))).rejects.toMatchObject(away);
    await expect(named.publish('t', path('one'), true)).rejects.toMatchObject(away);
    await expect(named.keepFor('t', path('one'), 1)).rejects.toMatchObject(away);
    expect(named.readable('t', path('one'))).toMatchObject({ public: false, expires: null });
    await named.publish('t', path('one'), true);
    expect(store.records.get(`tinker://${RUN}/weights/one`)?.public).toBe(true);
  });

  it('goes at its time all the same, and from the store when that is back', async () => {
    await named.save(write('one', { expires: now + 1000 }));
    now += 1000;
    store.first('unrecord', failing());
    named.sweep();
    await flush();
    expect([names().length, store.records.size]).toEqual([1, 1]);
    expect(() => named.readable('t', path('one'))).toThrow('no checkpoint');
    named.sweep();
    await flush();
    expect([names(), store.records.size, store.files.size, onDisk()]).toEqual([[], 0, 0, []]);
  });
});

describe('weights that are not here', () => {
  const saved = async (): Promise<Checkpoint> => {
    await named.save(write('one'));
    rmSync(join(root, 't'), { recursive: true });
    await open();
    return named.readable('t', path('one'));
  };

  it('are brought once, however many ask, and listed before', async () => {
    const { folder } = await saved();
    expect(named.list('t', path('one'))).toEqual([]); // our own notes alone
    const [first, second] = [named.bring('t', path('one')), named.bring('t', path('one'))];
    expect(second).toBe(first);
    await first;
    expect(readFileSync(join(folder, 'manifest.json'), 'utf8')).toBe('one');
    expect([named.bring('t', path('one')), store.asked().filter((call) => call === 'fetch one')]).toEqual([
      null,
      ['fetch one'],
    ]);
    expect(() => named.bring('o', path('one'))).toThrow('no checkpoint');
  });

  it('are not here when they came short, or could not come, and can be asked for again', async () => {
    const { folder } = await saved();
    const whole = store.files.get(basename(folder)) ?? new Map();
    store.files.set(basename(folder), new Map([['manifest.json', Buffer.from('on')]]));
    await expect(named.bring('t', path('one'))).rejects.toThrow('2 of 3 bytes');
    store.files.set(basename(folder), whole);
    store.first('fetch', failing());
    await expect(named.bring('t', path('one'))).rejects.toMatchObject(away);
    expect(onDisk()).toEqual([]);
    await named.bring('t', path('one'));
    expect(onDisk()).toEqual([basename(folder)]);
  });

  it.each(['come', 'are cut'])('do not come back when they were removed on the way, whether they %s', async (how) => {
    await saved();
    const held = deferred<void>();
    store.first('fetch', () => held.promise);
    const coming = named.bring('t', path('one'));
    await named.remove('t', path('one'));
    if (how === 'come') held.resolve();
    else held.reject(new Error('cut'));
    await expect(coming).rejects.toThrow('removed meanwhile');
    expect(onDisk()).toEqual([]);
  });

  it('are copied without being brought', async () => {
    await saved();
    const run = RUN.replace(/0$/, '1');
    const made = await named.copy('t', { from: path('one'), run, ttlSeconds: null, reader: 't' });
    expect(store.asked().slice(-2)).toEqual(['copy one', 'record one']);
    expect([existsSync(made.folder), made.stored]).toEqual([false, [{ name: 'manifest.json', bytes: 3 }]]);
    expect(await named.copy('t', { from: path('one'), run, ttlSeconds: null, reader: 't' })).toEqual(made);
  });
});

it('what was saved before there was a store is there still, and goes to the store with an overwrite or a copy', async () => {
  await open(new TenantCount(), null);
  await named.save(write('one'));
  await open();
  expect([names(), named.bring('t', path('one'))]).toEqual([['one'], null]);
  const run = RUN.replace(/0$/, '1');
  const made = await named.copy('t', { from: path('one'), run, ttlSeconds: null, reader: 't' });
  expect(store.files.get(basename(made.folder))?.get('manifest.json')?.toString()).toBe('one');
  await named.save(write('one'));
  expect(onDisk()).toEqual([expect.stringMatching(/^one@/)]);
  expect(readdirSync(dirname(made.folder))).toEqual([basename(made.folder)]);
});

it('what another server removed from the store is not here either', async () => {
  await named.save(write('one'));
  store.records.clear();
  await open();
  expect([names(), onDisk()]).toEqual([[], []]);
});
