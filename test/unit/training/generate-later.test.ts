import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import type { TokenSink } from '../../../src/serving/types.js';
import { generateLater } from '../../../src/training/generate-later.js';
import { deferred } from '../../../src/util/deferred.js';

let said: string[];
let sink: TokenSink;
beforeEach(() => {
  vi.useFakeTimers();
  said = [];
  sink = {
    delta() {},
    end() {},
    error: (error: TwinkleError) => void said.push(error.message),
  } as unknown as TokenSink;
});
afterEach(() => vi.useRealTimers());

const begin = () => {
  said.push('begin');
  return { abort: () => void said.push('abort'), pause: (now: boolean) => void said.push(`pause ${now}`) };
};

it('begins when the weights are here, as paused as it is by then', async () => {
  const here = deferred<void>();
  const generation = generateLater(here.promise, begin, sink);
  generation.pause(true);
  expect(said).toEqual([]);
  here.resolve();
  await vi.advanceTimersByTimeAsync(0);
  generation.pause(false);
  generation.abort();
  expect(said).toEqual(['begin', 'pause true', 'pause false', 'abort']);
});

it('says why they are not, and does not begin what was aborted', async () => {
  const [here, never] = [deferred<void>(), deferred<void>()];
  generateLater(here.promise, begin, sink).abort();
  generateLater(never.promise, begin, sink);
  here.resolve();
  never.reject(new TwinkleError('STORAGE_FAILED', 'gone'));
  await vi.advanceTimersByTimeAsync(0);
  expect(said).toEqual(['gone']);
});

it('waits for a model that is busy, and hears what will not change', async () => {
  const refusals = [
    new TwinkleError('OVERLOADED', 'full', { retryAfterMs: 1000 }),
    new TwinkleError('MODEL_NOT_FOUND', 'no such model'),
  ];
  generateLater(
    Promise.resolve(),
    () => {
      throw refusals.shift();
    },
    sink,
  );
  await vi.advanceTimersByTimeAsync(249);
  expect([said, refusals.length]).toEqual([[], 1]);
  await vi.advanceTimersByTimeAsync(1);
  expect(said).toEqual(['no such model']);
});
