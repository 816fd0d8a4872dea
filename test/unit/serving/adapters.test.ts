/** Adapters of a model on all its replicas. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import { type AdapterSource, lasting } from '../../../src/serving/adapter-source.js';
import { ModelAdapters, type ModelAdaptersOptions } from '../../../src/serving/adapters.js';
import { PreparedGang } from '../../../src/serving/prepared-gang.js';
import type { AdapterRequest } from '../../../src/serving/types/control.js';
import { deferred } from '../../../src/util/deferred.js';
import { loraEngine, type Played, PlayedGang, until } from './played-engine.js';

afterEach(() => vi.useRealTimers());

/** Any name but `none`. */
const SOURCE: AdapterSource = {
  has: (name) => name !== 'none',
  fetch: async (name) => {
    if (name === 'none') throw new TwinkleError('MODEL_NOT_FOUND', 'there is no such adapter');
    return lasting(`/dynamic/${name}`);
  },
};

interface Setup {
  readonly replicas?: number;
  readonly refuse?: readonly (ReadonlyMap<string, string> | undefined)[];
  readonly options?: Partial<ModelAdaptersOptions>;
}

function setUp({ options = {}, refuse = [], replicas = 2 }: Setup = {}) {
  const engines = Array.from({ length: replicas }, (_, at) => loraEngine(refuse[at]));
  const gangs = engines.map(({ play }, at) => new PlayedGang(`m/${at}`, play));
  const lost = vi.fn();
  const adapters = new ModelAdapters({
    models: ['m'],
    source: SOURCE,
    max: 2,
    lost,
    open: () => prepared.flatMap(({ replica }) => replica ?? []),
    ...options,
  });
  const opened = vi.fn();
  const problem = vi.fn();
  const prepared: readonly PreparedGang[] = gangs.map(
    (gang) => new PreparedGang(gang, { id: gang.id, upkeep: [adapters], opened, problem }),
  );
  const held = () => engines.map(({ loaded }) => [...loaded.keys()].sort());
  return { adapters, engines, gangs, prepared, lost, opened, problem, held };
}

const request = (name: string, more: Partial<AdapterRequest> = {}): AdapterRequest => ({
  name,
  path: `/given/${name}`,
  inPlace: false,
  is3d: null,
  ...more,
});

