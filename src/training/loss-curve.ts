/** The losses of a run's steps in bounded room: when it is full, neighbours become one, so that a curve of any length stays whole. Pure. */
import type { CurvePoint } from './types/progress.js';

/** Points at most. */
const LIMIT = 512;

export interface Sums {
  /** Number of its last step. */
  step: number;
  steps: number;
  loss: number;
  /** Of target tokens; null: unknown. */
  weight: number | null;
}

/** A curve as it is kept. Plain JSON. */
export interface KeptCurve {
  readonly points: readonly Sums[];
  /** Steps of a point that is complete. */
  readonly stride: number;
}

export class LossCurve {
  #points: Sums[];
  /** Steps of a point that is complete. */
  #stride: number;

  /** @param kept it goes on from there */
  constructor({ points, stride }: KeptCurve = { points: [], stride: 1 }) {
    this.#points = [...points];
    this.#stride = stride;
  }

  kept(): KeptCurve {
    return { points: [...this.#points], stride: this.#stride };
  }

  /** @param weight of the step's target tokens; null: unknown */
  push(step: number, loss: number, weight: number | null): void {
    const next = { step, steps: 1, loss, weight };
    const last = this.#points.at(-1);
    if (last !== undefined && last.steps < this.#stride) {
      this.#points[this.#points.length - 1] = joined(last, next);
      return;
    }
    if (this.#points.length === LIMIT) {
      this.#points = halved(this.#points);
      this.#stride *= 2;
    }
    this.#points.push(next);
  }

  /** Oldest first. */
  points(): CurvePoint[] {
    return this.#points.map(({ loss, step, steps, weight }) => ({
      step,
      loss: loss / steps,
      lossPerToken: perToken(loss, weight),
    }));
  }
}

/** Null: there is no weight to divide by. */
export function perToken(loss: number, weight: number | null): number | null {
  return weight === null || weight === 0 ? null : loss / weight;
}

/** Null is contagious: what is unknown of a part is unknown of the whole. */
export function addWeights(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : a + b;
}

function joined(a: Sums, b: Sums): Sums {
  return { step: b.step, steps: a.steps + b.steps, loss: a.loss + b.loss, weight: addWeights(a.weight, b.weight) };
}

function halved(points: readonly Sums[]): Sums[] {
  const pairs: Sums[] = [];
  for (let at = 0; at < points.length; at += 2) {
    const [a, b] = [points[at], points[at + 1]];
    if (a !== undefined) pairs.push(b === undefined ? a : joined(a, b));
  }
  return pairs;
}
