/** A client on a unix socket, or a port of this machine, that sends its request and reads the answer only when told: its socket's buffer is small. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export class SlowReader {
  private constructor(readonly socket: Socket) {}

  /** Send the request and read nothing. */
  static async post(at: string | number, route: string, body: object): Promise<SlowReader> {
    const socket = typeof at === 'string' ? connect(at) : connect(at, '127.0.0.1');
    await once(socket, 'connect');
    socket.pause();
    const text = JSON.stringify(body);
    socket.write(
      `POST ${route} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n` +
        `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
    );
    return new SlowReader(socket);
  }

  /** Read everything to the end of the connection: the body, its chunks joined. */
  async readAll(): Promise<string> {
    const parts: Buffer[] = [];
    for await (const part of this.socket) parts.push(part as Buffer);
    const whole = Buffer.concat(parts);
    let at = whole.indexOf('\r\n\r\n') + 4;
    const chunks: Buffer[] = [];
    for (;;) {
      const line = whole.indexOf('\r\n', at);
      const size = Number.parseInt(whole.toString('latin1', at, line), 16);
      if (!(size > 0)) return Buffer.concat(chunks).toString();
      chunks.push(whole.subarray(line + 2, line + 2 + size));
      at = line + 2 + size + 2;
    }
  }
}
