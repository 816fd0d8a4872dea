/** What a stream looks like on the wire, through `inject`. */
import { expect, test } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import { eventsOf, gateway } from './harness.js';

const CHAT = { messages: [{ role: 'user', content: 'hi' }], stream: true };

test('a chat stream has role, text, finish and DONE, under one id', async () => {
  const { app } = await gateway();
  const answer = await app.inject({
    method: 'POST',
    url: '/v1/chat/completions',
    headers: { 'x-request-id': 'abc' },
    payload: { ...CHAT, max_tokens: 2 },
  });
  expect(answer.statusCode).toBe(200);
  expect(answer.headers).toMatchObject({
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
    'x-accel-buffering': 'no',
    'x-request-id': 'abc',
  });
  const head = { id: 'chatcmpl-abc', object: 'chat.completion.chunk', created: expect.any(Number), model: 'demo' };
  const chunk = (choice: object) => ({
    ...head,
    choices: [{ index: 0, logprobs: null, finish_reason: null, ...choice }],
  });
  expect(eventsOf(answer.body)).toEqual([
    chunk({ delta: { role: 'assistant', content: '' } }),
    chunk({ delta: { content: 'w0.0' } }),
    chunk({ delta: { content: ' w0.1' } }),
    chunk({ delta: {}, finish_reason: 'length', stop_reason: null }),
    '[DONE]',
  ]);
});

test('usage comes last, with no choices, and null before', async () => {
  const { app } = await gateway();
  const answer = await app.inject({
    method: 'POST',
    url: '/v1/chat/completions',
    payload: { ...CHAT, max_tokens: 3, stream_options: { include_usage: true } },
  });
  const events = eventsOf(answer.body).slice(0, -1) as { usage: unknown; choices: unknown[] }[];
  expect(events.slice(0, -1).map(({ usage }) => usage)).toEqual(events.slice(0, -1).map(() => null));
  expect(events.at(-1)).toMatchObject({
    choices: [],
    usage: { prompt_tokens: 3, completion_tokens: 3, total_tokens: 6, prompt_tokens_details: { cached_tokens: 1 } },
  });
});

test('continuous usage counts along', async () => {
  const { app } = await gateway();
  const answer = await app.inject({
    method: 'POST',
    url: '/v1/completions',
    payload: {
      prompt: 'x',
      max_tokens: 2,
      stream: true,
      stream_options: { include_usage: true, continuous_usage_stats: true },
    },
  });
  const events = eventsOf(answer.body).slice(0, -1) as {
    usage: { prompt_tokens: number; completion_tokens: number };
  }[];
  expect(events.map(({ usage }) => [usage.prompt_tokens, usage.completion_tokens])).toEqual([
    [3, 1],
    [3, 2],
    [3, 2],
  ]);
});

test('choices of several prompts are numbered prompt × n + choice', async () => {
  const { app } = await gateway();
  const answer = await app.inject({
    method: 'POST',
    url: '/v1/completions',
    payload: { prompt: ['a', 'b'], n: 2, max_tokens: 2, stream: true },
  });
  const texts = ['', '', '', ''];
  for (const event of eventsOf(answer.body).slice(0, -1) as { choices: { index: number; text: string }[] }[]) {
    for (const { index, text } of event.choices) texts[index] += text;
  }
  expect(texts).toEqual(['w0.0 w0.1', 'w1.0 w1.1', 'w0.0 w0.1', 'w1.0 w1.1']);
});

test('echo comes before the first text of each choice, with its log probabilities', async () => {
  const { app } = await gateway();
  const answer = await app.inject({
    method: 'POST',
    url: '/v1/completions',
    payload: { prompt: 'ab', echo: true, logprobs: 1, n: 2, max_tokens: 1, stream: true },
  });
  const events = eventsOf(answer.body).slice(0, -1) as {
    choices: { text: string; logprobs: { tokens: string[]; text_offset: number[] } }[];
  }[];
  expect(events.map(({ choices: [choice] }) => choice)).toMatchObject([
    { index: 0, text: 'abw0.0', logprobs: { tokens: ['ab', 'b', 'w0.0'], text_offset: [0, 2, 3] } },
    { index: 1, text: 'abw1.0', logprobs: { tokens: ['ab', 'b', 'w1.0'] } },
  ]);
});

test('token ids and log probabilities ride on their chunk', async () => {
  const { app } = await gateway();
  const answer = await app.inject({
    method: 'POST',
    url: '/v1/chat/completions',
    payload: { ...CHAT, max_tokens: 1, logprobs: true, top_logprobs: 2, return_token_ids: true },
  });
  const [, token] = eventsOf(answer.body);
  expect(token).toMatchObject({
    choices: [
      {
        token_ids: [100],
        logprobs: { content: [{ token: 'w0.0', logprob: -0.5, top_logprobs: [{ token: 'alt0' }, { token: 'alt1' }] }] },
      },
    ],
    prompt_token_ids: [7, 8, 9],
  });
});

test('an error before the first token is an ordinary HTTP error', async () => {
  const { app, inference } = await gateway();
  inference.manual = true;
  const answer = app.inject({ method: 'POST', url: '/v1/chat/completions', payload: CHAT });
  (await inference.call()).fail(new TwinkleError('CONTEXT_LENGTH_EXCEEDED', 'too long', { param: 'messages' }));
  const { statusCode, headers, body } = await answer;
  expect(statusCode).toBe(400);
  expect(headers['content-type']).toMatch('application/json');
  expect(JSON.parse(body)).toEqual({
    error: { message: 'too long', type: 'invalid_request_error', param: 'messages', code: 'context_length_exceeded' },
  });
});

test('an error in mid-stream is an event, and nothing follows it', async () => {
  const { app, inference } = await gateway();
  inference.manual = true;
  const answer = app.inject({ method: 'POST', url: '/v1/completions', payload: { prompt: ['a', 'b'], stream: true } });
  const other = await inference.call(1);
  const call = await inference.call();
  call.send('hello');
  call.fail(new TwinkleError('RANK_FAILED', 'rank 1 was ended by SIGKILL'));
  const events = eventsOf((await answer).body);
  expect(events).toHaveLength(2);
  expect(events[1]).toEqual({
    error: { message: 'rank 1 was ended by SIGKILL', type: 'internal_server_error', param: null, code: 'rank_failed' },
  });
  expect(other.aborted).toBe(true);
});

test('text that is no ASCII arrives whole, and empty deltas send nothing', async () => {
  const { app, inference } = await gateway();
  inference.manual = true;
  const answer = app.inject({ method: 'POST', url: '/v1/completions', payload: { prompt: 'a', stream: true } });
  const call = await inference.call();
  call.send('');
  call.send('“你好”\u2028\n');
  call.send('', { finish: 'stop', stop_reason: 'END' });
  call.finish();
  expect(eventsOf((await answer).body)).toMatchObject([
    { choices: [{ text: '“你好”\u2028\n', finish_reason: null }] },
    { choices: [{ text: '', finish_reason: 'stop', stop_reason: 'END' }] },
    '[DONE]',
  ]);
});
