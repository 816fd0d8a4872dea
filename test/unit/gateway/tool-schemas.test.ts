/** Tools whose parameters are no JSON schema, in the three forms in which requests carry tools. */
import { describe, expect, it } from 'vitest';
import { checkToolSchemas } from '../../../src/gateway/relay/tool-schemas.js';
import { gateway } from './harness.js';
import { CHAT, engines } from './relay-harness.js';

const chat = (parameters: unknown) => [{ type: 'function', function: { name: 'f', parameters } }];

describe('a tool', () => {
  it.each([
    ['a number as type', chat({ type: 7 }), 'tools[0].function.parameters', '/type'],
    ['a type that there is not', chat({ properties: { a: { type: 'nope' } } }), 'tools[0].function.parameters', '/a'],
    ['a list of properties', chat({ properties: [] }), 'tools[0].function.parameters', '/properties'],
    ['a text as schema', chat('x'), 'tools[0].function.parameters', 'must be'],
    ['Anthropic’s form', [{ name: 'f' }, { name: 'g', input_schema: { type: 7 } }], 'tools[1].input_schema', '/type'],
    [
      'the form of responses',
      [{ type: 'function', name: 'f', parameters: { enum: 1 } }],
      'tools[0].parameters',
      '/enum',
    ],
  ])('is refused with %s, with its place', (_what, tools, param, words) => {
    expect(() => checkToolSchemas(tools)).toThrow(
      expect.objectContaining({ code: 'INVALID_REQUEST', param, message: expect.stringContaining(words) }),
    );
  });

  it.each([
    ['nothing', chat(undefined)],
    ['no words of a schema', chat({})],
    [
      'a later draft',
      chat({
        $schema: 'https://json-schema.org/draft/2020-12/schema',
        type: ['object', 'null'],
        $defs: { a: { prefixItems: [{ type: 'string', nullable: true }] } },
        properties: { a: { $ref: '#/$defs/a' } },
        unevaluatedProperties: false,
      }),
    ],
    ['what only the engine understands', ['x', { type: 'web_search' }]],
  ])('is taken with %s', (_what, tools) => {
    expect(() => checkToolSchemas(tools)).not.toThrow();
  });
});

it('refuses before the engine is asked', async () => {
  const inference = engines();
  const { app } = await gateway({ inference });
  const payload = { messages: [{ role: 'user', content: 'x' }], tools: chat({ type: 7 }) };
  const answer = await app.inject({ method: 'POST', url: CHAT, payload });
  expect(answer.statusCode).toBe(400);
  expect(answer.json().error).toMatchObject({ code: 'invalid_request', param: 'tools[0].function.parameters' });
  expect(inference.relays).toEqual([]);
});
