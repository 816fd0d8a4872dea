/** The collector, when others need the room of what is garbage here. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

let collect: (() => void) | null = null;

/** Collect garbage now. Finalisers run in later turns of the event loop. Takes tens of milliseconds. */
export function collectGarbage(): void {
  if (collect === null) {
    setFlagsFromString('--expose-gc'); // for the context that is made next, and no other
    collect = runInNewContext('gc') as () => void;
    setFlagsFromString('--no-expose-gc');
  }
  collect();
}
