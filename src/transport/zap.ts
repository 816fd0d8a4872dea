/**
 * Who may join a CURVE hub: ZeroMQ's authentication protocol (ZAP, RFC 27) answered from a set of public keys. Without it CURVE encrypts,
 * but lets anybody in who knows the server's public key.
 */
import { type Context, Reply } from 'zeromq';

const ADDRESS = 'inproc://zeromq.zap.01';
const NOTHING = Buffer.alloc(0);
/** Position of the client's 32-byte key in a request: version, id, domain, address, identity, mechanism, key. */
const KEY_AT = 6;

export class KeyGate {
  readonly #allowed = new Set<string>();
  readonly #socket: Reply;
  readonly #answering: Promise<void>;

  private constructor(socket: Reply) {
    this.#socket = socket;
    this.#answering = this.#answer();
  }

  /** Guard every CURVE server socket of `context`; bind those afterwards. */
  static async open(context: Context): Promise<KeyGate> {
    const socket = new Reply({ context, linger: 0 });
    await socket.bind(ADDRESS);
    return new KeyGate(socket);
  }

  /** @param key 32 bytes */
  allow(key: Buffer): void {
    this.#allowed.add(key.toString('hex'));
  }

  revoke(key: Buffer): void {
    this.#allowed.delete(key.toString('hex'));
  }

  async close(): Promise<void> {
    this.#socket.close();
    await this.#answering;
  }

  async #answer(): Promise<void> {
    try {
      for await (const request of this.#socket) {
        const [version = NOTHING, id = NOTHING] = request;
        const known = this.#allowed.has(request[KEY_AT]?.toString('hex') ?? '');
        await this.#socket.send([version, id, known ? '200' : '400', known ? 'OK' : 'unknown key', '', NOTHING]);
      }
    } catch {
      // closed while it waited
    }
  }
}
