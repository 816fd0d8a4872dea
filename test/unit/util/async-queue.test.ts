import { expect, it, vi } from 'vitest';
import { AsyncQueue } from '../../../src/util/async-queue.js';

const hooks = () => ({ pause: vi.fn(), cancel: vi.fn() });

it('gives what was pushed, before and after the reader came, then the end', async () => {
  const queue = new AsyncQueue<number>(hooks());
  queue.push(1);
  const read: number[] = [];
  const reading = (async () => {
    for await (const item of queue) read.push(item);
  })();
  await Promise.resolve();
  queue.push(2);
  await Promise.resolve();
  queue.push(3);
  queue.end();
  queue.push(4);
  await reading;
  expect(read).toEqual([1, 2, 3]);
});

it('gives what is queued before it fails', async () => {
  const queue = new AsyncQueue<number>(hooks());
  queue.push(1);
  queue.fail(new Error('broken'));
  expect(await queue.next()).toEqual({ value: 1, done: false });
  await expect(queue.next()).rejects.toThrow('broken');
  expect(await queue.next()).toEqual({ value: undefined, done: true });
});

it('fails a reader that waits', async () => {
  const queue = new AsyncQueue<number>(hooks());
  const next = queue.next();
  queue.fail(new Error('broken'));
  await expect(next).rejects.toThrow('broken');
});

it('pauses its source when full and resumes it when empty', async () => {
  const told = hooks();
  const queue = new AsyncQueue<number>(told, 2);
  queue.push(1);
  expect(told.pause).not.toHaveBeenCalled();
  queue.push(2);
  expect(told.pause).toHaveBeenLastCalledWith(true);
  await queue.next();
  await queue.next();
  expect(told.pause.mock.calls).toEqual([[true], [false]]);
});

it('tells its source when the reader leaves early, once', async () => {
  const told = hooks();
  const queue = new AsyncQueue<number>(told);
  queue.push(1);
  for await (const item of queue) {
    expect(item).toBe(1);
    break;
  }
  await queue.return();
  expect(told.cancel).toHaveBeenCalledTimes(1);
});

it('answers calls of next that overlap, in order', async () => {
  const queue = new AsyncQueue<number>(hooks());
  const three = Promise.all([queue.next(), queue.next(), queue.next()]);
  queue.push(1);
  queue.push(2);
  queue.end();
  expect((await three).map(({ value, done }) => (done ? 'done' : value))).toEqual([1, 2, 'done']);
});

it('fails once: readers that wait behind the first see the end', async () => {
  const queue = new AsyncQueue<number>(hooks());
  const both = Promise.allSettled([queue.next(), queue.next()]);
  queue.fail(new Error('broken'));
  expect((await both).map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
  expect(await queue.next()).toEqual({ value: undefined, done: true });
});

it('ends a reader that waits while another leaves', async () => {
  const told = hooks();
  const queue = new AsyncQueue<number>(told);
  const waiting = queue.next();
  await queue.return();
  expect(await waiting).toEqual({ value: undefined, done: true });
  expect(told.cancel).toHaveBeenCalledTimes(1);
});