describe('load and unload by name', () => {
  it('reach all replicas, and the list tells', async () => {
    const { adapters, engines, gangs, held } = setUp();
    await adapters.load(request('sql', { is3d: true }));
    expect(gangs[0]?.asked).toEqual([
      'POST /v1/load_lora_adapter {"lora_name":"sql","lora_path":"/given/sql","is_3d_lora_weight":true}',
    ]);
    expect(engines.map(({ loaded }) => loaded.get('sql'))).toEqual(['/given/sql', '/given/sql']);
    expect(adapters.list()).toMatchObject([{ name: 'sql', path: '/given/sql', id: 1, pinned: true, inUse: 0 }]);
    await expect(adapters.load(request('sql'))).rejects.toMatchObject({ code: 'INVALID_REQUEST', param: 'lora_name' });
    await adapters.unload('sql');
    expect(held()).toEqual([[], []]);
    expect(adapters.list()).toEqual([]);
    await expect(adapters.unload('sql')).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
    await adapters.load(request('other'));
    await adapters.load(request('sql', { path: null }));
    expect(adapters.list()).toMatchObject([
      { name: 'sql', path: '/dynamic/sql', id: 1 },
      { name: 'other', id: 2 },
    ]);
  });

  it('a refusal of one is undone on all, and the engine’s words are passed on', async () => {
    const rank = 'LoRA rank 64 is greater than max_lora_rank 16.';
    const { adapters, held } = setUp({ refuse: [undefined, new Map([['big', rank]])] });
    await expect(adapters.load(request('big'))).rejects.toMatchObject({
      code: 'INVALID_REQUEST',
      status: 400,
      param: 'lora_path',
      message: expect.stringContaining(rank),
      details: { replicas: [{ replica: 'm/1', status: 500, message: rank }] },
    });
    expect(held()).toEqual([[], []]);
    expect(adapters.list()).toEqual([]);
    expect(adapters.has('big')).toBe(true); // the source may still have it
  });

  it('a replacement that all refuse leaves what was there; one that some refuse leaves nothing', async () => {
    const refuse = [new Map<string, string>(), new Map<string, string>()] as const;
    const { adapters, held } = setUp({ refuse });
    await adapters.load(request('sql'));
    for (const map of refuse) map.set('sql', 'wrong base model');
    await expect(adapters.load(request('sql', { inPlace: true }))).rejects.toThrow('wrong base model');
    expect(held()).toEqual([['sql'], ['sql']]);
    expect(adapters.list()).toHaveLength(1);
    refuse[0].clear();
    await expect(adapters.load(request('sql', { inPlace: true }))).rejects.toThrow('wrong base model');
    expect(held()).toEqual([[], []]);
    expect(adapters.list()).toEqual([]);
  });

  it('replaces weights in place while they are in use', async () => {
    const { adapters, gangs, engines } = setUp();
    await adapters.load(request('sql'));
    const lease = adapters.lease('sql');
    await adapters.load(request('sql', { inPlace: true, path: '/v2' }));
    expect(gangs[1]?.asked.at(-1)).toContain('"load_inplace":true');
    expect(engines.map(({ loaded }) => loaded.get('sql'))).toEqual(['/v2', '/v2']);
    expect(adapters.list()).toMatchObject([{ path: '/v2', inUse: 1, id: 1 }]);
    lease?.release();
    expect(adapters.list()).toMatchObject([{ inUse: 0 }]);
  });

  it('keeps the place of one whose weights are being replaced', async () => {
    const { adapters, gangs, held } = setUp({ replicas: 1, options: { max: 1 } });
    (await adapters.use('sql')).release();
    const [gang] = gangs;
    const play = gang?.play;
    if (gang === undefined || play === undefined) throw new Error('no replica');
    const late = deferred<null>();
    gang.play = async (params) => (await late.promise) ?? (await play(params));
    const replaced = adapters.load(request('sql', { inPlace: true }));
    await until(() => gang.asked.length === 2);
    await expect(adapters.use('other')).rejects.toMatchObject({ code: 'OVERLOADED' });
    late.resolve(null);
    await replaced;
    expect(adapters.list()).toMatchObject([{ name: 'sql', path: '/given/sql', pinned: true, inUse: 0 }]);
    expect(held()).toEqual([['sql']]);
  });

  it('an unload waits for those that use it, refuses others at once, and does not wait for ever', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { adapters, held } = setUp({ options: { source: null } });
    await adapters.load(request('sql'));
    const lease = adapters.lease('sql');
    const done = adapters.unload('sql');
    expect(adapters.lease('sql')).toBeNull();
    await expect(adapters.load(request('b'))).resolves.toBeUndefined(); // other names do not wait
    expect(held()).toEqual([
      ['b', 'sql'],
      ['b', 'sql'],
    ]);
    lease?.release();
    await done;
    expect(held()).toEqual([['b'], ['b']]);
    const stuck = adapters.lease('b');
    const late = adapters.unload('b');
    vi.advanceTimersByTime(10_000);
    await late;
    expect(held()).toEqual([[], []]);
    stuck?.release();
  });

  it('an unload that a replica does not do is said, and a later load gets round it', async () => {
    const { adapters, gangs, held } = setUp();
    await adapters.load(request('sql'));
    const play = gangs[1]?.play ?? (() => null);
    if (gangs[1] !== undefined) gangs[1].play = () => ({ status: 500, body: 'busy' });
    await expect(adapters.unload('sql')).rejects.toMatchObject({
      code: 'ENGINE_ERROR',
      details: { replicas: [{ replica: 'm/1', status: 500, message: 'busy' }] },
    });
    expect(adapters.lease('sql')).toBeNull();
    if (gangs[1] !== undefined) gangs[1].play = play;
    await adapters.load(request('sql'));
    expect(held()).toEqual([['sql'], ['sql']]);
  });

  it('nothing is loaded without a replica, or into engines that sleep', async () => {
    let asleep = false;
    const { adapters, gangs } = setUp({ options: { asleep: () => asleep } });
    for (const gang of gangs) gang.crash();
    await expect(adapters.load(request('sql'))).rejects.toMatchObject({ code: 'NOT_READY' });
    for (const gang of gangs) gang.start();
    asleep = true;
    await expect(adapters.load(request('sql'))).rejects.toThrow(/wake_up/);
    asleep = false;
    await adapters.load(request('sql'));
  });
});

