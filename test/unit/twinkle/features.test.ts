import { describe, expect, it } from 'vitest';
import { type Feature, nextTokens, readInputs, type Task } from '../../../src/twinkle/features.js';

function features(inputs: unknown, task?: Task): readonly Feature[] {
  const read = readInputs(inputs, task);
  if (read.kind !== 'features') throw new Error(`these are ${read.kind}`);
  return read.features;
}

const whole = (tokens: number[], labels: number[] | null): Feature => ({ tokens, labels, anchor: null, padding: 0 });

describe('encoded sequences', () => {
  it('come as a list, alone, or as the only row of a batch', () => {
    const entry = { input_ids: [5, 6, 7], labels: [6, 7, -100] };
    const expected = [whole([5, 6, 7], [6, 7, -100])];
    expect(features([entry])).toEqual(expected);
    expect(features(entry)).toEqual(expected);
    expect(features({ input_ids: [[5, 6, 7]], labels: [[6, 7, -100]] })).toEqual(expected);
  });

  it('need no labels', () => {
    expect(features({ input_ids: [5] })).toEqual([whole([5], null)]);
    expect(features({ input_ids: [5], labels: null })).toEqual([whole([5], null)]);
    expect(nextTokens([5, 6, 7])).toEqual([6, 7, -100]);
    expect(nextTokens([5])).toEqual([-100]);
  });

  it('lose the padding at their end', () => {
    const entry = {
      input_ids: [5, 6, 0, 0],
      attention_mask: [true, true, false, false],
      labels: [6, 9, -100, -100],
      position_ids: [0, 1, -1, -1],
    };
    expect(features(entry)).toEqual([{ tokens: [5, 6], labels: [6, 9], anchor: null, padding: 2 }]);
  });

  it('may say again what is known, and what is of no use here', () => {
    const entry = {
      input_ids: [5, 6],
      labels: [6, 9],
      attention_mask: [[1, 1]],
      position_ids: [
        [0, 1],
        [0, 1],
        [0, 1],
      ],
      length: [2],
      completion_mask: [0, 1],
      images: [],
      routed_experts: null,
      messages: [{ role: 'user', content: 'x' }],
      logprobs: [-1],
    };
    expect(features(entry)).toEqual([whole([5, 6], [6, 9])]);
  });

  it('have a mark for labels when they are embedded', () => {
    const inputs = [{ input_ids: [5, 6], labels: [1] }, { input_ids: [7, 8, 9], labels: 0 }, { input_ids: [3] }];
    expect(features(inputs, 'embedding').map(({ anchor, labels }) => [anchor, labels])).toEqual([
      [true, null],
      [false, null],
      [null, null],
    ]);
  });
});

describe('conversations', () => {
  it('are kept as they came', () => {
    const entry = { messages: [{ role: 'user', content: 'x' }], user_data: [['key', '"value"']] };
    expect(readInputs([entry, entry])).toEqual({ kind: 'trajectories', trajectories: [entry, entry] });
    expect(readInputs(entry)).toEqual({ kind: 'trajectories', trajectories: [entry] });
  });
});

