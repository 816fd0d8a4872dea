/** JSON over one raw keep-alive socket, with what the SDK sends along. */
import { Connection } from '../raw-http.mjs';
import { HEADERS } from './headers.mjs';

const fixed = Object.entries(HEADERS).map(([name, value]) => `${name}: ${value}\r\n`);

/** One request at a time; what is answered with anything but 200 throws. */
export class JsonConnection {
  #connection;
  #common;

  constructor(port) {
    this.#common = ` HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n${fixed.join('')}content-length: `;
    this.#connection = new Connection(port);
  }

  /** @param {string} path below /api/v1/ */
  async post(path, body) {
    const text = JSON.stringify(body);
    const head = `POST /api/v1/${path}${this.#common}${Buffer.byteLength(text)}\r\n\r\n`;
    const { bytes, status } = await this.#connection.ask(head, text);
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
    this.#connection.close();
  }
}
