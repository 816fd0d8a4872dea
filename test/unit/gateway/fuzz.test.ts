/** Random bodies: every answer is 200 or 4xx in OpenAI's shape, and what reaches the engine is complete. */
import { Ajv } from 'ajv';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ChatRequest } from '../../../src/gateway/openai/chat-request.js';
import { CompletionRequest } from '../../../src/gateway/openai/completion-request.js';
import { GenerateParams, Prompt, SamplingParams } from '../../../src/protocol/values.js';
import { CARD, servedModel } from './fake-inference.js';
import { gateway, type Harness } from './harness.js';

const ajv = new Ajv({ strict: false, schemas: [Prompt, SamplingParams] });
const validParams = ajv.compile(GenerateParams);

const odd = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom(-1, 0, 1, 1e308, 2 ** 53, '', '\u0000', 'NaN', [], {}, [[]], true, null, '__proto__'),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);

/** A sound body of which some known fields are replaced by odd values. */
const nearly = (fields: readonly string[], base: object) =>
  fc.dictionary(fc.constantFrom(...fields), odd, { maxKeys: 3 }).map((changes) => ({ ...base, ...changes }));

async function check({ app, inference }: Harness, url: string, payload: unknown): Promise<void> {
  inference.calls.length = 0;
  const answer = await app.inject({
    method: 'POST',
    url,
    headers: { 'content-type': 'application/json' },
    payload: JSON.stringify(payload),
  });
  expect(answer.statusCode, answer.body).toBeLessThan(500);
  if (answer.statusCode !== 200) {
    expect(answer.json()).toEqual({
      error: {
        message: expect.stringMatching(/./),
        type: expect.any(String),
        param: answer.json().error.param === null ? null : expect.any(String),
        code: expect.any(String),
      },
    });
  }
  for (const { params } of inference.calls) expect(validParams(params), JSON.stringify(validParams.errors)).toBe(true);
}

test.each([
  ['/v1/completions', Object.keys(CompletionRequest.properties), { prompt: 'a', max_tokens: 1 }],
  [
    '/v1/chat/completions',
    Object.keys(ChatRequest.properties),
    { messages: [{ role: 'user', content: 'a' }], max_tokens: 1 },
  ],
  ['/tokenize', ['prompt', 'messages', 'model', 'add_special_tokens', 'chat_template'], { prompt: 'a' }],
  ['/detokenize', ['tokens', 'model'], { tokens: [1] }],
])('%s never fails by its body', async (url, fields, base) => {
  const harness = await gateway();
  // A random limit of tokens is a random time: the fake stops after a few.
  const generate = harness.inference.generate.bind(harness.inference);
  harness.inference.generate = (model, params, sink, caller) => {
    const { sampling } = params;
    const max_tokens = Math.min(sampling.max_tokens ?? 2, 2);
    return generate(model, { ...params, sampling: { ...sampling, max_tokens } }, sink, caller);
  };
  const bodies = fc.oneof({ arbitrary: nearly(fields, base), weight: 4 }, { arbitrary: odd, weight: 1 });
  await fc.assert(
    fc.asyncProperty(bodies, (body) => check(harness, url, body)),
    { numRuns: 250 },
  );
});

test.each([
  ['/v1/completions', Object.keys(CompletionRequest.properties), { prompt: 'a', max_tokens: 1 }],
  [
    '/v1/chat/completions',
    Object.keys(ChatRequest.properties),
    { messages: [{ role: 'user', content: 'a' }], max_tokens: 1 },
  ],
])('%s refuses nothing that an engine of its own could take', async (url, fields, base) => {
  const { app, inference } = await gateway();
  inference.served = [servedModel({ card: { ...CARD, routes: [url] } })];
  const relay = inference.relay.bind(inference);
  inference.relay = (...args) => {
    const generation = relay(...args);
    setImmediate(() => inference.relays.at(-1)?.answer(200, args[1].body));
    return generation;
  };
  const generate = inference.generate.bind(inference);
  inference.generate = (model, params, sink, caller) =>
    generate(model, { ...params, sampling: { ...params.sampling, max_tokens: 1 } }, sink, caller);
  const known = fields.filter((field) => field !== 'model');
  await fc.assert(
    fc.asyncProperty(nearly([...known, 'new_field'], base), async (body) => {
      inference.relays.length = 0;
      const payload = JSON.stringify(body);
      const headers = { 'content-type': 'application/json' };
      const answer = await app.inject({ method: 'POST', url, headers, payload });
      if (/not valid JSON/.test(answer.body)) return;
      expect(answer.statusCode, `${payload} → ${answer.body}`).toBe(200);
      if (inference.relays.length > 0) expect(answer.json()).toBe(payload);
    }),
    { numRuns: 250 },
  );
});
