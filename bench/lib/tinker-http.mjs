/**
 * Tinker's API as the SDK speaks it, over raw keep-alive sockets: the client is on the machine that is measured, and should cost as little as it
 * can. Answers have a content-length, as all of these routes' do. Requests that are answered with anything but 200 throw.
 */
import { Connection } from './raw-http.mjs';

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
