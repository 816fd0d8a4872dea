/** Looking for an answer before falling asleep: most of a short round trip is waking up. */

/** So long the event loop looks again and again after a call was sent; then it waits as ever. */
const AWAKE_MS = 0.1;

let until = 0;
let looking = false;

/** A call was sent: its answer may come in a moment. */
export function stayAwake(): void {
  until = performance.now() + AWAKE_MS;
  if (looking) return;
  looking = true;
  setImmediate(look);
}

function look(): void {
  if (performance.now() < until) setImmediate(look);
  else looking = false;
}
