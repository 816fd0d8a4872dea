import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { curveKeyPair } from 'zeromq';
import { joinLine, readToken, writeToken } from '../../../src/runtime/join-token.js';
import { decodeZ85, encodeZ85 } from '../../../src/transport/z85.js';

const keys = (): Parameters<typeof writeToken>[0] => ({ serverKey: curveKeyPair().publicKey, ...curveKeyPair() });

describe('a token', () => {
  it('holds the keys that were put in, and needs no quotes in a shell', () => {
    for (let round = 0; round < 50; round++) {
      const put = keys();
      const token = writeToken(put);
      expect(token).toMatch(/^tw1-[\w-]{134}$/);
      expect(readToken(token)).toEqual(put);
      expect(readToken(` ${token}\n`)).toEqual(put);
    }
    expect(joinLine('10.0.0.5:6379', 'tw1-x')).toBe('npx twinkle-node start --address 10.0.0.5:6379 --token tw1-x');
  });

  it('says what is wrong with it, and never shows itself', () => {
    const token = writeToken(keys());
    const words = (text: string): string => {
      try {
        readToken(text);
      } catch (error) {
        expect(error).toMatchObject({ code: 'CONFIG_INVALID' });
        const { message } = error as Error;
        expect(message).toContain('`npx twinkle-node token`');
        if (text.length > 20) expect(message).not.toContain(text.slice(8, 20));
        return message;
      }
      throw new Error('it was read');
    };
    expect(words('')).toContain('does not begin with tw1-');
    expect(words('hf_abcdefghijklmnopqrstuvw')).toContain('does not begin with tw1-');
    expect(words(token.replace('tw1-', 'tw2-'))).toContain('one of another version');
    expect(words(token.slice(0, -1))).toContain('134 letters, digits, - and _ after tw1- but received 133');
    expect(words(`${token.slice(0, 40)} ${token.slice(41)}`)).toContain('others between them');
  });

  it('with any letter mistyped or two of them swapped is found out', () => {
    const token = writeToken(keys());
    const letters = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'];
    // The last letter carries bits that mean nothing.
    const places = fc.integer({ min: 4, max: token.length - 2 });
    fc.assert(
      fc.property(places, fc.constantFrom(...letters), (at, letter) => {
        fc.pre(token[at] !== letter);
        expect(() => readToken(token.slice(0, at) + letter + token.slice(at + 1))).toThrow('a letter of it is wrong');
      }),
    );
    fc.assert(
      fc.property(fc.integer({ min: 4, max: token.length - 3 }), (at) => {
        fc.pre(token[at] !== token[at + 1]);
        const swapped = `${token.slice(0, at)}${token[at + 1]}${token[at]}${token.slice(at + 2)}`;
        expect(() => readToken(swapped)).toThrow('a letter of it is wrong');
      }),
    );
  });
});

describe('Z85', () => {
  it('is read as it is written', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 0, maxLength: 64 }), (bytes) => {
        const whole = Buffer.from(bytes.subarray(0, bytes.length - (bytes.length % 4)));
        expect(decodeZ85(encodeZ85(whole))).toEqual(whole);
      }),
    );
    expect(encodeZ85(Buffer.from('864fd26fb559f75b', 'hex'))).toBe('HelloWorld');
    expect(() => encodeZ85(Buffer.alloc(3))).toThrow(RangeError);
  });
});
