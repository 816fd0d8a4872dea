import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compileWork } from '../../../../src/twinkle/losses/compile.js';
import { readLoss } from '../../../../src/twinkle/losses/loss.js';
import { denominatorOf, factors } from '../../../../src/twinkle/losses/weights.js';
import { unpack } from '../../../support/twinkle/work.js';

interface Case {
  readonly name: string;
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly call: Readonly<Record<string, unknown>>;
  readonly weights: readonly (readonly number[])[];
  readonly tokens: number;
}

const fixture = JSON.parse(readFileSync(new URL('../../../fixtures/twinkle/losses.json', import.meta.url), 'utf8')) as {
  readonly labels: readonly (readonly number[])[];
  readonly weights: readonly Case[];
};
const features = fixture.labels.map((labels) => ({ tokens: labels.map(() => 1), labels, anchor: null, padding: 0 }));

describe('weights of tokens beside twinkle-kit’s classes', () => {
  it.each(fixture.weights)('$name $kwargs $call', ({ call, kwargs, name, tokens, weights }) => {
    const advantages = name.includes('CrossEntropy') ? {} : { advantages: features.map(() => 1) };
    const { denominator, work } = compileWork(readLoss(name, kwargs), features, { ...call, ...advantages }, false);
    const own = unpack(work).weights ?? [];
    expect(own.map((row) => row.length)).toEqual(weights.map((row) => row.length));
    own.flat().forEach((weight, at) => {
      expect(weight).toBeCloseTo(weights.flat()[at] ?? Number.NaN, 7);
    });
    expect(denominator).toBe(tokens === 0 ? 1 : tokens);
  });
});

describe('batches in which nothing counts', () => {
  it.each(['token-sum', 'token-mean', 'sequence-mean', 'batch-length', 'batch-items', 'own'] as const)(
    'have finite factors by %s',
    (reduction) => {
      const batch = { counts: [0, 0], items: null };
      expect(factors({ reduction, length: 4 }, batch).every(Number.isFinite)).toBe(true);
      expect(denominatorOf({ reduction }, batch)).toBe(1);
    },
  );
});
