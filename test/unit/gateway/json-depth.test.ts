/** Nesting of JSON texts, against the parsed value. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nestsDeeperThan } from '../../../src/gateway/http/json-depth.js';

const depthOf = (value: unknown): number =>
  typeof value === 'object' && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depthOf)) : 0;

test('agrees with the value, whatever its strings hold', () => {
  const text = fc.oneof(fc.string(), fc.stringMatching(/^[[\]{}"\\]{0,9}$/));
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 6 },
      text,
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(text, tie('value'), { maxKeys: 4 }),
    ),
  }));
  fc.assert(
    fc.property(value, fc.integer({ min: 0, max: 5 }), (json, limit) => {
      expect(nestsDeeperThan(limit, JSON.stringify(json))).toBe(depthOf(json) > limit);
    }),
    { numRuns: 500 },
  );
});

test('stays within broken text', () => {
  for (const text of ['"', '"\\', ']]]', '[[[[[', '{"a":"\\"[[[['])
    expect(typeof nestsDeeperThan(2, text)).toBe('boolean');
  expect(nestsDeeperThan(2, '[[[[[')).toBe(true);
});
