/** Weights that hold on all replicas: who is told what and when, and what is kept alive meanwhile. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import type { OpenReplica } from '../../../src/serving/broadcast.js';
import { ModelWeights } from '../../../src/serving/model-weights.js';
import { PreparedGang } from '../../../src/serving/prepared-gang.js';
import type { WeightSource, WeightStore } from '../../../src/serving/types/weights.js';
import { type Play, PlayedGang, until } from './played-engine.js';

const ROOT = realpathSync(mkdtempSync(join(tmpdir(), 'twinkle-weights-')));
afterAll(() => rmSync(ROOT, { recursive: true }));
afterEach(() => {
  vi.useRealTimers();
});

function folder(name: string, file = 'model.safetensors'): string {
  const path = join(ROOT, name);
  mkdirSync(path);
  writeFileSync(join(path, file), '');
  return path;
}
const [A, B] = [folder('a'), folder('b')] as const;

const told = (path: string, mode = 'wait'): string => `POST /twinkle/update_weights ${JSON.stringify({ path, mode })}`;
const ORIGINAL = 'POST /twinkle/update_weights {}';
const OK = { status: 200, body: '{"status":"updated"}' };
const NO = { status: 400, body: '{"error":{"message":"tensor `x` is missing"}}' };

function setUp(engine: Play = () => OK) {
  const gangs = ['m/0', 'm/1'].map((id) => new PlayedGang(id, engine));
  const [attach, detach, refused, opened, problem] = [vi.fn(), vi.fn(), vi.fn(), vi.fn(), vi.fn()];
  const open = (): OpenReplica[] => prepared.flatMap(({ replica }) => replica ?? []);
  const weights = new ModelWeights({ open, asleep: () => asleep, segments: { attach, detach }, refused });
  let asleep = false;
  const prepared: PreparedGang[] = gangs.map(
    (gang) => new PreparedGang(gang, { id: gang.id, upkeep: [weights], opened, problem }),
  );
  const [first, second] = gangs as [PlayedGang, PlayedGang];
  return {
    ...{ attach, detach, refused, opened, problem, first, second, gangs, prepared, weights },
    sleep: () => {
      asleep = true;
    },
    update: (source: WeightSource, mode: 'wait' | 'keep' = 'wait') => weights.update({ source, mode }),
  };
}

function store(name: string) {
  const letGo = vi.fn();
  const hold = vi.fn(() => letGo);
  const share = vi.fn();
  const unshare = vi.fn();
  return { letGo, store: { name, hold, share, unshare } satisfies WeightStore };
}
const TENSOR = { segment: 's', offset: 64, dtype: 'float32', shape: [2] };

describe('an update', () => {
  it('goes to all replicas and is what is served', async () => {
    const { gangs, update, weights } = setUp();
    expect(weights.served).toBeNull();
    const answers = await update({ folder: A }, 'keep');
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    expect(gangs.map(({ asked }) => asked)).toEqual([[told(A, 'keep')], [told(A, 'keep')]]);
    expect(weights.served).toEqual({ source: A, since: expect.closeTo(Date.now(), -4) });
  });

  it('means what a link leads to now', async () => {
    const link = join(ROOT, 'latest');
    symlinkSync(A, link);
    const { first, update } = setUp();
    await update({ folder: link });
    expect(first.asked).toEqual([told(A)]);
  });

  it.each([
    ['a', /is not absolute/],
    [join(ROOT, 'none'), /cannot be read: ENOENT/],
    [folder('pickles', 'model.bin'), /has none/],
  ])('from %s is refused before anybody is told', async (path, why) => {
    const { first, update, weights } = setUp();
    await expect(update({ folder: path })).rejects.toMatchObject({ code: 'INVALID_REQUEST', message: why });
    expect(first.asked).toEqual([]);
    expect(weights.served).toBeNull();
  });

  it('waits for one that is under way', async () => {
    const { first, second, update } = setUp(() => null);
    const [one, two] = [update({ folder: A }), update({ folder: B })];
    await until(() => first.asked.length === 1 && second.asked.length === 1);
    await new Promise((resolve) => setImmediate(resolve));
    expect(first.asked).toEqual([told(A)]);
    for (const gang of [first, second]) gang.answer(1, OK);
    await one;
    await until(() => first.asked.length === 2 && second.asked.length === 2);
    for (const gang of [first, second]) gang.answer(2, OK);
    await two;
    expect(first.asked.at(-1)).toBe(told(B));
  });

  it('needs somebody to write to', async () => {
    const { gangs, sleep, update } = setUp();
    for (const gang of gangs) gang.crash();
    await expect(update({ folder: A })).rejects.toMatchObject({ code: 'NOT_READY' });
    sleep();
    await expect(update({ folder: A })).rejects.toMatchObject({ code: 'NOT_READY', message: /sleeps/ });
  });

  it('that all refuse leaves what was', async () => {
    const { gangs, prepared, update, weights } = setUp();
    await update({ folder: A });
    const before = weights.served;
    for (const gang of gangs) gang.play = () => NO;
    await update({ folder: B });
    expect(weights.served).toEqual(before);
    expect(prepared.every(({ lead }) => lead !== null)).toBe(true);
  });
});

describe('a replica', () => {
  it('that starts later has the current weights before it takes requests', async () => {
    const { opened, prepared, second, update } = setUp();
    await update({ folder: A });
    second.crash();
    second.start();
    expect(prepared[1]?.lead).toBeNull();
    await until(() => opened.mock.calls.length > 0);
    expect(second.asked).toEqual([told(A)]);
    expect(prepared[1]?.lead).toBe(second.lead);
  });

  it('that starts before any update is told nothing', async () => {
    const { prepared, second } = setUp();
    second.crash();
    second.start();
    expect(prepared[1]?.lead).toBe(second.lead);
    expect(second.asked).toEqual([]);
  });

  it('that refused what others took is closed, and asked until it takes it', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout'] });
    const { opened, prepared, refused, second, update, weights } = setUp();
    second.play = () => NO;
    expect((await update({ folder: A })).map(({ status }) => status)).toEqual([200, 400]);
    expect(weights.served?.source).toBe(A);
    expect(prepared[0]?.lead).not.toBeNull();
    expect(prepared[1]?.lead).toBeNull();
    await until(() => refused.mock.calls.length === 1);
    expect(refused).toHaveBeenCalledWith('m/1', 'tensor `x` is missing');
    expect(second.asked).toHaveLength(2);
    second.play = () => OK;
    await vi.advanceTimersByTimeAsync(1_000);
    await until(() => opened.mock.calls.length > 0);
    expect(second.asked).toHaveLength(3);
    expect(prepared[1]?.lead).toBe(second.lead);
  });

  it('is told the newest when that has changed while it refused', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout'] });
    const { opened, refused, second, update } = setUp();
    second.play = ({ body }) => (body.includes(A) ? NO : OK);
    await update({ folder: A });
    await until(() => refused.mock.calls.length === 1);
    await update({ folder: B });
    await vi.advanceTimersByTimeAsync(1_000);
    await until(() => opened.mock.calls.length > 0);
    expect(second.asked.at(-1)).toBe(told(B));
  });

  it('that broke under an update gets what is current when it is back', async () => {
    const { opened, prepared, second, update } = setUp();
    second.play = () => {
      second.crash();
      return null;
    };
    const answers = await update({ folder: A });
    expect(answers[1]?.error?.code).toBe('RANK_FAILED');
    second.play = () => OK;
    second.start();
    expect(prepared[1]?.lead).toBeNull();
    await until(() => opened.mock.calls.length > 0);
    expect(second.asked).toEqual([told(A)]);
  });

  it('that never said whether it took weights that nobody has gets those of the start', async () => {
    const { first, opened, prepared, second, update, weights } = setUp(() => NO);
    second.play = () => null;
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const answers = update({ folder: A });
    await until(() => second.asked.length === 1);
    await vi.advanceTimersByTimeAsync(1_800_000);
    expect((await answers)[1]?.error?.code).toBe('DEADLINE_EXCEEDED');
    expect(weights.served).toBeNull();
    second.play = () => OK;
    expect(first.asked).toEqual([told(A)]);
    await until(() => second.asked.length === 2);
    second.answer(2, OK);
    await until(() => opened.mock.calls.length > 0);
    expect(second.asked).toEqual([told(A), ORIGINAL]);
    expect(prepared[1]?.lead).toBe(second.lead);
  });
});

describe('tensors in a segment', () => {
  const source = (of: ReturnType<typeof store>): WeightSource => ({
    tensors: [{ name: 'w', tensor: TENSOR }],
    store: of.store,
  });

  it('are attached before the engine hears of them, and at each later start', async () => {
    const { attach, first, opened, prepared, second, update, weights } = setUp();
    const one = store('s');
    attach.mockImplementation(async () => expect(first.asked).toEqual([]));
    await update(source(one));
    expect(attach.mock.calls.map(([replica, given]) => [replica.id, replica.epoch, given])).toEqual([
      ['m/0', 1, one.store],
      ['m/1', 1, one.store],
    ]);
    const body = { tensors: [{ name: 'w', tensor: TENSOR }], mode: 'wait' };
    expect(first.asked).toEqual([`POST /twinkle/update_weights ${JSON.stringify(body)}`]);
    expect(weights.served?.source).toBe('segments');
    attach.mockReset();
    second.crash();
    second.start();
    expect(prepared[1]?.lead).toBeNull();
    await until(() => opened.mock.calls.length > 0);
    expect(attach).toHaveBeenCalledWith(expect.objectContaining({ id: 'm/1', epoch: 2 }), one.store);
  });

  it('are held while they are current, and let go of after that', async () => {
    const { detach, update } = setUp();
    const [one, two] = [store('s'), store('t')];
    await update(source(one));
    expect(one.letGo).not.toHaveBeenCalled();
    // The same store again: its tensors change, the segment stays.
    await update(source(one));
    expect(one.letGo).toHaveBeenCalledTimes(1);
    expect(detach).not.toHaveBeenCalled();
    await update(source(two));
    expect(one.letGo).toHaveBeenCalledTimes(2);
    expect(detach).toHaveBeenCalledExactlyOnceWith(one.store);
    await update({ folder: A });
    expect(two.letGo).toHaveBeenCalledTimes(1);
    expect(detach).toHaveBeenLastCalledWith(two.store);
  });

  it('that nobody took are let go of at once', async () => {
    const { detach, update } = setUp(() => NO);
    const one = store('s');
    await update(source(one));
    expect(one.letGo).toHaveBeenCalledOnce();
    expect(detach).toHaveBeenCalledWith(one.store);
  });

  it('of another store are refused, and those before it let go of', async () => {
    const { first, update } = setUp();
    const one = store('s');
    one.store.hold.mockReturnValueOnce(one.letGo).mockImplementationOnce(() => {
      throw new Error('no block begins at offset 64');
    });
    const tensors = ['v', 'w'].map((name) => ({ name, tensor: TENSOR }));
    await expect(update({ tensors, store: one.store })).rejects.toMatchObject({ code: 'INVALID_REQUEST', param: 'w' });
    expect(one.letGo).toHaveBeenCalledOnce();
    expect(first.asked).toEqual([]);
  });

  it('that cannot be attached are that replica’s refusal', async () => {
    const { attach, first, second, update, weights } = setUp();
    attach.mockImplementation(async ({ id }: OpenReplica) => {
      if (id === 'm/1') throw new Error('no descriptor');
    });
    const answers = await update(source(store('s')));
    expect(answers.map(({ error }) => error?.message ?? null)).toEqual([null, 'no descriptor']);
    expect([first.asked.length, second.asked.length]).toEqual([1, 0]);
    expect(weights.served?.source).toBe('segments');
  });
});
