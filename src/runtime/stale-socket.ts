/** Unix sockets whose server was killed: the file stays, nobody listens, and a new server could not bind. Knows no HTTP. */
import { lstatSync, rmSync } from 'node:fs';
import { connect } from 'node:net';

/** Remove the socket at `path` when nobody listens there. What is no socket, or is in use, stays: binding will say so. */
export async function removeStaleSocket(path: string): Promise<void> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return;
  if (await isRefused(path)) rmSync(path, { force: true });
}

/** Whether nobody listens on the socket at `path`. */
export function isRefused(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code === 'ECONNREFUSED'));
    socket.once('connect', () => {
      socket.destroy();
      resolve(false);
    });
  });
}
