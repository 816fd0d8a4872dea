import { expect, it } from 'vitest';
import { Feed } from '../../../src/training/completion-feed.js';

const names = (feed: Feed, after: number): string[] => feed.after(after).map(({ requestId }) => requestId);

it('says what came after what was heard of, again until it was', () => {
  const feed = new Feed();
  for (const requestId of ['a', 'b', 'c']) feed.add({ requestId, size: 1 });
  expect(names(feed, 0)).toEqual(['a', 'b', 'c']);
  expect(feed.cursor).toBe(3);
  expect(names(feed, 2)).toEqual(['c']);
  expect(names(feed, 2)).toEqual(['c']);
  feed.add({ requestId: 'd', size: null });
  expect(names(feed, 3)).toEqual(['d']);
  expect(names(feed, 99)).toEqual([]);
});

it('wakes whoever waits', async () => {
  const feed = new Feed();
  const waits = [feed.wait(60_000), feed.wait(1)];
  feed.add({ requestId: 'a', size: 1 });
  await Promise.all(waits);
  await feed.wait(60_000, (leave) => leave());
});

it('stays small when nobody asks', () => {
  const feed = new Feed();
  for (let at = 0; at < 25_000; at++) feed.add({ requestId: String(at), size: 1 });
  const kept = names(feed, 0);
  expect(kept.length).toBeLessThanOrEqual(10_000);
  expect(kept.at(-1)).toBe('24999');
  expect(feed.cursor).toBe(25_000);
});
