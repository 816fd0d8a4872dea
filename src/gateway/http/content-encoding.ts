/** Compressed request bodies, decompressed as they are read and never beyond the route's limit. Knows no format of the content. */
import { Readable, type Transform } from 'node:stream';
import { createGunzip, createInflate } from 'node:zlib';
import type { FastifyInstance, FastifyReply, FastifyRequest, RequestPayload } from 'fastify';
import { asTwinkleError, TwinkleError } from '../../errors.js';
import { zstdDecoder } from './zstd.js';

const DECODERS: ReadonlyMap<string, (limit: number) => Transform> = new Map([
  ['gzip', () => createGunzip()],
  ['x-gzip', () => createGunzip()],
  ['deflate', () => createInflate()],
  ['zstd', zstdDecoder],
]);
const ACCEPTED = 'gzip, deflate, zstd';

function decoderFor(encoding: string, limit: number, reply: FastifyReply): Transform {
  const make = DECODERS.get(encoding);
  if (make !== undefined) return make(limit);
  void reply.header('accept-encoding', ACCEPTED); // as RFC 7694 has it
  throw new TwinkleError(
    'UNSUPPORTED_MEDIA_TYPE',
    `The body has content-encoding "${encoding.slice(0, 64)}": send it as it is, or with one of ${ACCEPTED}.`,
  );
}

/** A body on its way through a decoder. */
interface Compressed {
  readonly payload: Readable;
  readonly decoder: Transform;
  readonly encoding: string;
  /** Of the content. */
  readonly limit: number;
  /** So many bytes of the payload have come. */
  received(bytes: number): void;
}

/** The content. Ends with `BODY_TOO_LARGE` at the limit, and with `INVALID_REQUEST` where it cannot be decoded. */
async function* contentOf({ decoder, encoding, limit, payload, received }: Compressed): AsyncGenerator<Buffer> {
  const count = (part: Buffer): void => received(part.length);
  const leave = (): void => {
    if (!payload.readableEnded) decoder.destroy(new Error('the client left'));
  };
  payload.on('data', count).once('close', leave).once('error', leave);
  let size = 0;
  try {
    // Not `pipeline`, which would close the socket that a refusal has to go through.
    for await (const part of payload.pipe(decoder) as AsyncIterable<Buffer>) {
      size += part.length;
      if (size > limit) throw tooLarge(encoding);
      yield part;
    }
  } catch (error) {
    if (error instanceof TwinkleError) throw error;
    throw new TwinkleError(
      'INVALID_REQUEST',
      `The body is not ${encoding}, as its content-encoding says, or not whole.`,
      {
        cause: error,
      },
    );
  } finally {
    payload.off('data', count).off('close', leave).off('error', leave);
  }
}

const tooLarge = (encoding: string): TwinkleError =>
  new TwinkleError(
    'BODY_TOO_LARGE',
    `The content of the ${encoding} body is over the limit of this server: send less at a time, or raise the limit where it is started.`,
  );

function decoded(request: FastifyRequest, reply: FastifyReply, payload: RequestPayload, encoding: string) {
  const limit = request.routeOptions.bodyLimit;
  const decoder = decoderFor(encoding, limit, reply);
  const received = (bytes: number): void => {
    content.receivedEncodedLength = (content.receivedEncodedLength ?? 0) + bytes;
  };
  const parts = contentOf({ payload, decoder, encoding, limit, received });
  const content: RequestPayload = Readable.from(parts, { objectMode: false });
  return content;
}

/** Decompress bodies of this scope's routes that say that they are compressed. Who may not ask has been refused before. */
export function acceptEncodings(app: FastifyInstance): void {
  app.addHook('preParsing', (request, reply, payload, done) => {
    const encoding = request.headers['content-encoding']?.trim().toLowerCase() ?? '';
    if (encoding === '' || encoding === 'identity') {
      done(null, payload);
      return;
    }
    try {
      done(null, decoded(request, reply, payload, encoding));
    } catch (error) {
      done(asTwinkleError(error));
    }
  });
}
