import { expect, it } from 'vitest';
import { capabilitiesOf } from '../../../src/training/capabilities.js';
import { servedModel } from '../gateway/fake-inference.js';

const demo = servedModel({ names: ['demo', 'alias'] });

it('models that are served, under each name, before those that are trained alone', () => {
  const trainedOnly = () => [{ name: 'alone', maxModelLen: 64 }];
  expect(capabilitiesOf([demo], { trains: (model) => model !== 'demo', trainedOnly })).toEqual([
    { model: 'demo', maxContextLength: 512, trainable: false },
    { model: 'alias', maxContextLength: 512, trainable: false },
    { model: 'alone', maxContextLength: 64, trainable: true },
  ]);
});

it('what is not up is not among them', () => {
  const down = servedModel({ card: null });
  const trainedOnly = () => [{ name: 'alone', maxModelLen: null }];
  expect(capabilitiesOf([down], { trains: () => true, trainedOnly })).toEqual([]);
  expect(capabilitiesOf([demo], { trains: () => true }).map(({ trainable }) => trainable)).toEqual([true, true]);
});
