/** The official client against a listening gateway: what it parses is what the API promised. */
import OpenAI from 'openai';
import { expect, test } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import { listening } from './harness.js';

async function client(overrides: Parameters<typeof listening>[0] = {}) {
  const harness = await listening(overrides);
  return { ...harness, openai: new OpenAI({ baseURL: `${harness.url}/v1`, apiKey: 'any', maxRetries: 0 }) };
}
const messages = [{ role: 'user' as const, content: 'hi' }];

test('chat, at once and streamed', async () => {
  const { openai } = await client();
  const answer = await openai.chat.completions.create({ model: 'demo', messages, max_tokens: 3 });
  expect(answer.choices[0]?.message.content).toBe('w0.0 w0.1 w0.2');
  expect(answer.usage?.total_tokens).toBe(6);
  const stream = await openai.chat.completions.create({
    model: 'demo',
    messages,
    n: 2,
    max_tokens: 3,
    stream: true,
    stream_options: { include_usage: true },
  });
  const texts = ['', ''];
  const reasons: (string | null)[] = [];
  let total = 0;
  for await (const { choices, usage } of stream) {
    for (const { delta, finish_reason, index } of choices) {
      texts[index] += delta.content ?? '';
      if (finish_reason !== null) reasons.push(finish_reason);
    }
    total += usage?.total_tokens ?? 0;
  }
  expect(texts).toEqual(['w0.0 w0.1 w0.2', 'w1.0 w1.1 w1.2']);
  expect(reasons).toEqual(['length', 'length']);
  expect(total).toBe(9);
});

test('its stream helper gathers a whole message', async () => {
  const { openai } = await client();
  const runner = openai.chat.completions.stream({
    model: 'demo',
    messages,
    max_tokens: 2,
    logprobs: true,
    top_logprobs: 1,
  });
  const completion = await runner.finalChatCompletion();
  expect(completion.choices[0]?.message.content).toBe('w0.0 w0.1');
  expect(completion.choices[0]?.logprobs?.content?.map(({ token }) => token)).toEqual(['w0.0', ' w0.1']);
});

test('completions with log probabilities, and models', async () => {
  const { openai } = await client();
  const answer = await openai.completions.create({ model: 'demo', prompt: ['a', 'b'], logprobs: 1, max_tokens: 2 });
  expect(answer.choices.map(({ index, text }) => [index, text])).toEqual([
    [0, 'w0.0 w0.1'],
    [1, 'w0.0 w0.1'],
  ]);
  expect(answer.choices[0]?.logprobs?.text_offset).toEqual([0, 4]);
  const ids: string[] = [];
  for await (const { id } of openai.models.list()) ids.push(id);
  expect(ids).toEqual(['demo', 'alias/with-slash']);
  expect((await openai.models.retrieve('alias/with-slash')).id).toBe('alias/with-slash');
});

test('errors have the client’s own classes', async () => {
  const { openai, inference } = await client();
  const ask = (model: string, extra: object = {}) => openai.chat.completions.create({ model, messages, ...extra });
  await expect(ask('none')).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  await expect(ask('demo', { temperature: 9 })).rejects.toMatchObject({
    constructor: OpenAI.BadRequestError,
    param: 'temperature',
    code: 'invalid_request',
    requestID: expect.any(String),
  });
  inference.refusal = new TwinkleError('OVERLOADED', 'full', { retryAfterMs: 10 });
  await expect(ask('demo')).rejects.toBeInstanceOf(OpenAI.RateLimitError);
  const guarded = await client({ auth: { mode: 'keys', keyHashes: ['00'.repeat(32)], generatedKey: null } });
  await expect(guarded.openai.models.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
});

test('an error in mid-stream is thrown while reading', async () => {
  const { openai, inference } = await client();
  inference.manual = true;
  const opening = openai.chat.completions.create({ model: 'demo', messages, stream: true });
  const call = await inference.call();
  call.send('one');
  const stream = await opening;
  const seen: string[] = [];
  const reading = (async () => {
    for await (const { choices } of stream) {
      seen.push(choices[0]?.delta.content ?? '');
      if (seen.length === 2) call.fail(new TwinkleError('RANK_FAILED', 'rank 2 was ended by SIGKILL'));
    }
  })();
  await expect(reading).rejects.toThrow(/rank 2 was ended by SIGKILL/);
  expect(seen).toEqual(['', 'one']);
});

test('an aborted stream ends its generation', async () => {
  const { openai, inference } = await client();
  inference.manual = true;
  const opening = openai.chat.completions.create({ model: 'demo', messages, stream: true });
  const call = await inference.call();
  call.send('one');
  (await opening).controller.abort();
  await inference.until(() => call.aborted);
});
