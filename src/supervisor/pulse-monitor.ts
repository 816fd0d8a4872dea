/** Judges the signs of life of ranks. Pure: times come in, verdicts go out. */
import type { Beat } from '../protocol/frames.js';

export interface PulsePolicy {
  /** A rank that sends no beat for so long is taken for dead although its process exists (stopped, swapped out, wedged). */
  readonly silenceMs: number;
  /** A main loop that has not turned for so long, while it is in a step, hangs. */
  readonly stallMs: number;
  /** A member of the gang as people call it. */
  name(rank: number): string;
}

export class PulseMonitor {
  readonly #last = new Map<number, number>();
  #looked: number | null = null;

  constructor(private readonly policy: PulsePolicy) {}

  /** A rank joined; its beats are expected from now on. */
  expect(rank: number, nowMs: number): void {
    this.#last.set(rank, nowMs);
  }

  /** A beat came. Returns what is wrong with the rank, or null. */
  beat(rank: number, beat: Beat, nowMs: number): string | null {
    this.#last.set(rank, nowMs);
    if (beat.phase !== 'step' || beat.busy_ms < this.policy.stallMs) return null;
    return `${this.policy.name(rank)} has been inside one engine step for ${Math.round(beat.busy_ms)} ms: it hangs`;
  }

  /** A rank that has been silent too long, with the reason. To be asked often. */
  silent(nowMs: number): { readonly rank: number; readonly reason: string } | null {
    const asleep = this.#looked !== null && nowMs - this.#looked >= 0.9 * this.policy.silenceMs;
    this.#looked = nowMs;
    // We were stopped or busy ourselves: the beats of that time still wait to be read, so everyone gets the time anew.
    if (asleep) for (const rank of this.#last.keys()) this.#last.set(rank, nowMs);
    for (const [rank, at] of this.#last) {
      if (nowMs - at >= this.policy.silenceMs) {
        return { rank, reason: `${this.policy.name(rank)} has sent no sign of life for ${Math.round(nowMs - at)} ms` };
      }
    }
    return null;
  }

  clear(): void {
    this.#last.clear();
    this.#looked = null;
  }
}
