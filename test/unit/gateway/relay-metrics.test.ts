/** What `/metrics` says of answers that the engine formats itself. */
import { expect, test } from 'vitest';
import type { FakeRelay } from './fake-inference.js';
import { gateway, listening } from './harness.js';
import { CHAT, engines, JSON_TYPE } from './relay-harness.js';

/** Series of the model after one request that `play` answers. */
async function counted(url: string, play: (relay: FakeRelay) => void, stream = false) {
  const inference = engines();
  const { app } = await gateway({ inference });
  const pending = app.inject({
    method: 'POST',
    url,
    payload: JSON.stringify({ stream, tools: [] }),
    headers: JSON_TYPE,
  });
  play(await inference.relayed());
  await pending;
  const { body } = await app.inject('/metrics');
  const value = (name: string): number =>
    Number(new RegExp(`^${name}\\{model="demo"\\} (\\S+)$`, 'm').exec(body)?.[1] ?? Number.NaN);
  return {
    prompt: value('twinkle_prompt_tokens_total'),
    generated: value('twinkle_generation_tokens_total'),
    firstBytes: value('twinkle_relay_first_byte_seconds_count'),
    firstBytesSum: value('twinkle_relay_first_byte_seconds_sum'),
    firstTokens: value('twinkle_ttft_seconds_count'),
    gaps: value('twinkle_inter_token_latency_seconds_count'),
  };
}

const events = (relay: FakeRelay, ...data: readonly object[]): void => {
  relay.events();
  for (const one of data) relay.part(Buffer.from(`data: ${JSON.stringify(one)}\n\n`));
  relay.finish();
};

test.each([
  [
    'a chat',
    CHAT,
    { choices: [], usage: { prompt_tokens: 7, total_tokens: 12, completion_tokens: 5, prompt_tokens_details: null } },
  ],
  [
    'a response',
    '/v1/responses',
    {
      output: [],
      usage: { input_tokens: 7, input_tokens_details: { cached_tokens: 99 }, output_tokens: 5 },
      user: null,
    },
  ],
  ['a message', '/v1/messages', { content: [], usage: { input_tokens: 7, output_tokens: 5 } }],
])('%s in one piece counts its usage and its first byte', async (_what, url, body) => {
  const seen = await counted(url, (relay) => relay.answer(200, body));
  expect(seen).toMatchObject({ prompt: 7, generated: 5, firstBytes: 1, firstTokens: 0, gaps: 0 });
  expect(seen.firstBytesSum).toBeGreaterThan(0);
});

test('embeddings count their prompt, behind any amount of numbers', async () => {
  const embedding = Array.from({ length: 5000 }, (_, index) => index / 7);
  const body = { data: [{ embedding }], usage: { prompt_tokens: 3, total_tokens: 3, completion_tokens: 0 } };
  expect(await counted('/v1/embeddings', (relay) => relay.answer(200, body))).toMatchObject({
    prompt: 3,
    generated: 0,
  });
});

test('a stream counts the last sum that it says, and the gaps between its writes', async () => {
  const text = { choices: [{ delta: { content: 'say "usage":{"prompt_tokens":900}' } }] };
  const seen = await counted(
    CHAT,
    (relay) =>
      events(
        relay,
        { ...text, usage: { prompt_tokens: 4, completion_tokens: 1 } },
        { ...text, usage: { prompt_tokens: 4, completion_tokens: 2 } },
        text,
      ),
    true,
  );
  expect(seen).toMatchObject({ prompt: 4, generated: 2, firstBytes: 1, firstTokens: 0 });
});

test('a message’s stream may say what went in at its beginning and what came out at its end', async () => {
  const start = { type: 'message_start', message: { usage: { input_tokens: 6, output_tokens: 0 } } };
  const seen = await counted('/v1/messages', (relay) => events(relay, start, { usage: { output_tokens: 8 } }), true);
  expect(seen).toMatchObject({ prompt: 6, generated: 8 });
});

test('a refusal, and an answer without usage, count no tokens; a refusal no first byte', async () => {
  const refused = await counted(CHAT, (relay) => relay.answer(400, { error: {}, usage: { prompt_tokens: 5 } }));
  expect(refused).toMatchObject({ prompt: 0, generated: 0, firstBytes: 0 });
  const silent = await counted(CHAT, (relay) => events(relay, { choices: [] }), true);
  expect(silent).toMatchObject({ prompt: 0, generated: 0, firstBytes: 1 });
});

test('a gap is what passed between two writes to the client', async () => {
  const inference = engines();
  const { app, url } = await listening({ inference });
  const pending = fetch(`${url}${CHAT}`, { method: 'POST', body: '{"messages":[],"stream":true}', headers: JSON_TYPE });
  const relay = await inference.relayed();
  relay.events();
  relay.part(Buffer.from('data: 1\n\n'));
  const reader = (await pending).body?.getReader();
  for (const next of ['data: 2\n\n', 'data: 3\n\n']) {
    await reader?.read();
    relay.part(Buffer.from(next));
  }
  await reader?.read();
  relay.finish();
  while ((await reader?.read())?.done === false);
  const { body } = await app.inject('/metrics');
  expect(body).toContain('twinkle_inter_token_latency_seconds_count{model="demo"} 2\n');
});
