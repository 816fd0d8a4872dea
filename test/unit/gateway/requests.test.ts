/** What requests become for the engine, and how wrong ones are refused. */
import { Ajv } from 'ajv';
import { describe, expect, test } from 'vitest';
import { ChatRequest } from '../../../src/gateway/openai/chat-request.js';
import { CompletionRequest } from '../../../src/gateway/openai/completion-request.js';
import { gateway } from './harness.js';

const CHAT = '/v1/chat/completions';
const COMPLETIONS = '/v1/completions';
const MESSAGES = [{ role: 'user', content: 'hi' }];

async function ask(url: string, payload: object) {
  const { app, inference } = await gateway();
  const answer = await app.inject({ method: 'POST', url, payload });
  return { status: answer.statusCode, body: answer.json(), calls: inference.calls };
}

test('the schemas are valid JSON Schema', () => {
  const ajv = new Ajv({ strict: true, allowUnionTypes: true });
  for (const schema of [CompletionRequest, ChatRequest]) expect(ajv.validateSchema(schema)).toBe(true);
});

test('a bare completion gets every default', async () => {
  const { status, body, calls } = await ask(COMPLETIONS, { prompt: 'abc', max_tokens: 2 });
  expect(status).toBe(200);
  expect(body).toEqual({
    id: expect.stringMatching(/^cmpl-\w+$/),
    object: 'text_completion',
    created: expect.any(Number),
    model: 'demo',
    choices: [{ index: 0, text: 'w0.0 w0.1', logprobs: null, finish_reason: 'length', stop_reason: null }],
    usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5, prompt_tokens_details: { cached_tokens: 1 } },
  });
  expect(calls[0]?.params).toEqual({
    request_id: body.id.slice('cmpl-'.length),
    prompt: {
      text: 'abc',
      token_ids: null,
      messages: null,
      tools: null,
      chat_template: null,
      chat_template_kwargs: {},
      add_generation_prompt: false,
      continue_final_message: false,
      add_special_tokens: true,
    },
    sampling: {
      max_tokens: 2,
      min_tokens: 0,
      temperature: 1,
      top_p: 1,
      top_k: 0,
      min_p: 0,
      seed: null,
      stop: [],
      stop_token_ids: [],
      include_stop_str_in_output: false,
      ignore_eos: false,
      skip_special_tokens: true,
      presence_penalty: 0,
      frequency_penalty: 0,
      repetition_penalty: 1,
      logit_bias: [],
      logprobs: null,
      prompt_logprobs: null,
    },
    n: 1,
    echo: false,
  });
});

test('every sampling field arrives', async () => {
  const { calls } = await ask(CHAT, {
    model: 'alias/with-slash',
    messages: MESSAGES,
    max_completion_tokens: 2,
    max_tokens: 9,
    min_tokens: 1,
    temperature: 0,
    top_p: 0.5,
    top_k: -1,
    min_p: 0.1,
    seed: -7,
    stop: 'x',
    stop_token_ids: [1, 2],
    include_stop_str_in_output: true,
    ignore_eos: true,
    skip_special_tokens: false,
    presence_penalty: -2,
    frequency_penalty: 2,
    repetition_penalty: 1.5,
    logit_bias: { 5: -100, 6: 1.5 },
    logprobs: true,
    top_logprobs: 3,
    prompt_logprobs: 0,
    n: 3,
    add_special_tokens: true,
    chat_template: '{{ messages }}',
    chat_template_kwargs: { enable_thinking: false },
    add_generation_prompt: false,
    continue_final_message: true,
  });
  expect(calls[0]?.model).toBe('demo');
  expect(calls[0]?.params).toMatchObject({
    n: 3,
    prompt: {
      messages: MESSAGES,
      chat_template: '{{ messages }}',
      chat_template_kwargs: { enable_thinking: false },
      add_generation_prompt: false,
      continue_final_message: true,
      add_special_tokens: true,
    },
    sampling: {
      max_tokens: 2,
      min_tokens: 1,
      temperature: 0,
      top_p: 0.5,
      top_k: 0,
      min_p: 0.1,
      seed: -7,
      stop: ['x'],
      stop_token_ids: [1, 2],
      include_stop_str_in_output: true,
      ignore_eos: true,
      skip_special_tokens: false,
      presence_penalty: -2,
      frequency_penalty: 2,
      repetition_penalty: 1.5,
      logit_bias: [
        [5, -100],
        [6, 1.5],
      ],
      logprobs: 3,
      prompt_logprobs: 0,
    },
  });
});

