/** Adapters that no request can name, on all replicas of a model. */
import { describe, expect, it, vi } from 'vitest';
import type { AdapterLease } from '../../../src/serving/adapter-book.js';
import { HiddenAdapters, type HiddenAdaptersOptions } from '../../../src/serving/hidden-adapters.js';
import { PreparedGang } from '../../../src/serving/prepared-gang.js';
import { loraEngine, PlayedGang, until } from './played-engine.js';

interface Setup {
  readonly replicas?: number;
  /** Adapters that the last replica cannot load. */
  readonly refuse?: Map<string, string>;
  readonly options?: Partial<HiddenAdaptersOptions>;
  /** Told when the open replicas are looked at. */
  readonly looked?: () => void;
}

function setUp({ looked, options = {}, refuse, replicas = 2 }: Setup = {}) {
  const engines = Array.from({ length: replicas }, (_, at) => loraEngine(at === replicas - 1 ? refuse : undefined));
  const gangs = engines.map(({ play }, at) => new PlayedGang(`m/${at}`, play));
  const lost = vi.fn();
  const adapters = new HiddenAdapters({
    lost,
    open: () => {
      looked?.();
      return prepared.flatMap(({ replica }) => replica ?? []);
    },
    ...options,
  });
  const opened = vi.fn();
  const prepared: readonly PreparedGang[] = gangs.map(
    (gang) => new PreparedGang(gang, { id: gang.id, upkeep: [adapters], opened, problem: vi.fn() }),
  );
  /** The engine's memory is gone with its process. */
  const restart = async (at: number): Promise<void> => {
    gangs[at]?.crash();
    engines[at]?.loaded.clear();
    gangs[at]?.start();
    await until(() => prepared[at]?.lead !== null);
  };
  const held = () => engines.map(({ loaded }) => [...loaded].map((entry) => entry.join(' ')).sort());
  return { adapters, engines, gangs, prepared, lost, restart, held };
}

const weights = (name: string, folder = `/saved/${name}`) => ({ name: `tinker://${name}`, folder });
const both = (...lines: readonly string[]): string[][] => [[...lines], [...lines]];

describe('a use', () => {
  it('loads on all replicas, once for all that ask', async () => {
    const { adapters, gangs, held } = setUp();
    const leases = await Promise.all([adapters.use(weights('a')), adapters.use(weights('a'))]);
    expect(held()).toEqual(both('tinker://a /saved/a'));
    expect(gangs.map(({ asked }) => asked)).toEqual([0, 1].map(() => [expect.stringContaining('load_lora_adapter')]));
    for (const lease of leases) lease.release();
    expect(adapters.lease('tinker://a')).not.toBeNull();
    expect(adapters.lease('tinker://b')).toBeNull();
    expect(() => adapters.use({ name: 'sql', folder: '/saved/sql' })).toThrow('sql is no name of a hidden adapter');
  });

  it('hears the engine’s words where it is refused, on none is it loaded, and the next use tries again', async () => {
    const refuse = new Map([['tinker://a', 'rank 64 is greater than 16']]);
    const { adapters, gangs, held } = setUp({ refuse });
    const uses = await Promise.allSettled([adapters.use(weights('a')), adapters.use(weights('a'))]);
    const refusal = { code: 'INVALID_REQUEST', message: expect.stringContaining('rank 64 is greater than 16') };
    expect(uses).toMatchObject([{ reason: refusal }, { reason: refusal }]);
    expect(held()).toEqual([[], []]);
    expect(gangs[1]?.asked.filter((line) => line.includes('/v1/load'))).toHaveLength(1);
    refuse.clear();
    await adapters.use(weights('a'));
    expect(held()).toEqual(both('tinker://a /saved/a'));
  });

  it('waits for no replica, and whichever comes has it before it takes requests', async () => {
    const { adapters, gangs, held, restart } = setUp({ replicas: 1 });
    gangs[0]?.crash();
    await adapters.use(weights('a'));
    expect(held()).toEqual([[]]);
    await restart(0);
    expect(held()).toEqual([['tinker://a /saved/a']]);
  });

  it('waits for the turn of engines that sleep for others, and asks who is there then', async () => {
    let turn: () => void = () => {};
    const ours = new Promise<void>((resolve) => {
      turn = resolve;
    });
    const inTurn = async <T>(job: () => Promise<T>): Promise<T> => {
      await ours;
      return await job();
    };
    const { adapters, gangs, held } = setUp({ options: { inTurn } });
    const use = adapters.use(weights('a'));
    await new Promise((resolve) => setImmediate(resolve));
    expect([adapters.lease('tinker://a'), held()]).toEqual([null, [[], []]]);
    gangs[1]?.crash();
    turn();
    await use;
    expect(held()[0]).toEqual(['tinker://a /saved/a']);
  });

  it('is refused while the engines sleep', async () => {
    let asleep = true;
    const { adapters } = setUp({ options: { asleep: () => asleep } });
    await expect(adapters.use(weights('a'))).rejects.toMatchObject({ code: 'NOT_READY' });
    asleep = false;
    await adapters.use(weights('a'));
  });
});

