import { expect, it } from 'vitest';
import { forwardResult } from '../../../src/twinkle/outputs.js';
import { floats } from './fake-direct.js';

it('rows are filled up with zeros, of each output alike', () => {
  const shapes = [[2], [1], [0]];
  const outputs = [
    { name: 'logprobs', data: floats(-1, -2, -3) },
    { name: 'entropies', data: floats(1, 2, 3) },
  ];
  expect(forwardResult({ shapes, outputs })).toEqual({
    logits: null,
    logps: [
      [-1, -2],
      [-3, 0],
      [0, 0],
    ],
    entropies: [
      [1, 2],
      [3, 0],
      [0, 0],
    ],
  });
});

it('embeddings are a row for each sentence, and have no log-probabilities', () => {
  const outputs = [{ name: 'embeddings', data: floats(0.5, 0.25, 1, 2) }];
  expect(forwardResult({ shapes: [[2], [2]], outputs })).toEqual({
    logits: null,
    logps: null,
    embeddings: [
      [0.5, 0.25],
      [1, 2],
    ],
  });
});

it('bytes may begin anywhere in a message', () => {
  const message = new Uint8Array(9);
  message.set(floats(-1.5, 2), 1);
  expect(forwardResult({ shapes: [[2]], outputs: [{ name: 'logprobs', data: message.subarray(1) }] })).toMatchObject({
    logps: [[-1.5, 2]],
  });
});
