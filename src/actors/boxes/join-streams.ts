/** Two streams as one: what comes from either goes into the other, each way with its own end, and neither outlives the other. */
import type { Duplex } from 'node:stream';

/** What came before one end broke may take so long to be read at the other. */
const LINGER_MS = 2000;

/** Nothing of them may have been read that should cross; what they have buffered does. Who reads slowly slows the writer. */
export function joinStreams(a: Duplex, b: Duplex): void {
  a.on('error', () => {});
  b.on('error', () => {});
  if (a.destroyed || b.destroyed) {
    a.destroy();
    b.destroy();
    return;
  }
  a.pipe(b);
  b.pipe(a);
  a.once('close', () => follow(a, b));
  b.once('close', () => follow(b, a));
}

/** Where one has both its ends, the other has been given them by then. Else it broke. */
function follow(from: Duplex, to: Duplex): void {
  if ((from.readableEnded && from.writableFinished) || to.destroyed) return;
  const late = setTimeout(() => to.destroy(), LINGER_MS).unref();
  to.once('close', () => clearTimeout(late));
  to.resume(); // nobody reads it any more, and what is unread would take the last words with it
  to.end();
  if (to.writableFinished) to.destroy();
  else to.once('finish', () => to.destroy());
}
