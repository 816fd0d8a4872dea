/**
 * Tinker's API as the SDK speaks it, over raw keep-alive sockets: the client is on the machine that is measured, and should cost as little as it
 * can. Answers have a content-length, as all of these routes' do. Requests that are answered with anything but 200 throw.
 */
import { connect } from 'node:net';

const HEAD_END = '\r\n\r\n';
const LENGTH = /content-length: (\d+)/i;

/** One request at a time. */
class Connection {
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

/** @param {number} connections at most; requests beyond them wait */
export function tinkerHttp(port, connections) {
  const all = [];
  const free = [];
  const waiting = [];

  function taken() {
    if (free.length > 0) return free.pop();
    if (all.length === connections) return new Promise((resolve) => waiting.push(resolve));
    const connection = new Connection(port);
    all.push(connection);
    return connection;
  }

  async function post(path, body, type = 'application/json') {
    const connection = await taken();
    const head = `POST /api/v1/${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAccept: application/x-protobuf, application/json\r\nContent-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`;
    const { bytes, status } = await connection.ask(head, body);
    const next = waiting.shift();
    if (next === undefined) free.push(connection);
    else next(connection);
    if (status !== 200) throw new Error(`${path}: ${status} ${bytes}`);
    return bytes;
  }
  const json = async (path, body) => JSON.parse(await post(path, JSON.stringify(body)));

  /** The bytes of a request's answer, waited for. */
  async function answered(request_id) {
    const bytes = await post('retrieve_future', JSON.stringify({ request_id, allow_metadata_only: true }));
    if (bytes[0] === 0x7b && JSON.parse(bytes).error !== undefined) throw new Error(String(bytes));
    return bytes;
  }

  function close() {
    for (const connection of all) connection.close();
  }
  return { post, json, answered, close };
}
