import { expect, it } from 'vitest';
import { type Counts, simulate } from './spilling-simulation.js';

const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8];
const counts: Counts = {};

it.each(SEEDS)(
  'every object has the bytes that were written, wherever it is, and nothing is left (seed %d)',
  async (seed) => {
    for (const [what, times] of Object.entries(await simulate(seed, 1500))) counts[what] = (counts[what] ?? 0) + times;
  },
);

it('all of that was tried', () => {
  const often = ['put', 'opened', 'opened from disk', 'dropped', 'disk refused', 'STORAGE_FAILED', 'let go', 'died'];
  const away = ['away stored', 'away late', 'away gone', 'opened from away', 'source failed', 'NODE_LOST', 'visited'];
  for (const what of [...often, ...away, 'SHM_FULL', 'abandoned', 'it was withdrawn']) {
    expect(counts[what], what).toBeGreaterThan(20);
  }
});
