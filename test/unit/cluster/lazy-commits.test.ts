import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LazyCommits } from '../../../src/cluster/lazy-commits.js';
import type { ToAgent } from '../../../src/cluster/types.js';

const commit = (txn: string): ToAgent => ({ t: 'commit', txn });
const release = (txn: string): ToAgent => ({ t: 'release', txn });

describe('LazyCommits', () => {
  const sent: string[] = [];
  const lazy = new LazyCommits((node, { epoch, messages }) =>
    sent.push(`${node}@${epoch}: ${messages.map((message) => `${message.t} ${'txn' in message ? message.txn : ''}`)}`),
  );
  const send = (node: string, ...messages: ToAgent[]): void => lazy.send(node, { epoch: 3, messages });
  beforeEach(() => {
    vi.useFakeTimers();
    sent.length = 0;
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('keeps commits for a moment, all of them in one batch a node', () => {
    send('a', commit('1'));
    send('a', commit('2'));
    send('b', commit('3'));
    expect(sent).toEqual([]);
    vi.runAllTimers();
    expect(sent).toEqual(['a@3: commit 1,commit 2', 'b@3: commit 3']);
    vi.runAllTimers();
    expect(sent).toHaveLength(2);
  });

  it('sends them before anything else that goes to the node, and that at once', () => {
    send('a', commit('1'));
    send('b', commit('2'));
    send('a', { t: 'renew', fencingMs: 1, graceMs: 1 } as ToAgent);
    expect(sent).toEqual(['a@3: commit 1,renew ']);
    vi.runAllTimers();
    expect(sent).toEqual(['a@3: commit 1,renew ', 'b@3: commit 2']);
  });

  it('does not commit what is released by then', () => {
    send('a', commit('1'));
    send('a', commit('2'));
    send('a', release('1'));
    expect(sent).toEqual(['a@3: commit 2,release 1']);
    vi.runAllTimers();
    expect(sent).toHaveLength(1);
  });

  it('can be told to send at once', () => {
    send('a', commit('1'));
    lazy.flush();
    expect(sent).toEqual(['a@3: commit 1']);
    expect(vi.getTimerCount()).toBe(0);
  });
});
