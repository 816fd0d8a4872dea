/**
 * The bytes on the wire are the contract: `frames.json` is committed, decoded here and in python-workers/tests/worker/test_contract.py.
 * `TWINKLE_UPDATE_GOLDEN=1` writes it anew, for a change of the protocol version.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { TwinkleError } from '../../src/errors.js';
import type { FromRank, ToRank } from '../../src/protocol/frames.js';
import { decodeFrame, encodeFrame } from '../../src/transport/codec.js';
import { FROM_RANK, TO_RANK } from './golden-frames.js';

interface Golden {
  readonly direction: 'to-rank' | 'from-rank';
  readonly frame: ToRank | FromRank;
  readonly hex: string;
}

const FILE = fileURLToPath(new URL('./frames.json', import.meta.url));
const fresh: Golden[] = [
  ...TO_RANK.map((frame) => ({ direction: 'to-rank' as const, frame, hex: encodeFrame(frame).toString('hex') })),
  ...FROM_RANK.map((frame) => ({ direction: 'from-rank' as const, frame, hex: encodeFrame(frame).toString('hex') })),
];
if (process.env.TWINKLE_UPDATE_GOLDEN === '1') writeFileSync(FILE, `${JSON.stringify(fresh, null, 1)}\n`);
const golden = JSON.parse(readFileSync(FILE, 'utf8')) as Golden[];

it('encodes every frame to the committed bytes', () => {
  expect(fresh.map(({ hex }) => hex)).toEqual(golden.map(({ hex }) => hex));
});

it.each(golden.map(({ frame, hex }) => [frame.t, frame, hex] as const))('decodes %s', (_tag, frame, hex) => {
  // As JSON: the file holds bytes as `Buffer` writes itself.
  expect(JSON.parse(JSON.stringify(decodeFrame(Buffer.from(hex, 'hex'))))).toEqual(frame);
});

it('hands bytes over as bytes', () => {
  const decoded = decodeFrame(encodeFrame({ t: 'items', items: [[1, { body: Buffer.from([0, 0xff]) }]] }));
  expect(decoded).toEqual({ t: 'items', items: [[1, { body: expect.any(Uint8Array) }]] });
});

it.each([
  ['no msgpack', Buffer.from([0xc1])],
  ['nothing', Buffer.alloc(0)],
  ['half a frame', Buffer.from(golden[0]?.hex ?? '', 'hex').subarray(0, 5)],
  ['a number', Buffer.from([7])],
  ['a map without a tag', Buffer.from([0x80])],
])('refuses %s', (_what, bytes) => {
  expect(() => decodeFrame(bytes)).toThrow(TwinkleError);
});
