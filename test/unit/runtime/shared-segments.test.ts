/** Segments to all ranks of a gang, once per rank and epoch. */
import { beforeEach, expect, it, vi } from 'vitest';
import { SharedSegments } from '../../../src/runtime/shared-segments.js';
import type { OpenReplica } from '../../../src/serving/broadcast.js';
import type { SegmentReader, WeightStore } from '../../../src/serving/types/weights.js';
import type { Gang } from '../../../src/supervisor/gang.js';
import type { RankSession } from '../../../src/supervisor/rank-session.js';

type Fake = Pick<RankSession, 'rank' | 'over'> & { over: boolean };
const sessions = (): Fake[] => [0, 1, 2].map((rank) => ({ rank, over: false }));
let ranks: Fake[];
let epoch: number;
let segments: SharedSegments;
beforeEach(() => {
  [ranks, epoch] = [sessions(), 1];
  const gang = {
    // Two ranks, and behind them the engine process.
    spec: { id: 'm/0', worldSize: 2 },
    get epoch() {
      return epoch;
    },
    session: (rank: number) => ranks[rank] ?? null,
  } as unknown as Pick<Gang, 'spec' | 'epoch' | 'session'>;
  segments = new SharedSegments([gang]);
});
const replica = (): OpenReplica => ({ id: 'm/0', epoch }) as unknown as OpenReplica;

function store() {
  const shared: number[] = [];
  const unshared: number[] = [];
  const one: WeightStore = {
    name: 's',
    share: vi.fn(async ({ rank }: SegmentReader) => void shared.push(rank)),
    unshare: vi.fn(async ({ rank }: SegmentReader) => void unshared.push(rank)),
    hold: () => () => {},
  };
  return { one, shared, unshared };
}

it('go to ranks, not to the engine process, and only once', async () => {
  const { one, shared } = store();
  await Promise.all([segments.attach(replica(), one), segments.attach(replica(), one)]);
  await segments.attach(replica(), one);
  expect(shared).toEqual([0, 1]);
});

it('go to the ranks of a new start again; those before are gone', async () => {
  const { one, shared, unshared } = store();
  await segments.attach(replica(), one);
  for (const rank of ranks) rank.over = true;
  const stale = replica();
  [ranks, epoch] = [sessions(), 2];
  await expect(segments.attach(stale, one)).rejects.toMatchObject({ code: 'CHANNEL_CLOSED' });
  await segments.attach(replica(), one);
  expect(shared).toEqual([0, 1, 0, 1]);
  await segments.detach(one);
  expect(unshared).toEqual([0, 1]);
});

it('are tried again where they failed, and let go of whatever a rank says', async () => {
  const { one, shared, unshared } = store();
  vi.mocked(one.share).mockRejectedValueOnce(new Error('no descriptor arrived'));
  await expect(segments.attach(replica(), one)).rejects.toThrow('no descriptor');
  await segments.attach(replica(), one);
  expect(shared).toEqual([1, 0]);
  vi.mocked(one.unshare).mockRejectedValueOnce(new Error('a tensor looks at it'));
  await segments.detach(one);
  expect(unshared).toEqual([0]);
  await segments.attach(replica(), one);
  expect(shared).toEqual([1, 0, 0, 1]);
});