test.each([
  ['text', 'a', [{ text: 'a' }]],
  ['texts', ['a', 'b'], [{ text: 'a' }, { text: 'b' }]],
  ['tokens', [1, 2], [{ token_ids: [1, 2], text: null }]],
  ['lists of tokens', [[1], [2, 3]], [{ token_ids: [1] }, { token_ids: [2, 3] }]],
])('a prompt may be %s', async (_name, prompt, expected) => {
  const { body, calls } = await ask(COMPLETIONS, { prompt, n: 2, max_tokens: 1 });
  expect(calls.map(({ params }) => params.prompt)).toMatchObject(expected);
  expect(new Set(calls.map(({ params }) => params.request_id)).size).toBe(calls.length);
  expect(body.choices.map(({ index }: { index: number }) => index)).toEqual(
    expected.flatMap((_, i) => [2 * i, 2 * i + 1]),
  );
  expect(body.usage.prompt_tokens).toBe(3 * expected.length);
});

test('a chat without a limit may fill the context, and developers speak as the system', async () => {
  const { body, calls } = await ask(CHAT, {
    messages: [
      {
        role: 'developer',
        content: [
          { type: 'text', text: 'a' },
          { type: 'text', text: 'b' },
        ],
      },
      { role: 'user', content: 'c', name: 'me' },
    ],
  });
  expect(body).toMatchObject({
    object: 'chat.completion',
    choices: [{ message: { role: 'assistant', refusal: null } }],
  });
  expect(calls[0]?.params.sampling.max_tokens).toBeNull();
  expect(calls[0]?.params.prompt.messages).toEqual([
    { role: 'system', content: 'a\nb' },
    { role: 'user', content: 'c', name: 'me' },
  ]);
});

test('echo with no tokens scores the prompt and shows nothing else', async () => {
  const { body, calls } = await ask(COMPLETIONS, { prompt: 'ab', echo: true, max_tokens: 0, logprobs: 2 });
  expect(calls[0]?.params.sampling).toMatchObject({ max_tokens: 1, prompt_logprobs: 2 });
  expect(body.choices).toEqual([
    {
      index: 0,
      text: 'ab',
      logprobs: {
        tokens: ['ab', 'b'],
        token_logprobs: [null, -0.5],
        top_logprobs: [null, { alt0: -1, alt1: -2, b: -0.5 }],
        text_offset: [0, 2],
      },
      finish_reason: 'length',
      stop_reason: null,
    },
  ]);
  expect(body.usage.completion_tokens).toBe(0);
});

test('log probabilities of choices and prompts', async () => {
  const { body } = await ask(CHAT, {
    messages: MESSAGES,
    max_tokens: 1,
    logprobs: true,
    prompt_logprobs: 1,
    return_token_ids: true,
  });
  expect(body.choices[0].logprobs).toEqual({
    content: [{ token: 'w0.0', logprob: -0.5, bytes: [119, 48, 46, 48], top_logprobs: [] }],
  });
  expect(body.choices[0].token_ids).toEqual([100]);
  expect(body.prompt_token_ids).toEqual([7, 8, 9]);
  expect(body.prompt_logprobs).toEqual([
    null,
    {
      0: { logprob: -1, rank: 1, decoded_token: 'alt0' },
      1: { logprob: -0.5, rank: null, decoded_token: 'b' },
    },
  ]);
});

test('fields that ask for what is done anyway are taken', async () => {
  const { status } = await ask(CHAT, {
    messages: MESSAGES,
    max_tokens: 1,
    user: 'me',
    metadata: { a: 'b' },
    store: false,
    service_tier: 'auto',
    tools: [],
    tool_choice: 'auto',
    parallel_tool_calls: true,
    response_format: { type: 'text' },
    modalities: ['text'],
    audio: null,
    safety_identifier: 'x',
    prompt_cache_key: 'y',
    temperature: null,
    stop: null,
    stream_options: null,
  });
  expect(status).toBe(200);
});

