/** What a model wants where a request says nothing. */
import { describe, expect, test } from 'vitest';
import { type ChatRequest, planChat } from '../../../src/gateway/openai/chat-request.js';
import { type CompletionRequest, planCompletion } from '../../../src/gateway/openai/completion-request.js';
import { NEUTRAL_DEFAULTS } from '../../../src/protocol/defaults.js';
import type { SamplingDefaults, SamplingParams } from '../../../src/protocol/values.js';
import { CARD, servedModel } from './fake-inference.js';
import { gateway } from './harness.js';

const MODEL: SamplingDefaults = {
  temperature: 0.6,
  top_p: 0.9,
  top_k: 20,
  min_p: 0.05,
  repetition_penalty: 1.1,
  presence_penalty: 0.5,
  frequency_penalty: -0.5,
  max_tokens: null,
  max_tokens_limit: null,
};

const chat = (fields: Partial<ChatRequest>, defaults: Partial<SamplingDefaults> = {}): SamplingParams =>
  planChat({ messages: [{ role: 'user', content: 'hi' }], ...fields }, 'r', { ...MODEL, ...defaults }).generation
    .sampling;
const completion = (fields: Partial<CompletionRequest>, defaults: Partial<SamplingDefaults> = {}): SamplingParams =>
  planCompletion({ prompt: 'hi', ...fields }, 'r', { ...MODEL, ...defaults }).generations[0]
    ?.sampling as SamplingParams;

describe.each([
  ['chats', chat],
  ['completions', completion],
])('%s', (_name, plan) => {
  const { max_tokens: _, max_tokens_limit: __, ...values } = MODEL;
  const neutral = Object.fromEntries(
    Object.keys(values).map((key) => [key, NEUTRAL_DEFAULTS[key as keyof typeof values]]),
  );

  test('a request that says nothing, or null, gets the model’s', () => {
    expect(plan({})).toMatchObject(values);
    expect(plan(Object.fromEntries(Object.keys(values).map((key) => [key, null])))).toMatchObject(values);
  });

  test('a request that says something gets that, neutral values too', () => {
    expect(plan(neutral)).toMatchObject(neutral);
    expect(plan({ temperature: 0, top_k: -1 })).toMatchObject({ ...values, temperature: 0, top_k: 0 });
  });
});

type Limits = Pick<SamplingParams, 'max_tokens'> & { default_max_tokens?: number };
test.each<[string, Partial<SamplingDefaults>, Partial<ChatRequest>, Limits, Limits]>([
  ['no limit anywhere', {}, {}, { max_tokens: null }, { max_tokens: 16 }],
  ['the model’s own', { max_tokens: 64 }, {}, { max_tokens: null, default_max_tokens: 64 }, { max_tokens: 16 }],
  ['a request’s beside it', { max_tokens: 64 }, { max_tokens: 99 }, { max_tokens: 99 }, { max_tokens: 99 }],
  [
    'the user’s of the server',
    { max_tokens: 8, max_tokens_limit: 8 },
    {},
    { max_tokens: null, default_max_tokens: 8 },
    { max_tokens: 8 },
  ],
  [
    'a greater one of a request',
    { max_tokens: 8, max_tokens_limit: 8 },
    { max_tokens: 9 },
    { max_tokens: 8 },
    { max_tokens: 8 },
  ],
  ['a smaller one', { max_tokens: 8, max_tokens_limit: 8 }, { max_tokens: 2 }, { max_tokens: 2 }, { max_tokens: 2 }],
])('new tokens: %s', (_what, defaults, fields, ofChat, ofCompletion) => {
  const shown = ({ max_tokens, default_max_tokens }: SamplingParams): Limits => ({
    max_tokens,
    ...(default_max_tokens === undefined ? {} : { default_max_tokens }),
  });
  expect(shown(chat(fields, defaults))).toEqual(ofChat);
  expect(shown(completion(fields as Partial<CompletionRequest>, defaults))).toEqual(ofCompletion);
});

test('fewest tokens over the most that the server allows are refused', () => {
  expect(() => chat({ min_tokens: 9 }, { max_tokens: 8 })).toThrowError(/at most the limit of 8 tokens/);
  expect(() => completion({ min_tokens: 9 }, { max_tokens_limit: 8 })).toThrowError(/at most the limit of 8 tokens/);
  expect(completion({ echo: true, max_tokens: 0 }, { max_tokens_limit: 8 }).max_tokens).toBe(1);
});

const BODIES = [
  ['/v1/chat/completions', { messages: [{ role: 'user', content: 'hi' }], max_tokens: 1 }],
  ['/v1/completions', { prompt: 'hi', max_tokens: 1 }],
] as const;

test.each(BODIES)(
  '%s: the card of the model that is asked decides, and its fingerprint is told',
  async (url, payload) => {
    const { app, inference } = await gateway();
    inference.served = [servedModel({ card: { ...CARD, sampling_defaults: MODEL, system_fingerprint: 'v-"1"' } })];
    const answer = await app.inject({ method: 'POST', url, payload });
    expect(answer.json().system_fingerprint).toBe('v-"1"');
    expect(inference.calls[0]?.params.sampling.temperature).toBe(0.6);
    for (const [more, at] of [
      [{}, -1],
      [{ return_token_ids: true }, -1],
      [{ stream_options: { include_usage: true } }, -1],
      [{ stream_options: { include_usage: true, continuous_usage_stats: true } }, -1],
    ] as const) {
      const { body } = await app.inject({ method: 'POST', url, payload: { ...payload, stream: true, ...more } });
      const events = body.split('\n\n').filter((event) => event.startsWith('data: {'));
      const told = events.map((event) => JSON.parse(event.slice('data: '.length)).system_fingerprint);
      expect(told.filter((one) => one !== undefined)).toEqual(['v-"1"']);
      expect(told.at(at)).toBe('v-"1"');
    }
  },
);

test.each(BODIES)('%s: where no replica has run yet, its card is waited for', async (url, payload) => {
  const { app, inference } = await gateway();
  inference.served = [servedModel({ card: null })];
  let come = (): void => {};
  inference.loading = new Promise((resolve) => {
    come = resolve;
  });
  const pending = app.inject({ method: 'POST', url, payload });
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  expect(inference.calls).toHaveLength(0);
  inference.served = [servedModel({ card: { ...CARD, sampling_defaults: MODEL } })];
  come();
  expect((await pending).statusCode).toBe(200);
  expect(inference.calls[0]?.params.sampling).toMatchObject({ temperature: 0.6, top_k: 20 });
});

test.each(BODIES)('%s: a model that is not ready says so', async (url, payload) => {
  const { app, inference } = await gateway();
  inference.served = [servedModel({ card: null, state: 'starting' })];
  const answer = await app.inject({ method: 'POST', url, payload });
  expect([answer.statusCode, answer.headers['retry-after']]).toEqual([503, '1']);
});
