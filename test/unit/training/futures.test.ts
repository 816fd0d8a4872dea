import { beforeEach, expect, it, vi } from 'vitest';
import { Futures, NOTHING_TO_STOP } from '../../../src/training/futures.js';
import type { FutureResult } from '../../../src/training/types.js';

let now = 0;
let futures: Futures;
const OWNER = { tenant: 't', session: 's' };
const FOR = { run: 's:train:0', seqId: 1 };
const result = (bytes: number): FutureResult => ({ kind: 'json', bytes: new Uint8Array(bytes) });
const work = () => ({ withdraw: vi.fn(), forgotten: vi.fn() });

beforeEach(() => {
  now = 0;
  futures = new Futures({ nowMs: () => now, keepMs: 1000, keepBytes: 100 });
});

it('wakes all that wait, and answers again and again', async () => {
  const future = futures.open(OWNER, FOR, work());
  const waits = [future.wait(60_000), future.wait(60_000)];
  future.settle(result(3));
  await Promise.all(waits);
  future.settle({ error: 'late', category: 'server' });
  expect(futures.find(future.id, 't')?.answer).toEqual(result(3));
  await future.wait(60_000);
});

it('waits no longer than asked, and not for a client that has gone', async () => {
  vi.useFakeTimers();
  try {
    const future = futures.open(OWNER, FOR, work());
    let leave = (): void => {};
    const short = future.wait(50);
    const left = future.wait(60_000, (gone) => {
      leave = gone;
    });
    leave();
    await left;
    await vi.advanceTimersByTimeAsync(50);
    await short;
    expect(vi.getTimerCount()).toBe(0);
    expect(future.answer).toBeNull();
  } finally {
    vi.useRealTimers();
  }
});

it('is another tenant’s for nobody else', () => {
  const { id } = futures.open(OWNER, FOR, work());
  expect(futures.find(id, 'other')).toBeNull();
  expect(futures.find('req-none', 't')).toBeNull();
});

it('keeps an answer for its time, and one that has none for as long as it takes', () => {
  const workOfKept = work();
  const kept = futures.open(OWNER, FOR, workOfKept);
  const pending = futures.open(OWNER, FOR, work());
  kept.settle(result(1));
  now = 999;
  futures.sweep();
  expect(futures.find(kept.id, 't')).toBe(kept);
  now = 1000;
  futures.sweep();
  expect(futures.find(kept.id, 't')).toBeNull();
  expect(workOfKept.forgotten).toHaveBeenCalledOnce();
  expect(futures.find(pending.id, 't')).toBe(pending);
});

it('keeps so many bytes, the newest whatever its size', () => {
  const all = [60, 30, 200].map((bytes) => {
    const future = futures.open(OWNER, FOR, work());
    future.settle(result(bytes));
    return future;
  });
  expect(all.map(({ id }) => futures.find(id, 't') !== null)).toEqual([false, false, true]);
});

it('stops what is computed, once, when it is cancelled or its session ends', () => {
  const first = work();
  const cancelled = futures.open(OWNER, FOR, first);
  cancelled.cancel();
  cancelled.cancel();
  expect(first.withdraw).toHaveBeenCalledOnce();
  expect(cancelled.answer).toMatchObject({ category: 'user' });
  const second = work();
  const ended = futures.open(OWNER, FOR, second);
  const other = futures.open({ tenant: 't', session: 'other' }, FOR, work());
  futures.endSession('s');
  expect(second.withdraw).toHaveBeenCalledOnce();
  expect([cancelled, ended, other].map(({ id }) => futures.find(id, 't') !== null)).toEqual([false, false, true]);
});

it('gives ids that nobody can guess or meet twice', () => {
  const ids = Array.from({ length: 1000 }, () => futures.open(OWNER, FOR, work()).id);
  expect(new Set(ids).size).toBe(1000);
  for (const id of ids) expect(id).toMatch(/^req-[0-9a-f]{16}[0-9a-z]+$/);
});

it('ends a session at the same cost however many answers others have', () => {
  futures = new Futures({ nowMs: () => now, keepMs: 1000, keepBytes: 1_000_000 });
  const settle = (session: string): void =>
    futures.open({ tenant: 't', session }, FOR, NOTHING_TO_STOP).settle(result(1));
  for (let n = 0; n < 40_000; n++) settle('big');
  for (let n = 0; n < 1000; n++) settle(`small ${n}`);
  const begun = performance.now();
  for (let n = 0; n < 1000; n++) futures.endSession(`small ${n}`);
  // A look at all of them each time takes a second.
  expect(performance.now() - begun).toBeLessThan(250);
});

it('knows which answer is the oldest after all others have gone', () => {
  const first = futures.open(OWNER, FOR, work());
  first.settle(result(1));
  futures.drop(first);
  for (const at of [1000, 2000]) {
    const future = futures.open(OWNER, FOR, work());
    future.settle(result(60));
    now = at - 1;
    futures.sweep();
    expect(futures.find(future.id, 't')).toBe(future);
    now = at;
    futures.sweep();
    expect(futures.find(future.id, 't')).toBeNull();
  }
});

it('keeps the answers of a tenant with few, when another one has many', () => {
  const answered = (tenant: string): string => {
    const future = futures.open({ tenant, session: tenant }, FOR, work());
    future.settle(result(20));
    return future.id;
  };
  const few = answered('few');
  const many = Array.from({ length: 6 }, () => answered('many'));
  expect(futures.find(few, 'few')).not.toBeNull();
  expect(many.map((id) => futures.find(id, 'many') !== null)).toEqual([false, false, true, true, true, true]);
  // One that has little is not the one to give.
  const second = answered('few');
  expect([few, second].map((id) => futures.find(id, 'few') !== null)).toEqual([false, true]);
});
