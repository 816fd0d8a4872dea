/** An answer of lines, each of which is JSON. An error before the first line has a status of its own; later it is a line. */
import type { FastifyReply } from 'fastify';
import type { TwinkleError } from '../../errors.js';
import { sendError } from '../http/error-reply.js';

export interface Lines {
  write(value: object): void;
  end(): void;
  fail(error: TwinkleError): void;
}

export function ndjson(reply: FastifyReply): Lines {
  const { raw } = reply;
  let begun = false;
  const begin = (): void => {
    if (begun) return;
    begun = true;
    reply.hijack();
    raw.writeHead(200, {
      ...(reply.getHeaders() as Record<string, string>),
      'content-type': 'application/x-ndjson',
      'cache-control': 'no-cache',
    });
  };
  const write = (value: object): void => {
    begin();
    if (!raw.destroyed) raw.write(`${JSON.stringify(value)}\n`);
  };
  return {
    write,
    end: () => {
      begin();
      raw.end();
    },
    fail: (error) => {
      if (!begun) {
        sendError(reply, error);
        return;
      }
      write({ error: error.message });
      raw.end();
    },
  };
}
