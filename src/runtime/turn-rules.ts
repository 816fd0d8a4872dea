/**
 * Whose turn it is on devices that a model's replicas and the ranks that train it share: the rules. Pure: times and wishes come in, what comes
 * next goes out. `device-turns.ts` carries it out.
 */

/**
 * sampling: replicas are awake and take requests. closing: they take none, and what runs there ends. falling-asleep. training: replicas sleep.
 * ending: no further pass is begun. waking.
 */
export type TurnPhase = 'sampling' | 'closing' | 'falling-asleep' | 'training' | 'ending' | 'waking';

export interface Turn {
  readonly phase: TurnPhase;
  /** When the phase began, ms. */
  readonly sinceMs: number;
}

/** What one side has to do. */
export interface Wish {
  /** On its devices now. */
  readonly running: number;
  /** Until it has the devices. */
  readonly waiting: number;
  /** When it last ran or waited, ms. */
  readonly lastMs: number;
}

export interface Wishes {
  readonly sampling: Wish;
  readonly training: Wish;
  /** A replica loads, or is awake though it should not be: it needs the devices before anybody else does. */
  readonly loading: boolean;
}

export interface TurnRules {
  /** Who has the devices keeps them at least so long while there is something to do, and what runs gets as long to end. */
  readonly holdMs: number;
  /** Who has nothing to do for so long gives way to who has: a client that asks for one thing after the other is not through yet. */
  readonly gapMs: number;
  /** Replicas wake when nothing was trained for so long, though nobody asks for them. */
  readonly quietMs: number;
}

export const TURN_RULES: TurnRules = { holdMs: 5_000, gapMs: 100, quietMs: 2_000 };

/** What comes next, and when to look again at the latest; null: not before something changes. */
export interface Decision {
  readonly phase: TurnPhase;
  readonly lookAtMs: number | null;
}

const busy = ({ running, waiting }: Wish): boolean => running + waiting > 0;

/** One look. Phases in which something is carried out stay until that is over. */
export function decide({ phase, sinceMs }: Turn, wishes: Wishes, nowMs: number, rules: TurnRules): Decision {
  const { loading, sampling, training } = wishes;
  const stay: Decision = { phase, lookAtMs: null };
  const once = (atMs: number, next: TurnPhase): Decision =>
    nowMs >= atMs ? { phase: next, lookAtMs: null } : { phase, lookAtMs: atMs };
  switch (phase) {
    case 'sampling':
      if (loading || training.waiting === 0) return stay;
      return once(busy(sampling) ? sinceMs + rules.holdMs : sampling.lastMs + rules.gapMs, 'closing');
    case 'closing':
      if (loading || training.waiting === 0) return { phase: 'sampling', lookAtMs: null };
      return sampling.running === 0
        ? { phase: 'falling-asleep', lookAtMs: null }
        : once(sinceMs + rules.holdMs, 'falling-asleep');
    case 'training':
      if (loading) return { phase: 'ending', lookAtMs: null };
      if (sampling.waiting > 0) return once(busy(training) ? sinceMs + rules.holdMs : idleAt(rules.gapMs), 'ending');
      return busy(training) ? stay : once(idleAt(rules.quietMs), 'ending');
    case 'ending':
      return training.running === 0 ? { phase: 'waking', lookAtMs: null } : stay;
    default:
      return stay;
  }

  function idleAt(afterMs: number): number {
    return Math.max(training.lastMs, sinceMs) + afterMs;
  }
}