describe('refusals', () => {
  const refused: [string, string, object, string, string, RegExp][] = [
    ['no prompt', COMPLETIONS, {}, 'invalid_request', 'prompt', /`prompt` is missing: expected a string, a list/],
    ['a number as prompt', COMPLETIONS, { prompt: 5 }, 'invalid_request', 'prompt', /a list of strings.*received 5/],
    ['a mixed prompt', COMPLETIONS, { prompt: ['a', 1] }, 'invalid_request', 'prompt', /received \["a",1\]/],
    ['an empty list', COMPLETIONS, { prompt: [] }, 'invalid_request', 'prompt', /none of them empty/],
    ['no messages', CHAT, { messages: [] }, 'invalid_request', 'messages', /non-empty array of objects/],
    [
      'a message without role',
      CHAT,
      { messages: [{ content: 'x' }] },
      'invalid_request',
      'messages[0].role',
      /missing/,
    ],
    ['a role that is no text', CHAT, { messages: [{ role: 1 }] }, 'invalid_request', 'messages[0].role', /string/],
    [
      'an image',
      CHAT,
      { messages: [{ role: 'user', content: [{ type: 'image_url' }] }] },
      'unsupported_parameter',
      'messages[0].content[0].type',
      /image_url/,
    ],
    [
      'a text part without text',
      CHAT,
      { messages: [{ role: 'user', content: [{ type: 'text' }] }] },
      'invalid_request',
      'messages[0].content[0].text',
      /string/,
    ],
    [
      'a typing error',
      CHAT,
      { messages: MESSAGES, max_token: 1 },
      'unknown_field',
      'max_token',
      /did you mean `max_tokens`/,
    ],
    ['an unknown field', CHAT, { messages: MESSAGES, zzzzzzzz: 1 }, 'unknown_field', 'zzzzzzzz', /leave it out/],
    [
      'an unknown stream option',
      CHAT,
      { messages: MESSAGES, stream: true, stream_options: { usage: true } },
      'unknown_field',
      'stream_options.usage',
      /not a field/,
    ],
    [
      'a text as number',
      CHAT,
      { messages: MESSAGES, temperature: '1' },
      'invalid_request',
      'temperature',
      /a number from 0 to 2 for `temperature` but received "1"/,
    ],
    ['too hot', CHAT, { messages: MESSAGES, temperature: 3 }, 'invalid_request', 'temperature', /from 0 to 2/],
    ['top_p of 0', CHAT, { messages: MESSAGES, top_p: 0 }, 'invalid_request', 'top_p', /above 0 to 1/],
    ['no choice', CHAT, { messages: MESSAGES, n: 0 }, 'invalid_request', 'n', /an integer from 1 to 128/],
    [
      'a fraction',
      CHAT,
      { messages: MESSAGES, max_tokens: 1.5 },
      'invalid_request',
      'max_tokens',
      /an integer of 0 or more/,
    ],
    ['no tokens', CHAT, { messages: MESSAGES, max_tokens: 0 }, 'invalid_request', 'max_tokens', /1 or more/],
    [
      'more tokens at least than at most',
      COMPLETIONS,
      { prompt: 'a', min_tokens: 17 },
      'invalid_request',
      'min_tokens',
      /at most the limit of 16/,
    ],
    ['too many logprobs', COMPLETIONS, { prompt: 'a', logprobs: 21 }, 'invalid_request', 'logprobs', /0 to 20/],
    [
      'top_logprobs alone',
      CHAT,
      { messages: MESSAGES, top_logprobs: 2 },
      'invalid_request',
      'top_logprobs',
      /needs `logprobs`/,
    ],
    ['an empty stop', CHAT, { messages: MESSAGES, stop: [''] }, 'invalid_request', 'stop', /non-empty string/],
    [
      'bias of a word',
      CHAT,
      { messages: MESSAGES, logit_bias: { the: 1 } },
      'invalid_request',
      'logit_bias',
      /token ids/,
    ],
    ['best_of', COMPLETIONS, { prompt: 'a', best_of: 3 }, 'unsupported_parameter', 'best_of', /equal to `n`/],
    ['a suffix', COMPLETIONS, { prompt: 'a', suffix: 'b' }, 'unsupported_parameter', 'suffix', /leave it out/],
    ['tools', CHAT, { messages: MESSAGES, tools: [{ type: 'function' }] }, 'unsupported_parameter', 'tools', /`tools`/],
    [
      'a schema',
      CHAT,
      { messages: MESSAGES, response_format: { type: 'json_object' } },
      'unsupported_parameter',
      'response_format',
      /json_object/,
    ],
    ['guidance', COMPLETIONS, { prompt: 'a', guided_json: {} }, 'unsupported_parameter', 'guided_json', /guided_json/],
    [
      'stream options without stream',
      CHAT,
      { messages: MESSAGES, stream_options: {} },
      'invalid_request',
      'stream_options',
      /set `stream`/,
    ],
    [
      'prompt logprobs in a stream',
      CHAT,
      { messages: MESSAGES, stream: true, prompt_logprobs: 1 },
      'invalid_request',
      'prompt_logprobs',
      /stream/,
    ],
    [
      'both kinds of ending',
      CHAT,
      { messages: MESSAGES, continue_final_message: true },
      'invalid_request',
      'continue_final_message',
      /add_generation_prompt/,
    ],
    ['a list as body', CHAT, [], 'invalid_request', '', /Expected the request body to be an object but received \[\]/],
  ];
  test.each(refused)('%s', async (_name, url, payload, code, param, message) => {
    const { status, body, calls } = await ask(url, payload);
    expect(status).toBe(400);
    expect(body).toEqual({
      error: {
        message: expect.stringMatching(message),
        type: 'invalid_request_error',
        param: param === '' ? null : param,
        code,
      },
    });
    expect(calls).toHaveLength(0);
  });
});
