import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import {
  decodePeerFrame,
  encodePeerFrame,
  errorOf,
  failedFrame,
  type Hello,
  looksLikeHello,
  type PeerFrame,
} from '../../../src/transport/peer-frames.js';

const HELLO: Hello = {
  t: 'hello',
  protocol: 1,
  role: 'agent',
  session: 's',
  pid: 1,
  pid_start: '99',
  body: { a: [1] },
};

const FRAMES: PeerFrame[] = [
  HELLO,
  { t: 'welcome', protocol: 1, head: 'h', body: null },
  { t: 'refuse', code: 'CONFIG_INVALID', reason: 'no' },
  { t: 'call', id: 0, method: 'm', params: { deep: { list: [1.5, -1, 2 ** 40] } } },
  { t: 'result', id: 7, value: null },
  { t: 'error', id: 7, code: 'INTERNAL', message: 'x', details: { pid: 3 } },
  { t: 'cast', method: 'm', params: 'ümläut' },
  { t: 'ping' },
  { t: 'pong' },
  { t: 'bye', reason: 'ends' },
];

describe('frames of peers', () => {
  it.each(FRAMES.map((frame) => [frame.t, frame] as const))('%s comes back as it was', (_, frame) => {
    expect(decodePeerFrame(encodePeerFrame(frame))).toEqual(frame);
  });

  it('a hello as any language writes it: a map whose first key is t', () => {
    expect([...encodePeerFrame(HELLO).subarray(0, 9)]).toEqual([0x87, 0xa1, 0x74, 0xa5, ...Buffer.from('hello')]);
    expect(looksLikeHello(encodePeerFrame(HELLO))).toBe(true);
    expect(looksLikeHello(encodePeerFrame({ t: 'ping' }))).toBe(false);
    expect(looksLikeHello(Buffer.alloc(0))).toBe(false);
    expect(looksLikeHello(Buffer.from([0x87]))).toBe(false);
  });

  it('undefined travels as nil, and half a surrogate pair as U+FFFD: other languages know neither', () => {
    const frame = decodePeerFrame(encodePeerFrame({ t: 'cast', method: 'm', params: { a: undefined, b: 'x\ud800y' } }));
    expect(frame).toEqual({ t: 'cast', method: 'm', params: { a: null, b: 'x\ufffdy' } });
    const whole = { t: 'cast', method: 'm', params: 'Hangul 한글 and 🙂' } as const; // the same first bytes, and right
    expect(decodePeerFrame(encodePeerFrame(whole))).toEqual(whole);
  });

  it('refuses what msgpack cannot say, naming the method', () => {
    const encoding = (): unknown => encodePeerFrame({ t: 'call', id: 1, method: 'create', params: 2n ** 70n });
    expect(encoding).toThrowError(expect.objectContaining({ code: 'INVALID_REQUEST' }));
    expect(encoding).toThrow('`create`');
  });

  it.each<[string, unknown]>([
    ['no map', [1]],
    ['nothing', null],
    ['a map without a tag', { method: 'm' }],
    ['a tag of its own', { t: 'toString' }],
    ['a tag that is no text', { t: 3 }],
    ['a call without an id', { t: 'call', method: 'm', params: 1 }],
    ['a call with a negative id', { t: 'call', id: -1, method: 'm' }],
    ['a call whose id is text', { t: 'call', id: '1', method: 'm' }],
    ['a cast without a method', { t: 'cast', params: 1 }],
    ['an error whose details are a list', { t: 'error', id: 1, code: 'X', message: '', details: [] }],
    ['a hello without a session', { ...HELLO, session: null }],
  ])('refuses %s', (_, value) => {
    const bytes = encodePeerFrame(value as PeerFrame);
    expect(() => decodePeerFrame(bytes)).toThrowError(expect.objectContaining({ code: 'PROTOCOL' }));
  });

  it('reads any bytes as a frame or as a breach, never as anything else', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc.tuple(fc.constantFrom(...FRAMES), fc.nat(), fc.nat(255)).map(([frame, at, byte]) => {
        const copy = encodePeerFrame(frame);
        copy[at % copy.length] = byte;
        return copy.subarray(0, at % 7 === 0 ? at % copy.length : copy.length);
      }),
    );
    fc.assert(
      fc.property(bytes, (some) => {
        looksLikeHello(Buffer.from(some));
        try {
          const { t } = decodePeerFrame(some);
          expect(FRAMES.map((frame) => frame.t)).toContain(t);
        } catch (error) {
          expect(error).toMatchObject({ code: 'PROTOCOL' });
        }
      }),
      { numRuns: 500 },
    );
  });

  it('errors cross with code, message and details; foreign ones and unknown codes as INTERNAL', () => {
    const known = new TwinkleError('GROUP_NAME_TAKEN', 'taken', { details: { id: 'g' } });
    const crossed = failedFrame(1, known);
    expect(errorOf(crossed.code, crossed.message, crossed.details)).toMatchObject({
      code: 'GROUP_NAME_TAKEN',
      message: 'taken',
      details: { id: 'g' },
    });
    expect(failedFrame(2, new TypeError('oops'))).toEqual({
      t: 'error',
      id: 2,
      code: 'INTERNAL',
      message: 'oops',
      details: {},
    });
    expect(failedFrame(3, 'a word')).toMatchObject({ code: 'INTERNAL', message: 'a word' });
    expect(errorOf('OF_A_LATER_RELEASE', 'm')).toMatchObject({ code: 'INTERNAL', message: 'm' });
  });
});
