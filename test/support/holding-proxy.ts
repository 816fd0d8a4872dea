/** A server in front of another that lets some requests wait for ever: their clients can be killed in the middle. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { deferred } from '../../src/util/deferred.js';

export class HoldingProxy implements AsyncDisposable {
  readonly #held = deferred<void>();
  readonly #server: Server;

  /** @param holds which requests wait; they do not reach the target */
  constructor(target: string, holds: (request: IncomingMessage) => boolean) {
    this.#server = createServer((incoming, outgoing) => {
      if (holds(incoming)) {
        this.#held.resolve();
        return;
      }
      const { headers, method = 'GET', url = '/' } = incoming;
      const passed = request(`${target}${url}`, { method, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      });
      passed.on('error', () => outgoing.destroy());
      incoming.pipe(passed);
    });
  }

  /** @returns where it listens */
  async start(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Resolves with the first request that waits. */
  get held(): Promise<void> {
    return this.#held.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
