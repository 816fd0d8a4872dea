/** Raw keep-alive sockets: the client is on the machine that is measured, and should cost as little as it can. Answers have a content-length. */
import { connect } from 'node:net';

const HEAD_END = '\r\n\r\n';
const LENGTH = /content-length: (\d+)/i;

/** One request at a time. */
export class Connection {
  #socket;
  #parts = [];
  #asked = null;

  constructor(port) {
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.on('data', (part) => this.#take(part));
    this.#socket.on('error', (error) => this.#asked?.reject(error));
    this.#socket.on('close', () => this.#asked?.reject(new Error('the server closed the connection')));
  }

  /** @returns {Promise<{ status: number, bytes: Buffer }>} */
  ask(head, body) {
    return new Promise((resolve, reject) => {
      this.#asked = { resolve, reject };
      this.#socket.write(typeof body === 'string' ? head + body : Buffer.concat([Buffer.from(head), body]));
    });
  }

  close() {
    this.#asked = null;
    this.#socket.destroy();
  }

  #take(part) {
    this.#parts.push(part);
    const answer = this.#parts.length === 1 ? part : Buffer.concat(this.#parts);
    const end = answer.indexOf(HEAD_END);
    if (end < 0) return;
    const head = answer.latin1Slice(0, end);
    const from = end + HEAD_END.length;
    if (answer.length < from + Number(LENGTH.exec(head)?.[1] ?? 0)) return;
    this.#parts = [];
    const { resolve } = this.#asked;
    this.#asked = null;
    resolve({ status: Number(head.slice(9, 12)), bytes: answer.subarray(from) });
  }
}
