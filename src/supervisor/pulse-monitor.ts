/** Judges the signs of life of a gang's members. Pure: times come in, verdicts go out. */
import type { Beat } from '../protocol/frames.js';

export interface PulsePolicy {
  /** A rank that sends no beat for so long is taken for dead although its process exists (stopped, swapped out, wedged). */
  readonly silenceMs: number;
  /** A main loop that has not turned for so long, while it is in a step, hangs. */
  readonly stallMs: number;
  /** Beats come so often. */
  readonly beatMs: number;
  /** A member of the gang as people call it. */
  name(rank: number): string;
}

/** Who is to blame, and why. */
export interface Verdict {
  readonly rank: number;
  readonly reason: string;
}

/** When a member was last heard; null: it has only joined. */
interface Heard {
  readonly atMs: number;
  readonly beat: Pick<Beat, 'phase' | 'busy_ms' | 'waits'> | null;
}

/** So many beats may be late or lost without a meaning. */
const FEW_BEATS = 3;

export class PulseMonitor {
  readonly #last = new Map<number, Heard>();
  #looked: number | null = null;

  constructor(private readonly policy: PulsePolicy) {}

  /** A rank joined; its beats are expected from now on. */
  expect(rank: number, nowMs: number): void {
    this.#last.set(rank, { atMs: nowMs, beat: null });
  }

  /** A beat came. Returns who hangs, which need not be who sent it, or null. */
  beat(rank: number, beat: Beat, nowMs: number): Verdict | null {
    this.#last.set(rank, { atMs: nowMs, beat });
    const { stallMs } = this.policy;
    return beat.phase === 'step' && beat.busy_ms >= stallMs
      ? this.culprit(rank, 'one engine step', beat.busy_ms, nowMs)
      : null;
  }

  /**
   * Ranks wait for each other, so whose time is up need not be who hangs: that is a member that has fallen silent; else the one that has
   * worked longest without waiting for others.
   * @param late whose time is up
   * @param where that member is, in words
   * @param forMs since when
   */
  culprit(late: number, where: string, forMs: number, nowMs: number): Verdict {
    const { name } = this.policy;
    const own = this.#last.get(late)?.beat ?? null;
    const waiting = own?.waits == null ? `is in ${where}` : `waits for it (${own.waits})`;
    const silent = this.#quietest(nowMs, FEW_BEATS * this.policy.beatMs);
    if (silent !== null && silent.rank !== late) {
      return { rank: silent.rank, reason: `${silent.reason}; ${name(late)} ${waiting}` };
    }
    const working = this.#longestAtWork();
    if (working !== null && working.rank !== late && own?.waits != null) {
      const { rank, busyMs, phase } = working;
      return {
        rank,
        reason: `${name(rank)} has been in \`${phase}\` for ${busyMs} ms: it hangs; ${name(late)} ${waiting}`,
      };
    }
    const whom = own?.waits == null ? '' : `, waiting for others (${own.waits})`;
    return {
      rank: late,
      reason: `${name(late)} has been inside ${where} for ${Math.round(forMs)} ms${whom}: it hangs`,
    };
  }

  /**
   * A rank that has been silent too long, with the reason. To be asked often.
   * @param serving a start is over: nothing holds the interpreter for long any more, and a step's bound holds for silence, too
   */
  silent(nowMs: number, serving = false): Verdict | null {
    const { silenceMs, stallMs, beatMs } = this.policy;
    const limitMs = serving ? Math.min(silenceMs, Math.max(stallMs, FEW_BEATS * beatMs)) : silenceMs;
    const asleep = this.#looked !== null && nowMs - this.#looked >= 0.9 * limitMs;
    this.#looked = nowMs;
    // We were stopped or busy ourselves: the beats of that time still wait to be read, so everyone gets the time anew.
    if (asleep) for (const [rank, { beat }] of this.#last) this.#last.set(rank, { atMs: nowMs, beat });
    return this.#quietest(nowMs, limitMs);
  }

  clear(): void {
    this.#last.clear();
    this.#looked = null;
  }

  /** Of those that have said nothing for `limitMs`, who has said nothing for longest. */
  #quietest(nowMs: number, limitMs: number): Verdict | null {
    let found: { rank: number; heard: Heard } | null = null;
    for (const [rank, heard] of this.#last) {
      if (nowMs - heard.atMs >= limitMs && heard.atMs < (found?.heard.atMs ?? Infinity)) found = { rank, heard };
    }
    if (found === null) return null;
    const { rank, heard } = found;
    const last = heard.beat === null ? '' : `, last in \`${heard.beat.phase}\``;
    const reason = `${this.policy.name(rank)} has sent no sign of life for ${Math.round(nowMs - heard.atMs)} ms${last}`;
    return { rank, reason };
  }

  #longestAtWork(): { readonly rank: number; readonly busyMs: number; readonly phase: string } | null {
    let found: { rank: number; busyMs: number; phase: string } | null = null;
    for (const [rank, { beat }] of this.#last) {
      if (beat === null || beat.waits != null || beat.phase === 'idle') continue;
      const busyMs = Math.round(beat.busy_ms);
      if (busyMs >= FEW_BEATS * this.policy.beatMs && busyMs > (found?.busyMs ?? 0)) {
        found = { rank, busyMs, phase: beat.phase };
      }
    }
    return found;
  }
}
