/** Whether somebody listens at an ipc address: libzmq binds over them without a word. */
import { connect } from 'node:net';

/** False for addresses that are no `ipc:///path`. */
export async function isIpcInUse(address: string): Promise<boolean> {
  const path = /^ipc:\/\/(\/.*)$/.exec(address)?.[1];
  if (path === undefined) return false;
  return await new Promise((resolve) => {
    const socket = connect(path);
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}