describe('first use', () => {
  it('loads once for all that ask at once', async () => {
    const { adapters, gangs } = setUp();
    const leases = await Promise.all([adapters.use('sql'), adapters.use('sql'), adapters.use('sql')]);
    expect(gangs.map(({ asked }) => asked.length)).toEqual([1, 1]);
    expect(adapters.list()).toMatchObject([{ name: 'sql', path: '/dynamic/sql', pinned: false, inUse: 3 }]);
    for (const lease of leases) lease.release();
    expect(adapters.lease('sql')).not.toBeNull();
    expect(gangs.map(({ asked }) => asked.length)).toEqual([1, 1]);
  });

  it('fails for all that asked, and the next tries again', async () => {
    const refuse = [new Map([['sql', 'wrong base model']])];
    const { adapters, gangs } = setUp({ replicas: 1, refuse });
    const both = await Promise.allSettled([adapters.use('sql'), adapters.use('sql')]);
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(gangs[0]?.asked.filter((line) => line.includes('/v1/load_lora_adapter'))).toHaveLength(1);
    refuse[0]?.clear();
    await adapters.use('sql');
    await expect(adapters.use('none')).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
  });

  it('evicts the least recently used on all replicas, never one in use, and refuses when all are', async () => {
    const { adapters, held } = setUp();
    (await adapters.use('a')).release();
    const b = await adapters.use('b');
    (await adapters.use('c')).release();
    await until(() => held().every((names) => !names.includes('a')));
    expect(held()).toEqual([
      ['b', 'c'],
      ['b', 'c'],
    ]);
    const c = await adapters.use('c');
    await expect(adapters.use('d')).rejects.toMatchObject({ code: 'OVERLOADED', retryAfterMs: 1000 });
    b.release();
    (await adapters.use('d')).release();
    await until(() => held().every((names) => !names.includes('b')));
    c.release();
    // Back again, under its old id.
    (await adapters.use('a')).release();
    expect(adapters.list().find(({ name }) => name === 'a')?.id).toBe(1);
  });

  it('a pinned one is not evicted', async () => {
    const { adapters } = setUp({ options: { max: 1 } });
    await adapters.load(request('sql'));
    await expect(adapters.use('a')).rejects.toMatchObject({ code: 'OVERLOADED' });
  });

  it('waits for a replica like any request: whichever starts has it before it takes requests', async () => {
    const { adapters, gangs, held, prepared } = setUp({ replicas: 1 });
    gangs[0]?.crash();
    (await adapters.use('sql')).release();
    expect(adapters.list()).toHaveLength(1);
    gangs[0]?.start();
    expect(prepared[0]?.lead).toBeNull();
    await until(() => prepared[0]?.lead !== null);
    expect(held()).toEqual([['sql']]);
  });
});

