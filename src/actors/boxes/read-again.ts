/** Reads from another box whose stream broke. That alone does not say whether the box has left: that is heard a little later, or it is there. */
import { setTimeout as sleep } from 'node:timers/promises';
import { TwinkleError } from '../../errors.js';

/** Before each further attempt, in ms. Together they are longer than the silence after which a box counts as gone. */
const PAUSES_MS = [50, 200, 400, 800, 1600];

/**
 * Read, and read again while the box is there and its streams break.
 * @param isThere whether the box has not left
 * @param signal ends it
 * @throws what the last read threw
 */
export async function readAgain(
  read: () => Promise<void>,
  isThere: () => boolean,
  signal?: AbortSignal,
): Promise<void> {
  for (const pause of PAUSES_MS) {
    try {
      return await read();
    } catch (error) {
      const broke = error instanceof TwinkleError && error.code === 'CHANNEL_CLOSED';
      if (!broke || !isThere()) throw error;
      await sleep(pause, undefined, signal === undefined ? {} : { signal }).catch(() => {});
      if (signal?.aborted === true || !isThere()) throw error;
    }
  }
  return await read();
}