describe('as many are kept as should be', () => {
  it('the least recently used goes that nobody uses; all that are in use stay, however many', async () => {
    const { adapters, held } = setUp({ options: { keep: 2 } });
    const names = () => held().map((lines) => lines.map((line) => line.split(' ')[0]?.slice('tinker://'.length)));
    (await adapters.use(weights('a'))).release();
    (await adapters.use(weights('b'))).release();
    adapters.lease('tinker://a')?.release();
    const c = await adapters.use(weights('c'));
    await until(() => names().every((loaded) => !loaded.includes('b')));
    expect(names()).toEqual(both('a', 'c'));
    const d = await adapters.use(weights('d'));
    const e = await adapters.use(weights('e'));
    await until(() => names().every((loaded) => !loaded.includes('a')));
    expect(names()).toEqual(both('c', 'd', 'e'));
    d.release();
    await until(() => names().every((loaded) => !loaded.includes('d')));
    c.release();
    e.release();
    expect(adapters.lease('tinker://c')).not.toBeNull();
    expect(names()).toEqual(both('c', 'e'));
  });

  it('who waits for one gets it, whatever is loaded beside it', async () => {
    const { adapters, held } = setUp({ options: { keep: 1 } });
    const leases = await Promise.all(['a', 'b', 'c', 'a'].map((name) => adapters.use(weights(name))));
    expect(leases.map(({ name }) => name)).toEqual(['a', 'b', 'c', 'a'].map((name) => `tinker://${name}`));
    for (const lease of leases) lease.release();
    await until(() => held().every((loaded) => loaded.length === 1));
  });
});

it('who waits has it from the moment when it is there: a load that makes room right then does not take it away', async () => {
  let isFirst = true;
  let other: Promise<AdapterLease> | undefined;
  const looked = (): void => {
    // The last look before the first is there.
    if (held()[0]?.length !== 1 || !isFirst) return;
    isFirst = false;
    other = adapters.use(weights('b'));
  };
  const { adapters, gangs, held } = setUp({ replicas: 1, options: { keep: 1 }, looked: () => looked() });
  await adapters.use(weights('a'));
  expect(await other).toMatchObject({ name: 'tinker://b' });
  expect(gangs[0]?.asked.map((line) => line.split(' ')[1])).toEqual(['/v1/load_lora_adapter', '/v1/load_lora_adapter']);
});

