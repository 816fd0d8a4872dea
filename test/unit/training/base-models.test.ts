import { describe, expect, it } from 'vitest';
import { BaseModels } from '../../../src/training/base-models.js';
import { FakeInference } from '../gateway/fake-inference.js';

/** `demo` is served from a folder; `alone` is trained from another one, and not served. */
const models = new BaseModels(new FakeInference(), {
  folder: (model) => `/models/${model}`,
  trainedOnly: () => [{ name: 'alone', maxModelLen: null }],
});

describe('a model that is trained and not served', () => {
  it('goes by its name, or by the folder that it comes from', () => {
    expect([models.served('alone'), models.served('/models/alone')]).toEqual(['alone', 'alone']);
    expect([models.has('alone'), models.has('demo'), models.has('/models/alone')]).toEqual([true, true, false]);
  });

  it('is not sampled from, which is said', () => {
    for (const name of ['alone', '/models/alone']) {
      expect(() => models.sampled(name)).toThrow(
        expect.objectContaining({
          code: 'UNSUPPORTED_PARAMETER',
          param: 'base_model',
          message: 'model `alone` is trained here, and nothing samples from it: serve it, too',
        }),
      );
    }
    expect([models.sampled('demo'), models.sampled('some/folder')]).toEqual(['demo', 'demo']);
  });

  it('is among those that there are, where one is not', () => {
    const words = 'no model `none` is served here: expected one of `demo`, `alias/with-slash`, `alone`, or the folder';
    expect(() => models.served('none')).toThrow(words);
    expect(() => models.sampled('none')).toThrow(words);
  });
});

it('without such models only what is served is known', () => {
  const served = new BaseModels(new FakeInference(), { folder: () => '/models/demo' });
  expect([served.has('alone'), served.sampled('demo')]).toEqual([false, 'demo']);
  expect(() => served.served('alone')).toThrow('no model `alone`');
});

it('of which only some may be asked for, the others are as if they were not there', () => {
  const only = (...names: string[]) =>
    new BaseModels(
      new FakeInference(),
      { folder: () => '', trainedOnly: () => [{ name: 'alone', maxModelLen: 8 }] },
      names,
    );
  const [demo, alias] = [only('demo'), only('alias/with-slash')];
  expect([demo.served('demo'), demo.allows('demo'), demo.allows('alone')]).toEqual(['demo', true, false]);
  // A folder, and another name of it, stand for the model.
  expect([demo.served('some/folder'), alias.served('alias/with-slash')]).toEqual(['demo', 'demo']);
  for (const name of ['alone', 'none'])
    expect(() => demo.served(name)).toThrow(
      `no model \`${name}\` is served here: expected one of \`demo\`, or the folder`,
    );
  expect(() => alias.served('demo')).toThrow('expected one of `alias/with-slash`, or');
});