describe('what is refused', () => {
  const message = { messages: [{ role: 'user', content: 'x' }] };
  const refusals: [string, unknown, string][] = [
    ['nothing', [], 'expected at least one input but received an empty list'],
    ['no object', [[1, 2]], 'expected an object with `input_ids` or `messages` for `inputs[0]` but received [1,2]'],
    ['null', null, 'for `inputs[0]` but received null'],
    ['neither kind', [{ text: 'x' }], 'expected `input_ids` or `messages` in `inputs[0]`, which has text'],
    ['both kinds', [{ input_ids: [1] }, { input_ids: [1] }, message], 'inputs[0] is encoded and inputs[2] is not'],
    [
      'both kinds, the other way',
      [message, { input_ids: [1] }],
      'inputs[0] is not encoded and inputs[1] is; send them apart',
    ],
    ['no tokens', [{ input_ids: [] }], 'expected at least one token for `inputs[0].input_ids` but received none'],
    [
      'tokens that are none',
      [{ input_ids: [1, 2.5] }],
      'expected token ids for `inputs[0].input_ids` but received 2.5 at position 1',
    ],
    ['tokens as a text', [{ input_ids: 'x' }], 'expected a list for `inputs[0].input_ids` but received "x"'],
    [
      'several rows',
      [{ input_ids: [[1], [2]] }],
      'expected one sequence for `inputs[0].input_ids` but received 2 rows',
    ],
    [
      'labels of another length',
      [{ input_ids: [1] }, { input_ids: [1, 2], labels: [1] }],
      'expected 2 labels, as input_ids has tokens, for `inputs[1].labels` but received 1',
    ],
    [
      'labels that are none',
      [{ input_ids: [1], labels: [-1] }],
      'expected token ids or -100 for `inputs[0].labels` but received -1 at position 0',
    ],
    [
      'labels of padding',
      [{ input_ids: [1, 0], labels: [1, 0], attention_mask: [1, 0] }],
      '`inputs[0].labels` counts position 1, which attention_mask hides',
    ],
    [
      'a mask with a hole',
      [{ input_ids: [1, 2, 3], attention_mask: [1, 0, 1] }],
      'expected ones and then zeros for `inputs[0].attention_mask` but received 1 at position 2',
    ],
    [
      'padding in front',
      [{ input_ids: [0, 2], attention_mask: [0, 1] }],
      'but received 1 at position 1; send a sequence without padding',
    ],
    [
      'a mask of nothing',
      [{ input_ids: [1], attention_mask: [0] }],
      'expected a one in `inputs[0].attention_mask`, which hides every token',
    ],
    [
      'a mask of another length',
      [{ input_ids: [1], attention_mask: [1, 1] }],
      'expected 1 entries, as input_ids has, for `inputs[0].attention_mask` but received 2',
    ],
    [
      'packed sequences',
      [{ input_ids: [1, 2, 3], position_ids: [0, 1, 0] }],
      'received 0 at position 2; send packed sequences each as an input of its own',
    ],
    [
      'other positions',
      [{ input_ids: [1, 2], position_ids: [4, 5] }],
      'expected 0, 1, 2 … for `inputs[0].position_ids` but received 4 at position 0',
    ],
    [
      'axes that differ',
      [
        {
          input_ids: [1, 2],
          position_ids: [
            [0, 1],
            [0, 3],
          ],
        },
      ],
      'but received 3 at position 1',
    ],
    ['another length', [{ input_ids: [1, 2], length: 3 }], 'expected 2 for `inputs[0].length` but received 3'],
    [
      'an image',
      [{ input_ids: [1], pixel_values: [[0.5]] }],
      '`inputs[0].pixel_values` cannot be trained on or sampled from: only text is',
    ],
    [
      'an image beside messages',
      [{ messages: [{ role: 'user', content: 'x' }], images: ['x.png'] }],
      '`inputs[0].images` cannot be trained on or sampled from: only text is',
    ],
    ['experts', [{ input_ids: [1], routed_experts: [[[1]]] }], '`inputs[0].routed_experts` cannot be replayed'],
    ['no messages', [{ messages: [] }], 'expected at least one message for `inputs[0].messages` but received []'],
    [
      'messages without a role',
      [{ messages: [{ content: 'x' }] }],
      'expected an object with a `role` for `inputs[0].messages[0]`',
    ],
  ];
  it.each(refusals)('%s', (_, inputs, words) => {
    expect(() => readInputs(inputs)).toThrow(words);
    expect(() => readInputs(inputs)).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }));
  });

  it('marks of anchors that are none', () => {
    const read = () => readInputs([{ input_ids: [1, 2], labels: [1, 2] }], 'embedding');
    expect(read).toThrow(
      'expected [1] for an anchor and [0] for the sentences that belong to it for `inputs[0].labels` but received [1,2]',
    );
  });
});
