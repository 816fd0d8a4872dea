/** How many bytes a value takes. Pure. */
import { TwinkleError } from '../errors.js';
import { PART_ALIGN, type Value } from '../protocol/work.js';

/** Parts of a value in a block begin at multiples of it. */
export const IN_BLOCK = PART_ALIGN;
/** In a frame they follow each other. */
export const IN_FRAME = 1;

/**
 * Bytes of a value whose parts begin at multiples of `align`. The last part need not be filled up.
 * @throws `INVALID_REQUEST` for sizes below zero
 */
export function sizeOf({ s: sizes }: Value, align: number): number {
  let end = 0;
  for (const size of sizes) {
    if (size < 0) {
      throw new TwinkleError('INVALID_REQUEST', `expected sizes from 0 for \`s\` but received ${size}`);
    }
    end = Math.ceil(end / align) * align + size;
  }
  return end;
}
