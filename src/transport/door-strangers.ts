/** Connections that have not said yet what they want: so many, for so long. Anybody can make them, so they must cost little. */
import type { Socket } from 'node:net';
import { PATIENCE_MS } from './door-frames.js';

/** Callers of one box make few at once (`door-knock.ts`): this is enough for sixteen boxes. */
const MOST = 256;

interface Stranger {
  readonly socket: Socket;
  readonly late: NodeJS.Timeout;
}

export class Strangers {
  /** By address and port, which TLS passes on; the oldest comes first. */
  readonly #all = new Map<string, Stranger>();

  /**
   * Beyond the limit the oldest is cut: it has had more time than an honest caller needs.
   * @returns whether it is still there
   */
  add(socket: Socket): boolean {
    if (socket.remotePort === undefined) {
      socket.destroy();
      return false;
    }
    const name = nameOf(socket);
    const late = setTimeout(() => socket.destroy(), PATIENCE_MS).unref();
    this.#all.set(name, { socket, late });
    socket.once('close', () => this.#forget(name, socket));
    const [oldest] = this.#all.values();
    if (this.#all.size > MOST) oldest?.socket.destroy();
    return true;
  }

  /** It is none any more. */
  known(socket: Socket): void {
    this.#forget(nameOf(socket));
  }

  /** @param socket only if the name is still its own: ports are used again */
  #forget(name: string, socket?: Socket): void {
    const stranger = this.#all.get(name);
    if (stranger === undefined || (socket !== undefined && stranger.socket !== socket)) return;
    clearTimeout(stranger.late);
    this.#all.delete(name);
  }
}

function nameOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
