/** A vendor library in a line: where it was loaded from, or why it is not in use. */
import type { LibraryStatus } from '../../native/types.js';
import { whyNotLoaded } from '../../util/absent-library.js';

/** `libnvidia-ml.so.1: not installed`, or the vendor's own words when it is there and does not load. `--json` has all words. */
export function describeLibrary({ library, loaded, path, reason }: LibraryStatus): string {
  const text = loaded ? (path ?? 'loaded') : whyNotLoaded(reason);
  return text.startsWith(`${library}:`) ? text : `${library}: ${text}`;
}
