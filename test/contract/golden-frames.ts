/** One frame of every kind, with the values that are easy to get wrong. `frames.json` holds them as bytes for both languages. */
import type { FromRank, ToRank } from '../../src/protocol/frames.js';
import type { GenerateParams, HttpParams } from '../../src/protocol/values.js';

const GENERATE: GenerateParams = {
  request_id: 'req-1',
  prompt: {
    text: 'héllo € 🙂',
    token_ids: null,
    messages: null,
    tools: null,
    chat_template: null,
    chat_template_kwargs: { enable_thinking: false },
    add_generation_prompt: true,
    continue_final_message: false,
    add_special_tokens: true,
  },
  sampling: {
    max_tokens: null,
    min_tokens: 0,
    temperature: 1,
    top_p: 0.95,
    top_k: 0,
    min_p: 0,
    seed: 2 ** 40 + 1,
    stop: ['\n\n'],
    stop_token_ids: [151643],
    include_stop_str_in_output: false,
    ignore_eos: false,
    skip_special_tokens: true,
    presence_penalty: -2,
    frequency_penalty: 0.5,
    repetition_penalty: 1,
    logit_bias: [[70000, -100]],
    logprobs: 2,
    prompt_logprobs: null,
  },
  n: 2,
  echo: false,
};

const HTTP: HttpParams = {
  request_id: 'req-2',
  method: 'POST',
  path: '/v1/responses',
  query: 'a=%C3%A9',
  headers: [
    ['x-request-id', 'req-2'],
    ['content-type', 'application/json'],
  ],
  body: '{"input":"héllo 🙂","seed":12345678901234567890}',
};

export const TO_RANK: readonly ToRank[] = [
  { t: 'welcome', protocol: 1, epoch: 3, beat_ms: 1000 },
  { t: 'refuse', reason: 'protocol 2 against 1' },
  { t: 'call', id: 1, method: 'detokenize', params: { token_ids: [0, 255, 70000] } },
  { t: 'call', id: 2 ** 32 - 1, method: 'shutdown', params: null },
  { t: 'open', id: 7, method: 'generate', params: GENERATE, credits: 128 },
  { t: 'open', id: 8, method: 'http', params: HTTP, credits: 128 },
  {
    t: 'credit',
    grants: [
      [7, 64],
      [8, 1],
    ],
  },
  { t: 'abort', ids: [7, 70000] },
];

export const FROM_RANK: readonly FromRank[] = [
  { t: 'hello', protocol: 1, rank: 0, epoch: 3, pid: 4194304, engine: 'mock', python: '3.11.7' },
  { t: 'phase', phase: 'weights', progress: 0.25, detail: 'shard 1 of 4' },
  { t: 'result', id: 1, value: { text: 'é' } },
  { t: 'error', id: 2, code: 'ENGINE_ERROR', message: 'broken', param: null, traceback: 'Traceback…' },
  { t: 'error', id: 3, code: 'INVALID_REQUEST', message: 'no', param: 'prompt', traceback: null },
  { t: 'items', items: [[7, { choice: 1, text: ' river', token_ids: [273] }]] },
  {
    t: 'items',
    items: [
      [
        7,
        {
          choice: 0,
          text: '',
          token_ids: [1, 2],
          logprobs: [{ token_id: 1, token: 'a', bytes: [97], logprob: -0.5, top: [[1, 'a', [97], -0.5]] }],
          finish: 'stop',
          stop_reason: 151643,
          prompt: { token_ids: [5], text: 'x', logprobs: null },
        },
      ],
    ],
  },
  {
    t: 'items',
    items: [
      [8, { status: 200, headers: [['content-type', 'text/event-stream']], body: Buffer.alloc(0) }],
      [8, { body: Buffer.from([0x64, 0x61, 0x74, 0x61, 0xc3, 0xff, 0x00]) }],
    ],
  },
  { t: 'end', id: 8, value: null },
  { t: 'end', id: 7, value: { prompt_tokens: 3, completion_tokens: 2, cached_tokens: 0 } },
  { t: 'beat', seq: 9, phase: 'idle', busy_ms: 0, waits: null, stats: null },
  {
    t: 'beat',
    seq: 10,
    phase: 'step',
    busy_ms: 12.5,
    waits: 'all_reduce',
    stats: { running: 1, waiting: 0, kv_usage: 0.5, steps: 2 ** 33, prompt_tokens: 1, generation_tokens: 2 },
  },
];
