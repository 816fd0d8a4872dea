/** A generation from weights that have yet to come. */
import { asTwinkleError } from '../errors.js';
import type { Generation, TokenSink } from '../serving/types.js';

/** Where nobody says when a model will take it. */
const RETRY_MS = 250;

/**
 * @param here resolves when they are here; why they are not, the sink hears
 * @param begin throws as `Inference.generate`: what may go better later is tried again, as whoever asked has his answer already
 */
export function generateLater(here: Promise<unknown>, begin: () => Generation, sink: TokenSink): Generation {
  let begun: Generation | null = null;
  let aborted = false;
  let paused = false;
  let timer: NodeJS.Timeout | undefined;
  const failed = (thrown: unknown): void => {
    if (!aborted) sink.error(asTwinkleError(thrown));
  };
  const start = (): void => {
    if (aborted) return;
    try {
      begun = begin();
      if (paused) begun.pause(true);
    } catch (thrown) {
      const { retryAfterMs } = asTwinkleError(thrown);
      if (retryAfterMs === null) failed(thrown);
      else timer = setTimeout(start, Math.min(retryAfterMs, RETRY_MS)).unref();
    }
  };
  here.then(start, failed);
  return {
    abort() {
      aborted = true;
      clearTimeout(timer);
      begun?.abort();
    },
    pause(now) {
      paused = now;
      begun?.pause(now);
    },
  };
}
