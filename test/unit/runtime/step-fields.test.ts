import { expect, test } from 'vitest';
import { stepFields } from '../../../src/runtime/step-fields.js';

test('figures of a step, with the digits that they are worth', () => {
  expect(
    stepFields({
      run: 's:train:0',
      model: 'demo',
      step: 7,
      loss: 123.456789,
      lossPerToken: null,
      gradNorm: 1 / 3,
      tokensPerSecond: 1234567.89,
      datums: 2,
      tokens: 30,
      stepMs: 40.1234567,
      queueMs: 0,
    }),
  ).toEqual({
    run: 's:train:0',
    model: 'demo',
    step: 7,
    loss: 123.457,
    loss_per_token: null,
    tokens: 30,
    tokens_per_s: 1234570,
    step_ms: 40.1235,
    queue_ms: 0,
    grad_norm: 0.333333,
  });
});
