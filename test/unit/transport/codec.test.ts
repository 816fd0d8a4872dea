import { describe, expect, it } from 'vitest';
import { decodeFrame, encodeFrame } from '../../../src/transport/codec.js';
import { wellFormed } from '../../../src/transport/well-formed.js';

const HALF = '\ud83d'; // the first half of an emoji, as a client sends it that cuts a string in the wrong place

const valid = (bytes: Buffer): string => new TextDecoder('utf-8', { fatal: true }).decode(bytes);

describe('frames', () => {
  it.each(['', 'x'.repeat(300)])('hold valid UTF-8 whatever half pairs a client sent (tail of %j)', (tail) => {
    const params = { n: 1, text: `a${HALF}b${tail}`, deep: [{ [`k${HALF}`]: [`${HALF}`, 1] }], last: null };
    const decoded = decodeFrame(encodeFrame({ t: 'open', id: 1, method: 'generate', params, credits: 1 }));
    const right = { n: 1, text: `a\ufffdb${tail}`, deep: [{ 'k\ufffd': ['\ufffd', 1] }], last: null };
    expect(decoded).toHaveProperty('params', right);
    const text = encodeFrame({ t: 'call', id: 1, method: 'echo', params: HALF + tail });
    expect(text.includes(Buffer.from('\ufffd'))).toBe(true);
    expect(() => valid(text.subarray(text.indexOf('\ufffd')))).not.toThrow();
  });

  it('leave whole text alone: the same objects, no copy', () => {
    const params = { text: 'über 😀', ids: [1, 2], nested: { list: ['a', null, true] } };
    expect(wellFormed(params)).toBe(params);
    expect(wellFormed('😀')).toBe('😀');
  });

  it('say what cannot be sent', () => {
    const cycle: Record<string, unknown> = {};
    cycle.self = cycle;
    for (const params of [10n ** 30n, { a: Symbol('x') }, cycle]) {
      const encode = () => encodeFrame({ t: 'call', id: 1, method: 'echo', params });
      expect(encode).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }));
    }
  });
});
