import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import type { RunOperation } from '../../../src/training/run-answers.js';
import { timed } from '../../../src/training/timed-operation.js';
import { TrainerQueue } from '../../../src/training/trainer-queue.js';
import { FakeTrainer, outcome } from './fake-trainer.js';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});
const flush = () => new Promise((resolve) => setImmediate(resolve));

const LIMITS = { queueTimeoutMs: 1000, executionTimeoutMs: 500 };
const work = (name: string) => ({
  ...{ run: 'r', loss: name, config: {}, forward_only: false, tokens: Buffer.of(), lengths: [], inputs: [] },
});

function pass(heard: string[], name = 'pass'): RunOperation {
  const failed = (error: unknown): void => {
    heard.push(error instanceof TwinkleError ? `${name} ${error.code}` : `${name} ${String(error)}`);
  };
  const sent = (): void => {
    heard.push(`${name} sent`);
  };
  return { kind: 'pass', work: work(name), tokens: 1, sent, done: () => heard.push(`${name} done`), failed };
}

describe('an operation', () => {
  it('without limits is what it was', () => {
    const operation = pass([]);
    expect(timed(operation, { queueTimeoutMs: null, executionTimeoutMs: null })).toBe(operation);
  });

  it('that waits too long fails once, and is not to be begun', () => {
    const heard: string[] = [];
    const operation = timed(pass(heard), LIMITS);
    vi.advanceTimersByTime(999);
    expect([heard, operation.abandoned?.()]).toEqual([[], false]);
    vi.advanceTimersByTime(1);
    expect([heard, operation.abandoned?.()]).toEqual([['pass DEADLINE_EXCEEDED'], true]);
    operation.failed(new Error('it was given up'));
    vi.advanceTimersByTime(10_000);
    expect(heard).toEqual(['pass DEADLINE_EXCEEDED']);
  });

  it('that was begun in time has all of the other limit', () => {
    const heard: string[] = [];
    const operation = timed(pass(heard), LIMITS);
    vi.advanceTimersByTime(999);
    operation.sent();
    vi.advanceTimersByTime(499);
    if (operation.kind === 'pass') operation.done(outcome());
    vi.advanceTimersByTime(10_000);
    expect(heard).toEqual(['pass sent', 'pass done']);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('that is computed too long fails, and its end is not told', () => {
    const heard: string[] = [];
    const operation = timed(pass(heard), LIMITS);
    operation.sent();
    vi.advanceTimersByTime(500);
    if (operation.kind === 'pass') operation.done(outcome());
    operation.failed(new Error('late'));
    expect(heard).toEqual(['pass sent', 'pass DEADLINE_EXCEEDED']);
  });

  it('says for how long it waited, or was computed', () => {
    const said: string[] = [];
    const failed = (error: unknown): void => {
      said.push((error as Error).message);
    };
    timed({ ...pass([]), failed }, LIMITS);
    vi.advanceTimersByTime(1000);
    timed({ ...pass([]), failed }, LIMITS).sent();
    vi.advanceTimersByTime(500);
    expect(said).toEqual([
      'the request waited for more than 1 s and was not begun',
      expect.stringMatching(/^the request is computed for more than 0.5 s; it goes on, and its gradient may count/),
    ]);
  });

  it('tells whether it had begun', () => {
    const said: unknown[] = [];
    const failed = (error: unknown): void => {
      said.push((error as TwinkleError).details);
    };
    timed({ ...pass([]), failed }, LIMITS);
    timed({ ...pass([]), failed }, LIMITS).sent();
    vi.advanceTimersByTime(1000);
    expect(said).toEqual([{ begun: true }, { begun: false }]);
  });

  it('has limits longer than a timer can be', () => {
    const heard: string[] = [];
    timed(pass(heard), { queueTimeoutMs: 1e12, executionTimeoutMs: null });
    vi.advanceTimersByTime(10 ** 7);
    expect(heard).toEqual([]);
  });

  it.each([
    [{ queueTimeoutMs: null, executionTimeoutMs: 500 }, 10 ** 7, 500],
    [{ queueTimeoutMs: 1000, executionTimeoutMs: null }, 999, 10 ** 7],
  ])('with %j alone has no other limit', (limits, waits, computes) => {
    const heard: string[] = [];
    const operation = timed(pass(heard), limits);
    vi.advanceTimersByTime(waits);
    operation.sent();
    vi.advanceTimersByTime(computes - 1);
    expect(heard).toEqual(['pass sent']);
  });

  it('of a call is over with its answer', async () => {
    const heard: string[] = [];
    const call: RunOperation = {
      ...{ kind: 'call', sent() {}, failed: (error) => heard.push(String(error)) },
      send: async () => {
        heard.push('answered');
      },
    };
    const operation = timed(call, LIMITS);
    operation.sent();
    if (operation.kind === 'call') await operation.send(new FakeTrainer());
    vi.advanceTimersByTime(10_000);
    expect([heard, vi.getTimerCount()]).toEqual([['answered'], 0]);
  });
});

describe('on the way to the ranks', () => {
  it('what was given up is never sent, whatever it is behind, and what is behind it is', async () => {
    const [heard, trainer] = [[] as string[], new FakeTrainer()];
    trainer.automatic = false;
    const queue = new TrainerQueue(trainer);
    const [one, two] = [
      { id: 'one', waiting: [] },
      { id: 'two', waiting: [] },
    ];
    // Both calls are on their way: all others wait.
    for (const name of ['a', 'b']) queue.add(one, pass(heard, name));
    queue.add(one, pass(heard, 'ahead'));
    queue.add(one, timed(pass(heard, 'late'), LIMITS));
    queue.add(two, timed(pass(heard, 'also late'), LIMITS));
    queue.add(one, pass(heard, 'next'));
    vi.advanceTimersByTime(1000);
    queue.add(two, timed(pass(heard, 'in time'), LIMITS));
    trainer.answer(0);
    await flush();
    trainer.answer(1);
    await flush();
    trainer.automatic = true;
    for (let at = 2; at < trainer.sent.length; at++) trainer.answer(at);
    await flush();
    const sent = trainer.sent.flatMap(({ params }) => (params as { works: { loss: string }[] }).works);
    expect(sent.map(({ loss }) => loss).sort()).toEqual(['a', 'ahead', 'b', 'in time', 'next']);
    expect(heard.filter((one) => one.includes('late'))).toEqual([
      'late DEADLINE_EXCEEDED',
      'also late DEADLINE_EXCEEDED',
    ]);
    expect([one.waiting, two.waiting]).toEqual([[], []]);
  });
});
