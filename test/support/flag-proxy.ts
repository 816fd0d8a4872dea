/** A server in front of another that answers Tinker's `client/config` with other switches; all else passes as it is. */

import { once } from 'node:events';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export class FlagProxy implements AsyncDisposable {
  /** Paths that passed, without the query. */
  readonly paths = new Set<string>();
  /** Path → encoding of the last compressed body that passed. */
  readonly encodings = new Map<string, string>();
  readonly #server: Server;

  constructor(
    private readonly target: string,
    private readonly flags: Readonly<Record<string, unknown>>,
  ) {
    this.#server = createServer((incoming, outgoing) => {
      const path = incoming.url ?? '/';
      const [bare = ''] = path.split('?');
      this.paths.add(bare);
      const { 'content-encoding': encoding } = incoming.headers;
      if (encoding !== undefined) this.encodings.set(bare, encoding);
      if (path.endsWith('/client/config')) {
        incoming.resume();
        outgoing.setHeader('content-type', 'application/json').end(JSON.stringify(this.flags));
        return;
      }
      const passed = request(`${this.target}${path}`, { method: incoming.method ?? 'GET', headers: incoming.headers });
      passed.on('response', (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      });
      passed.on('error', () => outgoing.destroy());
      outgoing.on('close', () => passed.destroy());
      incoming.pipe(passed);
    });
  }

  /** Listen on loopback. Returns the address. */
  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