describe('a replica that starts anew', () => {
  it('is told what was loaded', async () => {
    const { adapters, held, restart } = setUp();
    (await adapters.use(weights('a'))).release();
    await adapters.use(weights('b'));
    await restart(1);
    expect(held()).toEqual(both('tinker://a /saved/a', 'tinker://b /saved/b'));
  });

  it('and refuses one takes it from all; the next use loads it anew', async () => {
    const refuse = new Map<string, string>();
    const { adapters, held, lost, restart } = setUp({ refuse });
    (await adapters.use(weights('a'))).release();
    refuse.set('tinker://a', 'the disk is full');
    await restart(1);
    expect(lost).toHaveBeenCalledWith('tinker://a', 'the disk is full');
    await until(() => held().flat().length === 0);
    expect(adapters.lease('tinker://a')).toBeNull();
    refuse.clear();
    await adapters.use(weights('a'));
    expect(held()).toEqual(both('tinker://a /saved/a'));
  });
});

describe('other weights', () => {
  it('replace those that are loaded, in use or not, and are told to who starts anew', async () => {
    const { adapters, gangs, held, restart } = setUp();
    const lease = await adapters.use(weights('a'));
    await adapters.replace(weights('a', '/saved/a2'));
    expect(gangs[0]?.asked.at(-1)).toContain('"load_inplace":true');
    expect(held()).toEqual(both('tinker://a /saved/a2'));
    lease.release();
    await restart(0);
    expect(held()).toEqual(both('tinker://a /saved/a2'));
  });

  it('of what is not loaded are nothing to do', async () => {
    const { adapters, gangs } = setUp();
    await adapters.replace(weights('a'));
    expect(gangs.flatMap(({ asked }) => asked)).toEqual([]);
  });

  it('that one refuses are on none, and the next use loads what it names', async () => {
    const refuse = new Map<string, string>();
    const { adapters, held } = setUp({ refuse });
    (await adapters.use(weights('a'))).release();
    refuse.set('tinker://a', 'wrong base model');
    await expect(adapters.replace(weights('a', '/saved/a2'))).rejects.toThrow('wrong base model');
    expect(held()).toEqual([[], []]);
    refuse.clear();
    await adapters.use(weights('a', '/saved/a3'));
    expect(held()).toEqual(both('tinker://a /saved/a3'));
  });
});

describe('what is forgotten', () => {
  it('goes from all replicas when its last use is over, and not before, even where one starts anew', async () => {
    const { adapters, held, restart } = setUp();
    const lease = await adapters.use(weights('a'));
    const forgotten = vi.fn();
    const done = adapters.forget('tinker://a').then(forgotten);
    expect(adapters.lease('tinker://a')).toBeNull();
    await restart(1);
    expect(held()).toEqual(both('tinker://a /saved/a'));
    expect(forgotten).not.toHaveBeenCalled();
    lease.release();
    await done;
    expect(held()).toEqual([[], []]);
  });

  it('is loaded anew by who uses it again, when the old one is gone', async () => {
    const { adapters, held } = setUp();
    const old = await adapters.use(weights('a'));
    const gone = adapters.forget('tinker://a');
    let lease: AdapterLease | null = null;
    const again = adapters.use(weights('a', '/saved/again')).then((own) => {
      lease = own;
    });
    expect(held()).toEqual(both('tinker://a /saved/a'));
    expect(lease).toBeNull();
    old.release();
    await Promise.all([gone, again]);
    expect(held()).toEqual(both('tinker://a /saved/again'));
  });

  it('is first used by those who waited for it', async () => {
    const { adapters, gangs, held } = setUp();
    const use = adapters.use(weights('a'));
    const gone = adapters.forget('tinker://a');
    const lease = await use;
    expect(held()).toEqual(both('tinker://a /saved/a'));
    lease.release();
    await gone;
    expect(held()).toEqual([[], []]);
    expect(gangs[0]?.asked).toHaveLength(2);
  });

  it('may be nothing', async () => {
    const { adapters, gangs } = setUp();
    await adapters.forget('tinker://a');
    expect(gangs.flatMap(({ asked }) => asked)).toEqual([]);
  });
});
