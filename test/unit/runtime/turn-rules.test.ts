import { describe, expect, it } from 'vitest';
import { decide, type TurnPhase, type Wish } from '../../../src/runtime/turn-rules.js';

const RULES = { holdMs: 5_000, gapMs: 100, quietMs: 2_000 };
const NOW = 100_000;
/** Nothing to do for a minute. */
const NONE: Wish = { running: 0, waiting: 0, lastMs: NOW - 60_000 };
const RUNS: Wish = { running: 1, waiting: 0, lastMs: NOW };
const WAITS: Wish = { running: 0, waiting: 1, lastMs: NOW };
const BOTH: Wish = { running: 1, waiting: 1, lastMs: NOW };
const justOver = (agoMs: number): Wish => ({ running: 0, waiting: 0, lastMs: NOW - agoMs });

interface Case {
  readonly name: string;
  readonly phase: TurnPhase;
  /** How long the phase has lasted. */
  readonly forMs: number;
  readonly sampling: Wish;
  readonly training: Wish;
  readonly loading?: boolean;
  readonly next: TurnPhase;
  /** From now on; absent: nothing to look at. */
  readonly lookInMs?: number;
}

const TABLE: readonly Case[] = [
  { name: 'nobody wants to train', phase: 'sampling', forMs: 9e4, sampling: RUNS, training: NONE, next: 'sampling' },
  { name: 'nobody samples', phase: 'sampling', forMs: 0, sampling: NONE, training: WAITS, next: 'closing' },
  {
    name: 'somebody sampled just now',
    phase: 'sampling',
    forMs: 9e4,
    sampling: justOver(40),
    training: WAITS,
    next: 'sampling',
    lookInMs: 60,
  },
  {
    name: 'samples of a young turn',
    phase: 'sampling',
    forMs: 1_000,
    sampling: BOTH,
    training: WAITS,
    next: 'sampling',
    lookInMs: 4_000,
  },
  { name: 'samples of an old turn', phase: 'sampling', forMs: 5_000, sampling: BOTH, training: WAITS, next: 'closing' },
  {
    name: 'a replica that loads has the devices, however long',
    phase: 'sampling',
    forMs: 9e4,
    sampling: NONE,
    training: WAITS,
    loading: true,
    next: 'sampling',
  },
  {
    name: 'requests end first',
    phase: 'closing',
    forMs: 1_000,
    sampling: BOTH,
    training: WAITS,
    next: 'closing',
    lookInMs: 4_000,
  },
  { name: 'all have ended', phase: 'closing', forMs: 0, sampling: WAITS, training: WAITS, next: 'falling-asleep' },
  { name: 'one does not end', phase: 'closing', forMs: 5_000, sampling: RUNS, training: WAITS, next: 'falling-asleep' },
  { name: 'what waited was given up', phase: 'closing', forMs: 10, sampling: RUNS, training: NONE, next: 'sampling' },
  {
    name: 'a replica died while closing',
    phase: 'closing',
    forMs: 10,
    sampling: NONE,
    training: WAITS,
    loading: true,
    next: 'sampling',
  },
  {
    name: 'sleep takes its time',
    phase: 'falling-asleep',
    forMs: 9e4,
    sampling: WAITS,
    training: NONE,
    next: 'falling-asleep',
  },
  {
    name: 'nobody samples, much to train',
    phase: 'training',
    forMs: 9e4,
    sampling: NONE,
    training: BOTH,
    next: 'training',
  },
  {
    name: 'samples wait for a young turn',
    phase: 'training',
    forMs: 2_000,
    sampling: WAITS,
    training: RUNS,
    next: 'training',
    lookInMs: 3_000,
  },
  {
    name: 'samples wait for an old turn',
    phase: 'training',
    forMs: 5_000,
    sampling: WAITS,
    training: BOTH,
    next: 'ending',
  },
  {
    name: 'the next pass may come',
    phase: 'training',
    forMs: 2_000,
    sampling: WAITS,
    training: justOver(30),
    next: 'training',
    lookInMs: 70,
  },
  { name: 'no pass comes', phase: 'training', forMs: 2_000, sampling: WAITS, training: justOver(100), next: 'ending' },
  {
    name: 'what has just begun is not idle for long',
    phase: 'training',
    forMs: 10,
    sampling: WAITS,
    training: NONE,
    next: 'training',
    lookInMs: 90,
  },
  {
    name: 'a quiet while',
    phase: 'training',
    forMs: 9e4,
    sampling: NONE,
    training: justOver(500),
    next: 'training',
    lookInMs: 1_500,
  },
  { name: 'quiet for long', phase: 'training', forMs: 9e4, sampling: NONE, training: justOver(2_000), next: 'ending' },
  {
    name: 'a replica died, and loads',
    phase: 'training',
    forMs: 10,
    sampling: NONE,
    training: BOTH,
    loading: true,
    next: 'ending',
  },
  { name: 'a pass is not cut', phase: 'ending', forMs: 9e4, sampling: WAITS, training: BOTH, next: 'ending' },
  { name: 'the pass is over', phase: 'ending', forMs: 10, sampling: WAITS, training: WAITS, next: 'waking' },
  { name: 'waking takes its time', phase: 'waking', forMs: 9e4, sampling: WAITS, training: WAITS, next: 'waking' },
];

describe('whose turn it is', () => {
  it.each(TABLE)('$phase: $name → $next', ({ forMs, loading = false, lookInMs, next, phase, sampling, training }) => {
    const turn = { phase, sinceMs: NOW - forMs };
    const lookAtMs = lookInMs === undefined ? null : NOW + lookInMs;
    expect(decide(turn, { sampling, training, loading }, NOW, RULES)).toEqual({ phase: next, lookAtMs });
  });

  it('lets both have it in turn while both always want it', () => {
    const always = { sampling: BOTH, training: BOTH, loading: false };
    const done: Partial<Record<TurnPhase, TurnPhase>> = { 'falling-asleep': 'training', waking: 'sampling' };
    let turn = { phase: 'sampling' as TurnPhase, sinceMs: 0 };
    const spent: Record<string, number> = {};
    for (let nowMs = 0; nowMs < 60_000; nowMs += 250) {
      // Requests that are let in no more end within a second, and so does a pass.
      const ends = nowMs - turn.sinceMs >= 1_000 && (turn.phase === 'closing' || turn.phase === 'ending');
      const wishes = ends ? { sampling: WAITS, training: WAITS, loading: false } : always;
      const { phase } = decide(turn, wishes, nowMs, RULES);
      const next = done[phase] ?? phase;
      if (next !== turn.phase) turn = { phase: next, sinceMs: nowMs };
      spent[turn.phase] = (spent[turn.phase] ?? 0) + 250;
    }
    expect(spent.sampling).toBeGreaterThan(20_000);
    expect(spent.training).toBeGreaterThan(20_000);
  });
});