describe('a replica that starts anew', () => {
  it('is told all adapters before it takes requests', async () => {
    const { adapters, engines, gangs, held, opened, prepared } = setUp();
    await adapters.load(request('a'));
    await adapters.load(request('b'));
    gangs[1]?.crash();
    engines[1]?.loaded.clear();
    expect(prepared[1]?.lead).toBeNull();
    gangs[1]?.start();
    expect(prepared[1]?.lead).toBeNull();
    await until(() => opened.mock.calls.length > 0);
    expect(prepared[1]?.lead).toBe(gangs[1]?.lead);
    expect(held()).toEqual([
      ['a', 'b'],
      ['a', 'b'],
    ]);
    expect(opened).toHaveBeenCalledTimes(1);
  });

  it('misses nothing that is loaded or unloaded while it is told', async () => {
    const { adapters, engines, gangs, held, opened, prepared } = setUp({ options: { max: 9, source: null } });
    await adapters.load(request('a'));
    await adapters.load(request('gone'));
    gangs[1]?.crash();
    engines[1]?.loaded.clear();
    gangs[1]?.start();
    expect(prepared[1]?.lead).toBeNull();
    await Promise.all([adapters.load(request('b')), adapters.unload('gone'), adapters.load(request('c'))]);
    await until(() => opened.mock.calls.length > 0);
    expect(held()).toEqual([
      ['a', 'b', 'c'],
      ['a', 'b', 'c'],
    ]);
  });

  it('that refuses an adapter takes it from all, and the reason is kept for those who ask', async () => {
    const refuse = [undefined, new Map<string, string>()] as const;
    const { adapters, engines, gangs, held, lost, opened, prepared } = setUp({ refuse, options: { source: null } });
    await adapters.load(request('sql'));
    gangs[1]?.crash();
    engines[1]?.loaded.clear();
    refuse[1].set('sql', 'the file is gone');
    gangs[1]?.start();
    expect(prepared[1]?.lead).toBeNull();
    await until(() => opened.mock.calls.length > 0 && held().flat().length === 0);
    expect(lost).toHaveBeenCalledWith('sql', 'the file is gone');
    expect(adapters.list()).toEqual([]);
    await expect(adapters.use('sql')).rejects.toThrow('the file is gone');
    refuse[1].clear();
    await adapters.load(request('sql'));
    (await adapters.use('sql')).release();
  });

  it('that refuses an adapter which somebody loads again meanwhile takes it from nobody', async () => {
    const { adapters, engines, gangs, held, lost, prepared } = setUp({ options: { source: null } });
    await adapters.load(request('sql'));
    const [first, second] = gangs;
    if (first === undefined || second === undefined) throw new Error('no two replicas');
    const plays = [first.play, second.play] as const;
    second.crash();
    engines[1]?.loaded.clear();
    const [slow, late] = [deferred<null>(), deferred<Played>()];
    second.play = () => late.promise;
    second.start();
    expect(prepared[1]?.lead).toBeNull();
    await until(() => second.asked.length > 0);
    first.play = async (params) => (await slow.promise) ?? (await plays[0](params));
    const loads = ['/v2', '/v3'].map((path) => adapters.load(request('sql', { inPlace: true, path })));
    await until(() => first.asked.length > 1);
    late.resolve({ status: 500, body: 'out of memory' });
    second.play = plays[1];
    await until(() => lost.mock.calls.length > 0 && prepared[1]?.lead !== null);
    slow.resolve(null);
    await loads[0];
    expect(adapters.list()).toMatchObject([{ name: 'sql', path: '/v2', pinned: true }]);
    await loads[1];
    // Whatever was still to be told has been: another one waits for nobody.
    await adapters.load(request('other'));
    expect(adapters.list()).toMatchObject([{ name: 'sql', path: '/v3' }, { name: 'other' }]);
    expect(held()).toEqual([
      ['other', 'sql'],
      ['other', 'sql'],
    ]);
  });

  it('that breaks while it is told is told from the beginning', async () => {
    const { adapters, engines, gangs, held, opened, prepared, problem } = setUp();
    await adapters.load(request('a'));
    await adapters.load(request('b'));
    for (let round = 0; round < 2; round++) {
      gangs[1]?.crash();
      engines[1]?.loaded.clear();
      gangs[1]?.start();
      expect(prepared[1]?.lead).toBeNull();
      await until(() => (gangs[1]?.asked.length ?? 0) > 0);
    }
    await until(() => opened.mock.calls.length > 0);
    expect(held()[1]).toEqual(['a', 'b']);
    expect(problem).not.toHaveBeenCalled();
  });

  it('one that breaks under a load is no refusal', async () => {
    const { adapters, engines, gangs, held, opened, prepared } = setUp();
    const [, second] = gangs;
    const play = second?.play ?? (() => null);
    if (second !== undefined) second.play = () => null;
    const load = adapters.load(request('sql'));
    await until(() => (second?.asked.length ?? 0) > 0);
    second?.crash();
    await load;
    expect(adapters.list()).toHaveLength(1);
    if (second !== undefined) second.play = play;
    second?.start();
    expect(prepared[1]?.lead).toBeNull();
    await until(() => opened.mock.calls.length > 0);
    expect(held()).toEqual([['sql'], ['sql']]);
    expect(engines[1]?.loaded.get('sql')).toBe('/given/sql');
  });
});

