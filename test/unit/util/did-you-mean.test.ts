import { expect, test } from 'vitest';
import { didYouMean, nearest } from '../../../src/util/did-you-mean.js';

const WORDS = ['port', 'host', 'served-model-name', 'max-num-seqs', 'uds'];

test.each([
  ['prot', 'port'],
  ['PORT', 'port'],
  ['max-num-sqs', 'max-num-seqs'],
  ['served-model', 'served-model-name'],
])('%s means %s', (word, meant) => {
  expect(nearest(word, WORDS)).toBe(meant);
});

test('says nothing when nothing is near', () => {
  expect(nearest('quantization', WORDS)).toBeNull();
  expect(didYouMean('quantization', WORDS)).toBe('');
  expect(didYouMean('hots', WORDS)).toBe('; did you mean `host`?');
});
