/** Requests that Node's HTTP parser refused, before any route: an OpenAI error written by hand, then the connection ends. */
import type { Socket } from 'node:net';
import { TwinkleError } from '../../errors.js';
import { errorBody } from './error-reply.js';

const REASONS: Readonly<Record<string, readonly [string, string]>> = {
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'The headers of the request are too large.'],
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'The request did not arrive in time.'],
};

/** Fastify's `clientErrorHandler`. */
export function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) {
    socket.destroy();
    return;
  }
  const [status, message] = REASONS[error.code ?? ''] ?? ['400 Bad Request', 'The request is not valid HTTP.'];
  // Bytes of an answer may already be on their way: then a second head would only confuse the client.
  if (!socket.writable || socket.bytesWritten > 0) {
    socket.destroy(error);
    return;
  }
  const body = errorBody(new TwinkleError('INVALID_REQUEST', message));
  const head = `HTTP/1.1 ${status}\r\ncontent-type: application/json; charset=utf-8\r\nconnection: close\r\n`;
  socket.end(`${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}
