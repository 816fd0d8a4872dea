/** JSON over one raw keep-alive socket: as little as it can cost on the machine that is measured. Answers have a content-length. */
import { connect } from 'node:net';
import { HEADERS } from './headers.mjs';

const HEAD_END = '\r\n\r\n';
const LENGTH = /content-length: (\d+)/i;
const fixed = Object.entries(HEADERS).map(([name, value]) => `${name}: ${value}\r\n`);

/** One request at a time; what is answered with anything but 200 throws. */
export class JsonConnection {
  #socket;
  #common;
  #parts = [];
  #asked = null;

  constructor(port) {
    this.#common = ` HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n${fixed.join('')}content-length: `;
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.on('data', (part) => this.#take(part));
    this.#socket.on('error', (error) => this.#asked?.reject(error));
    this.#socket.on('close', () => this.#asked?.reject(new Error('the server closed the connection')));
  }

  /** @param {string} path below /api/v1/ */
  async post(path, body) {
    const text = JSON.stringify(body);
    const answer = new Promise((resolve, reject) => {
      this.#asked = { resolve, reject };
    });
    this.#socket.write(`POST /api/v1/${path}${this.#common}${Buffer.byteLength(text)}${HEAD_END}${text}`);
    const { bytes, status } = await answer;
    if (status !== 200) throw new Error(`${path}: ${status} ${bytes}`);
    return JSON.parse(bytes);
  }

  /** The answer of a request, waited for as the SDK does. */
  async answered(request_id) {
    for (;;) {
      const answer = await this.post('retrieve_future', { request_id, allow_metadata_only: true });
      if (answer.error !== undefined) throw new Error(`${request_id}: ${answer.error}`);
      if (answer.type !== 'try_again') return answer;
    }
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
