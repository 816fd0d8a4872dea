/** Tokens by which a run is compared with what samples from it. Pure. */
import type { TrainWork } from '../protocol/training.js';

/** At most: enough to see a difference, and little beside a step. */
const TOKENS = 128;

/** The beginning of the first datum, int32; null: too short to tell anything. */
export function probeOf({ lengths, tokens }: Pick<TrainWork, 'lengths' | 'tokens'>): Int32Array | null {
  const length = Math.min(lengths[0] ?? 0, TOKENS);
  return length < 2 ? null : new Int32Array(Uint8Array.from(tokens.subarray(0, 4 * length)).buffer);
}
