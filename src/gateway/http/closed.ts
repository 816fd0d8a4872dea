/** When a response is over, in every way it can be. */
import type { ServerResponse } from 'node:http';

/**
 * Calls `done` once, when the response is finished or its connection is gone; `complete` says whether all of it was handed over.
 * A response's own 'close' suffices, except for a pipelined request that still waits for the socket: it hears nothing of its loss.
 */
export function whenClosed(res: ServerResponse, done: (complete: boolean) => void): void {
  const connection = res.socket === null ? res.req.socket : null;
  const settle = (): void => {
    res.off('close', settle);
    connection?.off('close', settle);
    done(res.writableEnded && (connection === null || !connection.destroyed || res.writableFinished));
  };
  res.once('close', settle);
  connection?.once('close', settle);
}
