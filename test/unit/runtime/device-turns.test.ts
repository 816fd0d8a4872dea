import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { DeviceTurns } from '../../../src/runtime/device-turns.js';
import { type Deferred, deferred } from '../../../src/util/deferred.js';

const RULES = { holdMs: 5_000, gapMs: 100, quietMs: 2_000 };

/** Replicas that sleep at once, unless the test holds them; all that happens, in order. */
function setUp() {
  const requests = { running: 0, waiting: 0 };
  const seen: string[] = [];
  const replicas = { loading: false, open: true, hold: null as Deferred<void> | null };
  const turns: DeviceTurns = new DeviceTurns({
    rules: RULES,
    nowMs: () => Date.now(),
    sides: {
      requests: () => requests,
      loading: () => replicas.loading,
      open: () => replicas.open,
      shut: () => seen.push('shut'),
      sleep: async () => {
        await replicas.hold?.promise;
        seen.push('asleep');
      },
      wake: async () => {
        seen.push('awake');
      },
      changed: () => {},
    },
  });
  turns.release = async () => {
    seen.push('released');
  };
  /** A job that the test ends. */
  const job = (side: 'train' | 'sample' | 'beside', name: string): Deferred<void> => {
    const end = deferred<void>();
    turns[side](async () => {
      seen.push(name);
      await end.promise;
    }).catch((error: Error) => seen.push(`${name}: ${error.message}`));
    return end;
  };
  return { turns, requests, replicas, seen, job };
}

const passes = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
});
afterEach(() => {
  vi.useRealTimers();
});

describe('turns', () => {
  it('go to training while nobody samples, and back when it has been quiet', async () => {
    const { job, seen, turns } = setUp();
    const first = job('train', 'pass 1');
    const second = job('train', 'pass 2');
    await passes(0);
    expect([turns.phase, ...seen]).toEqual(['training', 'shut', 'asleep', 'pass 1', 'pass 2']);
    const third = job('train', 'pass 3');
    expect(seen.at(-1)).toBe('pass 3'); // at once, in its turn
    for (const one of [first, second, third]) one.resolve();
    await passes(1_900);
    expect(turns.phase).toBe('training');
    await passes(200);
    expect([turns.phase, ...seen.slice(5)]).toEqual(['sampling', 'released', 'awake']);
  });

  it('wait for requests that run, and for no request for ever', async () => {
    const { job, requests, seen, turns } = setUp();
    await passes(60_000);
    requests.running = 1;
    job('train', 'pass');
    await passes(0);
    expect([turns.phase, seen]).toEqual(['closing', ['shut']]);
    await passes(4_900);
    expect(turns.phase).toBe('closing');
    await passes(200);
    expect([turns.phase, ...seen]).toEqual(['training', 'shut', 'asleep', 'pass']);
  });

  it('end as soon as the requests have, or the pass was given up', async () => {
    const { job, requests, turns } = setUp();
    await passes(60_000);
    requests.running = 1;
    job('train', 'pass');
    await passes(100);
    requests.running = 0;
    turns.look();
    await passes(0);
    expect(turns.phase).toBe('training');
  });

  it('let in no more passes than were begun when requests have waited long enough', async () => {
    const { job, requests, seen, turns } = setUp();
    const pass = job('train', 'pass 1');
    await passes(0);
    requests.waiting = 1;
    turns.look();
    await passes(4_000);
    expect(turns.phase).toBe('training');
    await passes(1_000);
    expect(turns.phase).toBe('ending');
    const next = job('train', 'pass 2');
    pass.resolve();
    await passes(0);
    expect([turns.phase, ...seen.slice(2)]).toEqual(['sampling', 'pass 1', 'released', 'awake']);
    // It comes in the next turn, which the requests do not keep it from for ever.
    requests.waiting = 0;
    requests.running = 3;
    await passes(10_100);
    expect(seen.at(-1)).toBe('pass 2');
    next.resolve();
  });

  it('let what needs replicas awake wait for them', async () => {
    const { job, replicas, seen, turns } = setUp();
    job('sample', 'load 1').resolve();
    expect(seen).toEqual(['load 1']);
    const pass = job('train', 'pass');
    await passes(200);
    expect(turns.phase).toBe('training');
    replicas.open = false; // those that wake are told what they have missed first
    const load = job('sample', 'load 2');
    pass.resolve();
    await passes(200);
    expect([turns.phase, seen.at(-1)]).toEqual(['sampling', 'awake']);
    replicas.open = true;
    turns.look();
    expect(seen.at(-1)).toBe('load 2');
    // While it loads, there is somebody who samples.
    job('train', 'pass 2');
    await passes(4_000);
    expect(turns.phase).toBe('sampling');
    load.resolve();
    await passes(200);
    expect(turns.phase).toBe('training');
  });

  it('do not wait for ever for a replica that takes no requests', async () => {
    const { job, replicas, seen } = setUp();
    replicas.open = false;
    job('sample', 'load');
    await passes(4_900);
    expect(seen).toEqual([]);
    await passes(200);
    expect(seen).toEqual(['load']);
  });

  it('are not needed by what takes little, unless it would overtake what waits', async () => {
    const { job, replicas, seen, turns } = setUp();
    replicas.hold = deferred();
    job('beside', 'save 1').resolve();
    expect([turns.phase, ...seen]).toEqual(['sampling', 'save 1']);
    const step = job('train', 'step');
    job('beside', 'save 2').resolve();
    await passes(200);
    expect(seen).toEqual(['save 1', 'shut']);
    replicas.hold.resolve();
    await passes(0);
    expect(seen).toEqual(['save 1', 'shut', 'asleep', 'step', 'save 2']);
    step.resolve();
  });

  it('go back at once when a replica loads, and stay until it has', async () => {
    const { job, replicas, seen, turns } = setUp();
    const pass = job('train', 'pass');
    await passes(0);
    replicas.loading = true;
    turns.look();
    job('train', 'next');
    expect(turns.phase).toBe('ending');
    pass.reject(new Error('the rank died'));
    await passes(60_000);
    expect([turns.phase, ...seen.slice(3)]).toEqual(['sampling', 'pass: the rank died', 'released', 'awake']);
    replicas.loading = false;
    turns.look();
    await passes(0);
    expect(seen.at(-1)).toBe('next');
  });

  it('are over with the server', async () => {
    const { job, replicas, seen, turns } = setUp();
    replicas.hold = deferred();
    job('train', 'pass');
    await passes(0);
    turns[Symbol.dispose]();
    job('train', 'late');
    await passes(0);
    replicas.hold.resolve();
    await passes(10_000);
    const why = 'the server is shutting down';
    expect(seen).toEqual(['shut', `pass: ${why}`, `late: ${why}`, 'asleep']);
  });
});
