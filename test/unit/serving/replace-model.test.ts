/** Another model in a JSON text, and nothing else. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { replaceModel } from '../../../src/serving/replace-model.js';

it.each([
  ['{"model":"demo:sql","n":1.0}', '{"model":"sql","n":1.0}'],
  ['{ "seed": 12345678901234567890 , "model" : "demo:sql" }', '{ "seed": 12345678901234567890 , "model" : "sql" }'],
  [
    '{"a":{"model":"x"},"b":[{"model":"x"},"model"],"model":"m"}',
    '{"a":{"model":"x"},"b":[{"model":"x"},"model"],"model":"sql"}',
  ],
  ['{"text":"\\"model\\":\\"x\\"","model":"m"}', '{"text":"\\"model\\":\\"x\\"","model":"sql"}'],
  ['{"mod\\u0065l":"m"}', '{"mod\\u0065l":"sql"}'],
  ['{"x":"model","model":"m"}', '{"x":"model","model":"sql"}'],
  ['{"model":"a","model":"b"}', '{"model":"sql","model":"sql"}'],
  ['{"model":null,"x":"m"}', '{"model":null,"x":"m"}'],
  ['{"model":["m"],"x":"m"}', '{"model":["m"],"x":"m"}'],
  ['[{"model":"m"}]', '[{"model":"m"}]'],
  ['{}', '{}'],
  ['', ''],
])('%s → %s', (text, expected) => {
  expect(replaceModel(text, 'sql')).toBe(expected);
});

it('changes the parsed value in that field only, for any document and spacing', () => {
  const documents = fc.dictionary(fc.oneof(fc.constant('model'), fc.string()), fc.jsonValue(), { maxKeys: 6 });
  fc.assert(
    fc.property(documents, fc.string(), fc.string(), fc.nat(3), (document, old, name, spaces) => {
      const given = { ...document, model: old };
      const text = JSON.stringify(given, null, spaces);
      expect(JSON.parse(replaceModel(text, name))).toEqual(JSON.parse(JSON.stringify({ ...given, model: name })));
      const without = JSON.stringify(document, null, spaces);
      if (typeof document.model !== 'string') expect(replaceModel(without, name)).toBe(without);
    }),
  );
});
