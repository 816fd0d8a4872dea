/** Where programs join the service of their box: a unix socket in a folder that is their user's alone. */
import { createServer, type Server, type Socket } from 'node:net';
import { asTwinkleError, TwinkleError } from '../errors.js';
import type { Logger } from '../observability/logger.js';
import { ClientPeer } from './client-peer.js';

export interface ReceptionOptions {
  readonly node: string;
  readonly log: Logger;
  /** A number for who comes next. What it throws is the refusal. */
  nextClient(): number;
  /** It has said who it is: let it in. What it throws, or rejects with, is the refusal. */
  admit(driver: ClientPeer): unknown;
}

/** Of who gets no number. */
const NOBODY = -1;

export class Reception implements AsyncDisposable {
  readonly #options: ReceptionOptions;
  /** Those that have not joined yet. */
  readonly #entering = new Set<ClientPeer>();
  #server: Server | null = null;
  #closing = false;

  constructor(options: ReceptionOptions) {
    this.#options = options;
  }

  /** Listen. @param path of the socket, in a 0700 folder */
  async listen(path: string): Promise<void> {
    const server = createServer((socket) => void this.#enter(socket));
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, () => {
        server.off('error', reject);
        server.on('error', (error) => this.#options.log.error({ error: String(error) }, 'work_socket_failed'));
        resolve();
      });
    });
  }

  /** Nobody enters any more. Resolves when all who came by here have left: end their connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing = true;
    const server = this.#server;
    const closed = new Promise<void>((resolve) => (server === null ? resolve() : server.close(() => resolve())));
    for (const client of this.#entering) client.close('the node service ends');
    await closed;
  }

  async #enter(socket: Socket): Promise<void> {
    const { nextClient, node, admit } = this.#options;
    let number: number;
    try {
      number = nextClient();
    } catch (error) {
      new ClientPeer(socket, NOBODY, node).refuse(asTwinkleError(error));
      return;
    }
    const client = new ClientPeer(socket, number, node);
    this.#entering.add(client);
    try {
      const { kind } = await client.joined;
      if (this.#closing) throw new TwinkleError('DRAINING', 'the node service ends');
      if (kind !== 'driver') throw new TwinkleError('PROTOCOL', 'only a driver joins by this socket');
      await admit(client);
    } catch (error) {
      client.refuse(asTwinkleError(error));
    } finally {
      this.#entering.delete(client);
    }
  }
}
