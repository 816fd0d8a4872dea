import { Socket } from 'node:net';
import { Packr } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { loadNative } from '../../../src/native/load.js';
import { FramedSocket } from '../../../src/transport/framed-socket.js';
import { until } from '../actors/played-client.js';

const native = loadNative();
const packr = new Packr({ useRecords: false });
const open = (fd: number): Socket => new Socket({ fd, readable: true, writable: true });

/** `near` is framed; `far` is the bare other end. */
function setUp(onFrame: (head: unknown) => void = () => {}) {
  const [a, b] = native.socketPair();
  const heard: { head: unknown; body: string }[] = [];
  const ends: string[] = [];
  const near = new FramedSocket(open(a), {
    frame: (head, body) => {
      heard.push({ head, body: body.toString() });
      onFrame(head);
    },
    end: (reason) => ends.push(reason),
  });
  const far = open(b);
  far.on('error', () => {});
  return { near, far, heard, ends };
}

function bytesOf(head: unknown, body = ''): Buffer {
  const packed = packr.pack(head);
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32LE(4 + packed.length + Buffer.byteLength(body), 0);
  lengths.writeUInt32LE(packed.length, 4);
  return Buffer.concat([lengths, packed, Buffer.from(body)]);
}

/** Everything until the other end is closed. */
async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

describe('framed socket', () => {
  it('reads frames however they are cut', async () => {
    const { far, near, heard } = setUp();
    const all = Buffer.concat([bytesOf({ n: 1 }, 'one'), bytesOf({ n: 2 }), bytesOf({ n: 3 }, 'x'.repeat(70_000))]);
    for (const size of [1, 2, 7, 9, 100, 5000, 80_000]) {
      heard.length = 0;
      const small = size * 40; // one by one; the rest at once
      for (let at = 0; at < Math.min(all.length, small); at += size) {
        await new Promise((resolve) => far.write(all.subarray(at, at + size), resolve));
        await new Promise((resolve) => setImmediate(resolve));
      }
      far.write(all.subarray(Math.min(all.length, small)));
      await until(() => heard.length === 3);
      expect(heard.map(({ head }) => head)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
      expect(heard.map(({ body }) => body.length)).toEqual([3, 0, 70_000]);
    }
    near.end('over');
    far.destroy();
  });

  it('sends what it is given in order, head and body parts, and what was said before the end still leaves', async () => {
    const { near, far } = setUp();
    near.send({ n: 1 }, [Buffer.from('ab'), new Uint8Array([99])]);
    near.send({ n: 2 });
    near.end('enough');
    near.send({ n: 3 });
    expect(await readAll(far)).toEqual(Buffer.concat([bytesOf({ n: 1 }, 'abc'), bytesOf({ n: 2 })]));
  });

  it('keeps whole numbers beyond 32 bits', async () => {
    const { near, far, heard } = setUp();
    const big = Buffer.concat([Buffer.from([0x81, 0xa1, 0x6e, 0xcf]), Buffer.from('0000010000000001', 'hex')]); // {n: uint64}
    const lengths = Buffer.alloc(8);
    lengths.writeUInt32LE(4 + big.length, 0);
    lengths.writeUInt32LE(big.length, 4);
    far.write(Buffer.concat([lengths, big]));
    await until(() => heard.length === 1);
    expect(heard[0]?.head).toEqual({ n: 2 ** 40 + 1 });
    near.end('over');
    far.destroy();
  });

  it.each([
    ['a head longer than its frame', Buffer.from([5, 0, 0, 0, 9, 0, 0, 0]), /head of 9/],
    ['a frame without room for the length of its head', Buffer.from([3, 0, 0, 0, 0, 0, 0, 0]), /frame of 3 bytes/],
    ['a frame of a gigabyte and more', Buffer.from([0, 0, 0, 0x41, 1, 0, 0, 0]), /frame of \d+ bytes/],
    ['an empty head', Buffer.from([4, 0, 0, 0, 0, 0, 0, 0]), /no msgpack/],
    ['a head with something behind it', Buffer.from([6, 0, 0, 0, 2, 0, 0, 0, 1, 2]), /no msgpack/],
  ])('ends at %s, once, and reads no further', async (_what, bytes, reason) => {
    const { far, heard, ends } = setUp();
    far.write(Buffer.concat([bytes, bytesOf({ n: 1 })]));
    await until(() => ends.length > 0);
    far.destroy();
    await until(() => far.closed);
    expect(ends).toEqual([expect.stringMatching(reason)]);
    expect(heard).toEqual([]);
  });

  it('ends with the words of a handler that throws, and the process goes on', async () => {
    const { far, heard, ends } = setUp(() => {
      throw new Error('I cannot bear it');
    });
    far.write(Buffer.concat([bytesOf({ n: 1 }), bytesOf({ n: 2 })]));
    await until(() => ends.length > 0);
    expect([ends, heard.length]).toEqual([['I cannot bear it'], 1]);
    far.destroy();
  });

  it('tells that the other side has left, also when that is in the middle of a frame', async () => {
    const { far, ends, near } = setUp();
    far.end(bytesOf({ n: 1 }, 'body').subarray(0, 11));
    await until(() => ends.length > 0);
    expect([ends, near.ended]).toEqual([['it was closed'], true]);
  });

  it('refuses to send more than a frame can carry, and sends nothing of it', async () => {
    const { near, far } = setUp();
    const part = new Uint8Array(2 ** 20);
    expect(() => near.send({ n: 1 }, Array(1024).fill(part))).toThrow(
      expect.objectContaining({ code: 'INVALID_REQUEST' }),
    );
    near.send({ n: 2 });
    near.end('enough');
    expect(await readAll(far)).toEqual(bytesOf({ n: 2 }));
  });

  it('counts what is not read yet, and drops it when it is cut', async () => {
    const { near, far, ends } = setUp();
    far.pause();
    near.send({ n: 1 }, [new Uint8Array(8 * 2 ** 20)]);
    expect(near.backlog).toBeGreaterThan(8 * 2 ** 20);
    await new Promise((resolve) => setImmediate(resolve));
    expect(near.backlog).toBeGreaterThan(4 * 2 ** 20);
    near.cut('too slow');
    near.cut('again');
    near.end('again');
    expect(ends).toEqual(['too slow']);
    expect((await readAll(far)).length).toBeLessThan(4 * 2 ** 20);
  });

  it('does not wait for ever for a side that never closes', async () => {
    const { near, far } = setUp();
    far.pause(); // it neither reads nor sees the end
    near.send({ n: 1 }, [new Uint8Array(8 * 2 ** 20)]);
    near.end('enough');
    await until(() => near.backlog === 0, 'its memory is given back');
    far.destroy();
  });
});
