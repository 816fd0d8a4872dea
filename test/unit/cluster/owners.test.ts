import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Owners, watchLocally } from '../../../src/cluster/owners.js';
import { sessionId, sessionProcess } from '../../../src/cluster/session.js';
import { type Deferred, deferred } from '../../../src/util/deferred.js';

const GRACE_MS = 1000;

class Kit {
  readonly over: [string, string][] = [];
  readonly ends = new Map<string, Deferred<void>>();
  readonly owners = new Owners({
    graceMs: GRACE_MS,
    watch: (session) => {
      if (session.startsWith('far')) return null;
      const end = this.ends.get(session) ?? deferred<void>();
      this.ends.set(session, end);
      return end.promise;
    },
    gone: (session, why) => this.over.push([session, why]),
  });
}

describe('Owners', () => {
  let kit: Kit;
  beforeEach(() => {
    vi.useFakeTimers();
    kit = new Kit();
  });
  afterEach(() => {
    kit.owners.close();
    vi.useRealTimers();
  });

  it('keeps a session that is connected, however long', () => {
    kit.owners.here('a', true);
    vi.advanceTimersByTime(100 * GRACE_MS);
    expect(kit.over).toEqual([]);
  });

  it('ends a session at once when its process ends, connected or not', async () => {
    kit.owners.here('a', true);
    kit.owners.here('b', true);
    kit.owners.silent('b');
    kit.ends.get('a')?.resolve();
    kit.ends.get('b')?.resolve();
    await vi.advanceTimersByTimeAsync(0);
    expect(kit.over).toEqual([
      ['a', 'its process ended'],
      ['b', 'its process ended'],
    ]);
  });

  it('ends a silent session after the grace, and not when it came back before', () => {
    kit.owners.here('a', true);
    kit.owners.here('b', true);
    kit.owners.silent('a');
    kit.owners.silent('b');
    vi.advanceTimersByTime(GRACE_MS - 1);
    kit.owners.here('b', true);
    expect(kit.over).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(kit.over).toEqual([['a', 'silent for 1 s']]);
    vi.advanceTimersByTime(10 * GRACE_MS);
    expect(kit.over).toHaveLength(1);
  });

  it('gives a session of the journal the grace to join again', () => {
    kit.owners.here('far', false);
    vi.advanceTimersByTime(GRACE_MS);
    expect(kit.over).toEqual([['far', 'silent for 1 s']]);
  });

  it('tells the end once, also when the process ends after it left', async () => {
    kit.owners.here('a', true);
    kit.owners.left('a');
    kit.ends.get('a')?.resolve();
    await vi.advanceTimersByTimeAsync(0);
    expect(kit.over).toEqual([['a', 'it left']]);
  });
});

describe('sessions', () => {
  it('name their process for certain', () => {
    expect(sessionProcess(sessionId({ pid: 12, pidStart: '345' }, 'ab12'))).toEqual({ pid: 12, pidStart: '345' });
  });

  it.each(['', 'x', '12', '12.', '12.34', 'a.1.ff', '12.34.zz'])('reads no process from %j', (text) => {
    expect(sessionProcess(text)).toBeNull();
  });

  it('are over at once when the pid is another process by now', async () => {
    const waits: number[] = [];
    const watch = watchLocally(
      (pid, start) => pid === 1 && start === '7',
      (pid) => {
        waits.push(pid);
        return new Promise(() => {});
      },
    );
    expect(watch('nobody')).toBeNull();
    await watch('1.8.ff'); // another start: gone
    void watch('1.7.ff');
    expect(waits).toEqual([1]);
  });
});
