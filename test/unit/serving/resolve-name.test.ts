import { expect, it } from 'vitest';
import { type NamedModel, resolveModelName } from '../../../src/serving/resolve-name.js';

const BASE: NamedModel = { names: ['base', 'hub/base'], adapters: new Set(['sql', 'base:v2']) };
const PLAIN: NamedModel = { names: ['plain', 'base:odd'] };
const MODELS = [BASE, PLAIN];

it.each<[string | null, NamedModel, string | null]>([
  ['base', BASE, null],
  ['hub/base', BASE, null],
  ['sql', BASE, 'sql'],
  ['base:sql', BASE, 'sql'],
  ['hub/base:sql', BASE, 'sql'],
  ['hub/base:base:v2', BASE, 'base:v2'],
  // A model's own name comes first.
  ['base:odd', PLAIN, null],
])('%s', (name, model, adapter) => {
  expect(resolveModelName(name, MODELS)).toEqual({ model, adapter });
});

it.each(['base:', 'base:none', 'plain:sql', ':sql', '', null, 'SQL'])('%s is nobody', (name) => {
  expect(() => resolveModelName(name, MODELS)).toThrow(
    expect.objectContaining({ code: 'MODEL_NOT_FOUND', param: 'model' }),
  );
});

it('no name means the only model', () => {
  for (const name of ['', null]) expect(resolveModelName(name, [PLAIN])).toEqual({ model: PLAIN, adapter: null });
  expect(() => resolveModelName('plai', MODELS)).toThrow(/did you mean `plain`/);
});