describe('files that were fetched', () => {
  /** Whose files are still needed, by path. */
  function setUpFetched(more: Setup = {}) {
    const kept = new Set<string>();
    const localise = async (_name: string, path: string) => {
      kept.add(path);
      return { path, origin: `s3:/${path}`, release: () => void kept.delete(path) };
    };
    const source = { has: () => true, fetch: (name: string) => localise(name, `/fetched/${name}`) };
    return { ...setUp({ ...more, options: { localise, source, ...more.options } }), kept };
  }

  it('are kept while a request uses the adapter, and given back after its unload', async () => {
    const { adapters, kept, gangs } = setUpFetched();
    await adapters.load(request('sql'));
    expect(adapters.list()).toMatchObject([{ path: 's3://given/sql' }]);
    expect(gangs[0]?.asked[0]).toContain('"lora_path":"/given/sql"');
    const lease = adapters.lease('sql');
    const unload = adapters.unload('sql');
    await until(() => adapters.list().length === 0);
    expect([...kept]).toEqual(['/given/sql']);
    lease?.release();
    await unload;
    expect([...kept]).toEqual([]);
  });

  it('go with an adapter that is evicted, lost or refused', async () => {
    const refuse = [new Map<string, string>()] as const;
    const { adapters, engines, gangs, kept, lost, prepared } = setUpFetched({
      replicas: 1,
      refuse,
      options: { max: 1 },
    });
    (await adapters.use('a')).release();
    (await adapters.use('b')).release();
    expect([...kept]).toEqual(['/fetched/b']);
    gangs[0]?.crash();
    engines[0]?.loaded.clear();
    refuse[0].set('b', 'no').set('c', 'no');
    gangs[0]?.start();
    expect(prepared[0]?.lead).toBeNull();
    await until(() => lost.mock.calls.length > 0 && prepared[0]?.lead !== null);
    expect([...kept]).toEqual([]);
    await expect(adapters.use('c')).rejects.toThrow('no');
    expect([...kept]).toEqual([]);
  });

  it('go when others replace them, and stay when the others are refused', async () => {
    const refuse = [new Map<string, string>()] as const;
    const { adapters, kept } = setUpFetched({ replicas: 1, refuse });
    await adapters.load(request('sql'));
    await adapters.load(request('sql', { inPlace: true, path: '/v2' }));
    expect([...kept]).toEqual(['/v2']);
    refuse[0].set('sql', 'wrong base model');
    await expect(adapters.load(request('sql', { inPlace: true, path: '/v3' }))).rejects.toThrow('wrong base model');
    expect([...kept]).toEqual(['/v2']);
    expect(adapters.list()).toMatchObject([{ path: 's3://v2' }]);
  });

  it('that are replaced while a replica starts cost nothing: it is told the new ones', async () => {
    const { adapters, engines, gangs, kept, lost, prepared } = setUpFetched();
    await adapters.load(request('sql'));
    const [, second] = gangs;
    const play = second?.play;
    if (second === undefined || play === undefined) throw new Error('no second replica');
    second.crash();
    engines[1]?.loaded.clear();
    // Its load takes until the files are gone, and then finds nothing.
    const late = deferred<Played>();
    second.play = () => late.promise;
    second.start();
    expect(prepared[1]?.lead).toBeNull();
    await until(() => second.asked.length > 0);
    await adapters.load(request('sql', { inPlace: true, path: '/v2' }));
    second.play = play;
    late.resolve({ status: 404, body: 'the folder is gone' });
    await until(() => prepared[1]?.lead !== null);
    expect(lost).not.toHaveBeenCalled();
    expect(engines.map(({ loaded }) => loaded.get('sql'))).toEqual(['/v2', '/v2']);
    expect([...kept]).toEqual(['/v2']);
  });
});

it('what engines load by themselves is known, not loaded again, and counts', async () => {
  const fixed = [{ name: 'fixed', path: '/f' }];
  const { adapters, gangs } = setUp({ options: { fixed, max: 1 } });
  const lease = adapters.lease('fixed');
  expect(lease).not.toBeNull();
  lease?.release();
  await expect(adapters.use('a')).rejects.toMatchObject({ code: 'OVERLOADED' });
  expect(gangs.flatMap(({ asked }) => asked)).toEqual([]);
  expect(() => setUp({ options: { fixed, max: 0 } })).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  expect(() => setUp({ options: { fixed: [{ name: 'm', path: '/f' }] } })).toThrow(/served model/);
});
