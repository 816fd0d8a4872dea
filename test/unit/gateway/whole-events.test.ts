/** Events from bytes that were cut anywhere. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { WholeEvents } from '../../../src/gateway/sse/whole-events.js';

test('wherever the bytes are cut, only whole events leave, and nothing is lost', () => {
  const event = fc
    .record({ text: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }), end: fc.constantFrom('\n', '\r\n') })
    .map(({ text, end }) => `data: ${text.replace(/[\r\n]/g, '-')}${end}${end}`);
  fc.assert(
    fc.property(fc.array(event, { minLength: 1, maxLength: 6 }), fc.array(fc.nat(200)), (events, cuts) => {
      const bytes = Buffer.from(events.join(''));
      const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
      const stream = new WholeEvents();
      let text = '';
      for (let index = 1; index < at.length; index += 1) {
        text += stream.take(bytes.subarray(at[index - 1], at[index]));
        expect(text === '' || /\n\r?\n$/.test(text)).toBe(true);
      }
      expect(text).toBe(events.join(''));
      expect(stream.rest()).toBe('');
    }),
  );
});

test('what has no end is kept back, and ended when the stream is', () => {
  const stream = new WholeEvents();
  expect(stream.take(Buffer.from('data: a\n\nda'))).toBe('data: a\n\n');
  expect(stream.take(Buffer.from('ta: b'))).toBe('');
  expect(stream.rest()).toBe('data: b\n\n');
  expect(stream.rest()).toBe('');
});
