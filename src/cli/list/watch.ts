/** `--watch`: takes a picture, shows it, waits, takes the next. Ends at a signal; knows neither what is listed nor how a terminal is driven. */
import type { CliIo } from '../io.js';
import { EndSignals } from '../serve/signals.js';
import type { Picture } from './picture.js';

/** Time, so that tests can have their own. */
export interface WatchClock {
  /** Unix ms. */
  wallMs(): number;
  /** Calls once after so long; returns how to call it off. */
  after(ms: number, act: () => void): () => void;
}

/** Where pictures go. */
export interface Viewer {
  show(picture: Picture, wallMs: number): void;
  /** Leave the terminal as it was. Called once. */
  close(): void;
}

/** Options of {@link watch}. */
export interface WatchOptions {
  readonly io: Pick<CliIo, 'signals'>;
  /** From the end of one picture to the beginning of the next: never more often than asked. */
  readonly intervalMs: number;
  readonly viewer: Viewer;
  readonly clock: WatchClock;
}

/** Process time. */
export const SYSTEM_CLOCK: WatchClock = {
  wallMs: () => Date.now(),
  after: (ms, act) => {
    const timer = setTimeout(act, ms);
    return () => clearTimeout(timer);
  },
};

/** Resolves at SIGINT or SIGTERM, also in the middle of a picture. Rejects with what `take` throws. */
export async function watch(take: () => Promise<Picture>, options: WatchOptions): Promise<void> {
  const { viewer, clock } = options;
  const signals = new EndSignals(options.io.signals);
  // One listener for the whole time: racing a promise that stays pending would keep every round in memory.
  let give = (): void => {};
  signals.aborted.addEventListener('abort', () => give(), { once: true });
  const orEnd = <T>(work: Promise<T>): Promise<T | null> =>
    new Promise((resolve, reject) => {
      give = () => resolve(null);
      work.then(resolve, reject);
    });
  try {
    while (!signals.aborted.aborted) {
      const picture = await orEnd(take());
      if (picture === null || signals.aborted.aborted) return;
      viewer.show(picture, clock.wallMs());
      let callOff = (): void => {};
      await orEnd(
        new Promise<void>((resolve) => {
          callOff = clock.after(options.intervalMs, resolve);
        }),
      );
      callOff();
    }
  } finally {
    viewer.close();
    signals.close();
  }
}
