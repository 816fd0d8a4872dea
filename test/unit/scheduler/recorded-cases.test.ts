import { describe, expect, it } from 'vitest';
import { judgeCase, judgeOracle, recordedCases } from '../../support/placement-cases.js';

describe('what a real Ray 2.60 cluster did', () => {
  const cases = recordedCases();

  it('is there: 134 cases', () => {
    expect(cases).toHaveLength(134);
  });

  it.each(cases.map((one) => [one.case, one] as const))('%s: each of our choices is legal', (_, recorded) => {
    expect(judgeCase(recorded)).toEqual([]);
  });

  it.each(cases.map((one) => [one.case, one] as const))('%s: the oracle allows what Ray did', (_, recorded) => {
    expect(judgeOracle(recorded)).toEqual([]);
  });
});
