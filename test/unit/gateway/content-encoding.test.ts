import { Readable } from 'node:stream';
import zlib from 'node:zlib';
import type { FastifyInstance } from 'fastify';
import { beforeEach, describe, expect, it } from 'vitest';
import { contentSize, zstdDecoder } from '../../../src/gateway/http/zstd.js';
import { gateway, listening } from './harness.js';

/** Of the gateway under test. */
const LIMIT = 100_000;
const BODY = Buffer.from(JSON.stringify({ model: 'demo', prompt: 'word '.repeat(2_000), max_tokens: 1 }));

/**
 * A zstd frame without compression: raw blocks, or one that repeats a zero.
 * @param size as the header says it; null: it does not
 */
function frame(
  content: Buffer | number,
  size: number | null = Buffer.isBuffer(content) ? content.length : content,
): Buffer {
  const head = Buffer.alloc(size === null ? 6 : 9);
  head.writeUInt32LE(0xfd2fb528);
  head.writeUInt8(size === null ? 0 : 0xa0, 4); // 0xa0: one segment, its size in four bytes
  if (size === null) head.writeUInt8(0x38, 5);
  else head.writeUInt32LE(size, 5);
  const length = Buffer.isBuffer(content) ? content.length : content;
  const blocks: Buffer[] = [];
  for (let at = 0; at < length; at += 131_072) {
    const part = Math.min(131_072, length - at);
    const block = Buffer.alloc(3);
    const last = at + part === length ? 1 : 0;
    block.writeUIntLE((part << 3) | (Buffer.isBuffer(content) ? 0 : 2) | last, 0, 3);
    blocks.push(block, Buffer.isBuffer(content) ? content.subarray(at, at + part) : Buffer.of(0));
  }
  return Buffer.concat([head, ...blocks]);
}

let app: FastifyInstance;
beforeEach(async () => {
  ({ app } = await gateway());
});

async function send(encoding: string, payload: Buffer, type = 'application/json') {
  const headers = { 'content-type': type, 'content-encoding': encoding };
  return await app.inject({ method: 'POST', url: '/v1/completions', payload, headers });
}

describe('a compressed body', () => {
  it.each<[string, Buffer]>([
    ['identity', BODY],
    ['gzip', zlib.gzipSync(BODY)],
    ['GZIP', zlib.gzipSync(BODY)],
    ['x-gzip', zlib.gzipSync(BODY)],
    ['deflate', zlib.deflateSync(BODY)],
    ['zstd', frame(BODY)],
  ])('in %s is read as what it holds', async (encoding, payload) => {
    const answer = await send(encoding, payload);
    expect([answer.statusCode, answer.json().object]).toEqual([200, 'text_completion']);
  });

  it.each<[string, Buffer]>([
    ['gzip', Buffer.from('garbage')],
    ['gzip', zlib.gzipSync(BODY).subarray(0, 40)],
    ['deflate', zlib.gzipSync(BODY)],
    ['zstd', Buffer.from('garbage')],
    ['zstd', frame(BODY).subarray(0, 5_000)],
    ['zstd', frame(BODY).subarray(0, 7)],
    ['zstd', frame(BODY, null)],
    ['zstd', frame(BODY, BODY.length - 1)],
    ['zstd', frame(BODY, BODY.length + 1)],
    ['zstd', frame(20_000_000, LIMIT)],
  ])('that is not whole, sound %s is a 400', async (encoding, payload) => {
    const answer = await send(encoding, payload);
    expect([answer.statusCode, answer.json().error.code]).toEqual([400, 'invalid_request']);
    expect(answer.json().error.message).toMatch(encoding);
  });

  it.each<[string, Buffer]>([
    ['gzip', zlib.gzipSync(Buffer.alloc(20_000_000))],
    ['deflate', zlib.deflateSync(Buffer.alloc(20_000_000))],
    ['zstd', frame(20_000_000)],
    ['gzip', zlib.gzipSync(Buffer.alloc(LIMIT + 1))],
  ])('that grows beyond the limit is refused (%s)', async (encoding, payload) => {
    expect(payload.length).toBeLessThan(LIMIT);
    const answer = await send(encoding, payload);
    expect([answer.statusCode, answer.json().error.code]).toEqual([413, 'body_too_large']);
  });

  it('of exactly the limit is not', async () => {
    const spaces = Buffer.alloc(LIMIT, ' ');
    BODY.copy(spaces);
    expect((await send('gzip', zlib.gzipSync(spaces))).statusCode).toBe(200);
  });

  it.each(['br', 'gzip, zstd', 'nonsense'])('in %s is refused, with what is accepted', async (encoding) => {
    const answer = await send(encoding, BODY);
    expect([answer.statusCode, answer.headers['accept-encoding']]).toEqual([415, 'gzip, deflate, zstd']);
    expect(answer.json().error.message).toContain('gzip, deflate, zstd');
  });

  it('is not decompressed for who has no key', async () => {
    const auth = { mode: 'keys', keyHashes: [], generatedKey: null } as const;
    ({ app } = await gateway({ auth }));
    expect((await send('nonsense', BODY)).statusCode).toBe(401);
  });
});

it('hears of its refusal while it is still sending', async () => {
  const { url } = await listening();
  const bomb = zlib.gzipSync(Buffer.alloc(20_000_000));
  let sent = 0;
  const body = Readable.from(
    (async function* () {
      for (; sent < bomb.length; sent += 4_096) yield bomb.subarray(sent, sent + 4_096);
    })(),
  );
  const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
  const init = { method: 'POST', headers, body: Readable.toWeb(body), duplex: 'half' } as RequestInit;
  const answer = await fetch(`${url}/v1/completions`, init);
  expect(answer.status).toBe(413);
});

describe('zstd without Node’s own', () => {
  const none = { constants: {} };
  async function decoded(body: Buffer, limit = LIMIT): Promise<Buffer> {
    const decoder = zstdDecoder(limit, none);
    const parts: Buffer[] = [];
    for await (const part of Readable.from([body.subarray(0, 3), body.subarray(3)]).pipe(decoder)) parts.push(part);
    return Buffer.concat(parts);
  }

  it('wants one frame that says how large it is', async () => {
    expect(await decoded(frame(BODY))).toEqual(BODY);
    await expect(decoded(frame(BODY, null))).rejects.toThrow('in one piece');
    await expect(decoded(Buffer.concat([frame(BODY), frame(BODY)]))).rejects.toThrow('not zstd');
  });

  it('holds no more than the limit, compressed or not', async () => {
    await expect(decoded(frame(BODY), 1_000)).rejects.toMatchObject({ code: 'BODY_TOO_LARGE' });
    await expect(decoded(frame(1_001), 1_000)).rejects.toMatchObject({ code: 'BODY_TOO_LARGE' });
    expect(await decoded(frame(1_000), 1_000)).toHaveLength(1_000);
  });

  it.each<[string, number | null]>([
    ['28b52ffd 00 38 000000', null],
    ['28b52ffd 20 07 000000', 7],
    ['28b52ffd 60 0100 0000', 257],
    ['28b52ffd 40 38 0100 0000', 257],
    ['28b52ffd a0 00010000 00', 256],
    ['28b52ffd a3 ffffffff 00010000 00', 256],
    ['28b52ffd e1 ff 0000000000010000 00', 2 ** 40],
  ])('reads the size of %s', (hex, size) => {
    expect(contentSize(Buffer.from(hex.replaceAll(' ', ''), 'hex'))).toBe(size);
  });
});
