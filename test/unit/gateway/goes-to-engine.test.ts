/** Which chat completions and completions are for the engine's own server. */
import { expect, test } from 'vitest';
import { goesToEngine, type SharedRoute } from '../../../src/gateway/relay/goes-to-engine.js';
import { CARD } from './fake-inference.js';

const CHAT = '/v1/chat/completions';
const COMPLETIONS = '/v1/completions';
const ENGINE = { ...CARD, routes: [CHAT, COMPLETIONS] };
const user = (content: unknown, more: object = {}) => ({ messages: [{ role: 'user', content, ...more }] });
const text = (value: string) => ({ type: 'text', text: value });
const CALL = { id: '1', type: 'function', function: { name: 'f', arguments: '{}' } };

test.each<[string, boolean, SharedRoute, object]>([
  ['plain text', false, CHAT, user('hi')],
  ['every ordinary field', false, CHAT, { ...user('hi'), n: 2, logprobs: true, top_logprobs: 2, seed: 1, stop: 'x' }],
  ['fields that ask for nothing', false, CHAT, { ...user('hi'), tools: [], tool_choice: 'auto', priority: 0 }],
  ['a name', false, CHAT, user('hi', { name: 'me' })],
  ['one part of text', false, CHAT, user([text('hi')])],
  ['no content', false, CHAT, user(null)],
  ['two parts of text', true, CHAT, user([text('a'), text('b')])],
  ['an image', true, CHAT, user([{ type: 'image_url', image_url: { url: 'x' } }])],
  ['audio', true, CHAT, user([text('a'), { type: 'input_audio' }])],
  ['tools', true, CHAT, { ...user('hi'), tools: [{ type: 'function' }] }],
  ['a forced tool', true, CHAT, { ...user('hi'), tool_choice: 'required' }],
  ['calls of tools', true, CHAT, { messages: [{ role: 'assistant', tool_calls: [CALL] }] }],
  ['an answer of a tool', true, CHAT, { messages: [{ role: 'tool', content: '4', tool_call_id: '1' }] }],
  ['a format', true, CHAT, { ...user('hi'), response_format: { type: 'json_object' } }],
  ['the format that is there anyway', false, CHAT, { ...user('hi'), response_format: { type: 'text' } }],
  ['structured outputs', true, CHAT, { ...user('hi'), structured_outputs: { regex: 'a' } }],
  ['guidance', true, COMPLETIONS, { prompt: 'a', guided_choice: ['a'] }],
  ['an effort', true, CHAT, { ...user('hi'), reasoning_effort: 'low' }],
  ['documents', true, CHAT, { ...user('hi'), documents: [{ text: 'a' }] }],
  ['a priority', true, CHAT, { ...user('hi'), priority: 3 }],
  ['a plain prompt', false, COMPLETIONS, { prompt: ['a', 'b'], echo: true, logprobs: 1 }],
  ['a suffix', true, COMPLETIONS, { prompt: 'a', suffix: 'b' }],
  ['allowed tokens', true, COMPLETIONS, { prompt: 'a', allowed_token_ids: [1] }],
  ['bad words', true, COMPLETIONS, { prompt: 'a', bad_words: ['x'] }],
  ['truncation', true, COMPLETIONS, { prompt: 'a', truncate_prompt_tokens: 4 }],
  ['beams', true, COMPLETIONS, { prompt: 'a', use_beam_search: true }],
])('%s: %s', (_what, engine, url, body) => {
  expect(goesToEngine(url, ENGINE, body, true)).toBe(engine);
  expect(goesToEngine(url, { ...ENGINE, routes: [] }, body, true)).toBe(false);
});

test('what our schema refuses the engine may know', () => {
  const body = { ...user('hi'), thinking_token_budget: 5 };
  expect(goesToEngine(CHAT, ENGINE, body, false)).toBe(true);
  expect(goesToEngine(CHAT, { ...ENGINE, routes: [COMPLETIONS] }, body, false)).toBe(false);
});

test('an engine that parses what its model says gets every chat and no completion', () => {
  const parsing = { ...ENGINE, relay_chat: true };
  expect(goesToEngine(CHAT, parsing, user('hi'), true)).toBe(true);
  expect(goesToEngine(COMPLETIONS, parsing, { prompt: 'hi' }, true)).toBe(false);
});

test('an engine that was told what only its own answers have gets every completion', () => {
  const told = { ...ENGINE, relay_completions: true };
  expect(goesToEngine(COMPLETIONS, told, { prompt: 'hi' }, true)).toBe(true);
  expect(goesToEngine(CHAT, told, user('hi'), true)).toBe(false);
});

test('what contradicts only the model’s own limit is the engine’s to refuse', () => {
  const body = { ...user('hi'), min_tokens: 9 };
  expect(goesToEngine(CHAT, ENGINE, body, true)).toBe(false);
  const limited = { ...ENGINE, sampling_defaults: { ...CARD.sampling_defaults, max_tokens: 8 } };
  expect(goesToEngine(CHAT, limited, body, true)).toBe(true);
});
