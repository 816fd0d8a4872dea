/** Ray's LeastResourceScorer: the node that keeps the largest free share of what is asked wins. Pure. */
import type { Resources, Units } from './types.js';

/**
 * Σ (free − asked) / free over what is asked; −1 when something of it is not free. Never falls when more is free, also after rounding.
 * @param names what is asked; `units` are the amounts, all above zero
 */
export function score(free: Resources, names: readonly string[], units: readonly Units[]): number {
  let sum = 0;
  for (let at = 0; at < names.length; at++) {
    const have = free.get(names[at] as string) ?? 0;
    const want = units[at] as Units;
    if (have < want) return -1;
    sum += (have - want) / have;
  }
  return sum;
}

/**
 * The same for amounts that were looked up before.
 * @param have amounts by name, but for the two at `sorted`, which are `first` and `second`
 */
export function scoreAmounts(
  have: readonly Units[],
  sorted: readonly [first: number, second: number],
  first: Units,
  second: Units,
  units: readonly Units[],
): number {
  let sum = 0;
  for (let at = 0; at < units.length; at++) {
    const there = at === sorted[0] ? first : at === sorted[1] ? second : (have[at] as Units);
    const want = units[at] as Units;
    if (there < want) return -1;
    sum += (there - want) / there;
  }
  return sum;
}
