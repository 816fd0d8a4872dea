/** Element types of tensors, by their numpy names. Pure. */
import { TwinkleError } from '../errors.js';

/** Bytes of one element. */
export const DTYPE_BYTES = {
  bool: 1,
  int8: 1,
  uint8: 1,
  int16: 2,
  uint16: 2,
  float16: 2,
  bfloat16: 2,
  int32: 4,
  uint32: 4,
  float32: 4,
  int64: 8,
  uint64: 8,
  float64: 8,
} as const;

export type Dtype = keyof typeof DTYPE_BYTES;

/**
 * Bytes of a dense tensor.
 * @throws INVALID_REQUEST for an unknown dtype, a negative or fractional extent, or a size beyond 2^53
 */
export function tensorBytes(dtype: string, shape: readonly number[]): number {
  if (!Object.hasOwn(DTYPE_BYTES, dtype)) {
    throw new TwinkleError(
      'INVALID_REQUEST',
      `unknown dtype \`${dtype}\`; one of ${Object.keys(DTYPE_BYTES).join(', ')}`,
    );
  }
  const bad = shape.find((extent) => !Number.isInteger(extent) || extent < 0);
  if (bad !== undefined)
    throw new TwinkleError('INVALID_REQUEST', `expected whole extents ≥ 0 in \`shape\` but received ${bad}`);
  const bytes = shape.reduce((product, extent) => product * extent, DTYPE_BYTES[dtype as Dtype]);
  if (!Number.isSafeInteger(bytes))
    throw new TwinkleError('INVALID_REQUEST', `a tensor of shape [${shape.join(', ')}] is too large`);
  return bytes;
}
