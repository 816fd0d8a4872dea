/** Requests that use an adapter: they hold it until they are over, and wait for it where it has to be loaded first. */
import { asTwinkleError } from '../errors.js';
import type { AdapterLease } from './adapter-book.js';
import type { Generation, Sink } from './types.js';

/** Begins the request itself; throws what `Inference.generate` throws. */
type Begin<Item, End> = (sink: Sink<Item, End>) => Generation;

/** Begin at once, and give the lease back at the end, whatever the end is. */
export function leased<Item, End>(lease: AdapterLease, sink: Sink<Item, End>, begin: Begin<Item, End>): Generation {
  let generation: Generation;
  try {
    generation = begin({
      delta: (item) => sink.delta(item),
      end: (end) => {
        lease.release();
        sink.end(end);
      },
      error: (error) => {
        lease.release();
        sink.error(error);
      },
    });
  } catch (error) {
    lease.release();
    throw error;
  }
  return {
    abort: () => {
      generation.abort();
      lease.release();
    },
    pause: (paused) => generation.pause(paused),
  };
}

/** Begin when the adapter is there. What keeps it from coming, and what `begin` throws, the sink hears as an error. */
export function leasedLater<Item, End>(
  adapter: Promise<AdapterLease>,
  sink: Sink<Item, End>,
  begin: Begin<Item, End>,
): Generation {
  let generation: Generation | null = null;
  let paused = false;
  let aborted = false;
  const start = async (): Promise<void> => {
    const lease = await adapter;
    if (aborted) {
      lease.release();
      return;
    }
    generation = leased(lease, sink, begin);
    if (paused) generation.pause(true);
  };
  start().catch((error: unknown) => {
    if (!aborted) sink.error(asTwinkleError(error));
  });
  return {
    abort: () => {
      aborted = true;
      generation?.abort();
    },
    pause: (now) => {
      paused = now;
      generation?.pause(now);
    },
  };
}
