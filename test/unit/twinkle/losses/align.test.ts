import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { align } from '../../../../src/twinkle/losses/align.js';

const fixture = JSON.parse(readFileSync(new URL('../../../fixtures/twinkle/losses.json', import.meta.url), 'utf8')) as {
  readonly labels: readonly (readonly number[])[];
  readonly aligned: readonly { readonly data: unknown; readonly aligned: readonly (readonly number[])[] }[];
};
const places = fixture.labels.map((labels) => ({ labels, sent: labels.length }));
const put = (data: unknown, of = places) => align('old_logps', data, of, { scalars: true });

describe('numbers for tokens beside twinkle-kit’s', () => {
  it.each(fixture.aligned)('form %#', ({ aligned, data }) => {
    expect(put(data)).toEqual(aligned);
  });
});

describe('forms beyond those', () => {
  it('take a whole sequence without what filled it up', () => {
    const data = fixture.labels.map((labels) => labels.map((_, at) => -at));
    expect(put(data)[3]).toEqual([0, -1, 0, -3, -4]);
  });

  it('take what was sent for padding, and leave it out', () => {
    const padded = [
      { labels: [-100, 5], sent: 4 },
      { labels: [-100, -100, 5, 6, 7, 8], sent: 6 },
    ];
    expect(
      put(
        [
          [1, 2, 3, 4],
          [1, 2, 3, 4, 5, 6],
        ],
        padded,
      ),
    ).toEqual([
      [0, 2],
      [0, 0, 3, 4, 5, 6],
    ]);
  });

  it('take one number for the only sequence, and a batch that is nested once more', () => {
    expect(put(-0.5, [{ labels: [-100, 5, 6], sent: 3 }])).toEqual([[0, -0.5, -0.5]]);
    const batch = fixture.labels.map(() => [1, 2, 3, 4, 5, 6]);
    expect(put([batch.slice(0, 2), batch.slice(2)])).toEqual(put(batch));
  });
});

describe('what is refused', () => {
  const rows = fixture.labels.map((labels) => labels.map(() => 0));
  const refusals: [string, unknown, string][] = [
    [
      'another length',
      [[1, 2, 3, 4], ...rows.slice(1)],
      'expected 1 number, 3 (one for each token that counts) or 6 (one for each of its tokens) for `old_logps` of sequence 0 but received 4',
    ],
    [
      'another length of a shorter sequence',
      [...rows.slice(0, 3), [1, 2]],
      'expected 1 number, 3 (one for each token that counts) or 5 or at least 6 (one for each of its tokens) for `old_logps` of sequence 3 but received 2',
    ],
    ['none for tokens that count', [[], ...rows.slice(1)], 'for `old_logps` of sequence 0 but received 0'],
    [
      'too few sequences',
      rows.slice(1),
      'expected 4 entries, one for each sequence, for `old_logps` but received 3 lists',
    ],
    [
      'too many numbers',
      [1, 2, 3, 4, 5],
      'expected 4 entries, one for each sequence, for `old_logps` but received 5 numbers',
    ],
    [
      'no numbers',
      [['x'], ...rows.slice(1)],
      'expected finite numbers for `old_logps` of sequence 0 but received "x" at position 0',
    ],
    ['null among numbers', [[0, 0, 0, null, 0, 0], ...rows.slice(1)], 'but received null at position 3'],
    ['an object', { logps: rows }, 'expected a list for each sequence for `old_logps` but received {"logps"'],
  ];
  it.each(refusals)('%s', (_, data, message) => {
    expect(() => put(data)).toThrow(message);
    expect(() => put(data)).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST', param: 'old_logps' }));
  });

  it('one number for all tokens, where their sum may be meant', () => {
    const all = () => align('ref_logps', [-1, -2, -3, -4], places, { scalars: false });
    expect(all).toThrow(
      'expected 3 (one for each token that counts) or 6 (one for each of its tokens) for `ref_logps` of sequence 0 but received 1',
    );
  });
});
