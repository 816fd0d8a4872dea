/** The built-in model through the CLI, nothing named: what a new user's first requests get. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CliServer } from '../support/cli.js';
import { type Answer, eventsOf, post, textOf } from '../support/http.js';

let server: CliServer;
beforeAll(async () => {
  server = await CliServer.ready(['--cpu']);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const STORY = 'Tell me a story about a fox.';
const chat = (content: string, options: object = {}): Promise<Answer> =>
  post(`${server.url}/v1/chat/completions`, { messages: [{ role: 'user', content }], ...options });
const complete = (prompt: unknown, options: object = {}): Promise<Answer> =>
  post(`${server.url}/v1/completions`, { prompt, ...options });
const said = ({ json }: Answer): string => json.choices[0].message.content;

describe('the demo model', () => {
  it.each([
    ['What is the capital of France?', 'Paris'],
    ['What is the opposite of hot?', 'cold'],
    ['What day comes after Monday?', 'Tuesday'],
    ['What is seven plus five?', '12'],
  ])('answers %j in a sentence with %j, and ends by itself', async (question, word) => {
    const answer = await chat(question, { temperature: 0 });
    expect(answer.status).toBe(200);
    expect(said(answer)).toMatch(/^[A-Z0-9][\w ,']+\.$/);
    expect(said(answer)).toContain(word);
    expect(answer.json).toMatchObject({
      object: 'chat.completion',
      model: 'demo',
      choices: [{ finish_reason: 'stop' }],
    });
    const { prompt_tokens, completion_tokens, total_tokens } = answer.json.usage;
    expect(total_tokens).toBe(prompt_tokens + completion_tokens);
    expect(completion_tokens).toBeLessThan(30);
  });

  it('tells a story of several plain English sentences', async () => {
    const story = said(await chat(STORY, { temperature: 0 }));
    expect(story.split('. ').length).toBeGreaterThan(4);
    expect(story).toMatch(/^[A-Z][A-Za-z ,.'-]+\.$/);
    expect(story).toContain('fox');
  });

  it('remembers the turn before', async () => {
    const messages = [
      { role: 'user', content: 'What is the capital of France?' },
      { role: 'assistant', content: 'The capital of France is Paris.' },
      { role: 'user', content: 'What is the capital of Italy?' },
    ];
    const alone = await chat('What is the capital of Italy?', { temperature: 0 });
    const answer = await post(`${server.url}/v1/chat/completions`, { messages, temperature: 0 });
    expect(said(answer)).toContain('Rome');
    expect(answer.json.usage.prompt_tokens).toBeGreaterThan(alone.json.usage.prompt_tokens);
  });

  it.each([
    ['greedy', { temperature: 0 }],
    ['seeded', { temperature: 1, top_p: 0.95, seed: 2 ** 40 + 7 }],
  ])('streams the same text as it answers at once: %s', async (_kind, sampling) => {
    const whole = await chat(STORY, sampling);
    const streamed = await chat(STORY, { ...sampling, stream: true, stream_options: { include_usage: true } });
    expect(streamed.headers.get('content-type')).toContain('text/event-stream');
    const events = eventsOf(streamed.text);
    expect(textOf(events)).toBe(said(whole));
    expect(events.at(-1)).toBe('[DONE]');
    expect(JSON.parse(events.at(-2) ?? '').usage).toEqual(whole.json.usage);
    expect(JSON.parse(events.at(-3) ?? '').choices[0].finish_reason).toBe('stop');
  });

  it('draws other texts with other seeds, and n different choices of one', async () => {
    const texts = await Promise.all([1, 2, 3].map(async (seed) => said(await chat(STORY, { seed }))));
    expect(new Set(texts).size).toBe(3);
    const { choices, usage } = (await chat(STORY, { seed: 5, n: 3, max_tokens: 24 })).json;
    expect(choices.map(({ index }: { index: number }) => index)).toEqual([0, 1, 2]);
    expect(new Set(choices.map(({ message }: { message: { content: string } }) => message.content)).size).toBe(3);
    expect(choices.map(({ finish_reason }: { finish_reason: string }) => finish_reason)).toEqual(
      Array(3).fill('length'),
    );
    expect(usage.completion_tokens).toBe(72);
  });

  it('gives log probabilities whose best alternative is the greedy token, and whose bytes are the text', async () => {
    const answer = await chat('What is the capital of France?', { temperature: 0, logprobs: true, top_logprobs: 3 });
    const { content } = answer.json.choices[0].logprobs;
    expect(Buffer.from(content.flatMap(({ bytes }: { bytes: number[] }) => bytes)).toString()).toContain(said(answer));
    for (const { token, logprob, top_logprobs } of content) {
      expect(top_logprobs).toHaveLength(3);
      expect(top_logprobs[0]).toMatchObject({ token, logprob });
      expect(top_logprobs.map((one: { logprob: number }) => one.logprob)).toEqual(
        top_logprobs.map((one: { logprob: number }) => one.logprob).toSorted((a: number, b: number) => b - a),
      );
      const mass = top_logprobs.reduce((sum: number, one: { logprob: number }) => sum + Math.exp(one.logprob), 0);
      expect(mass).toBeGreaterThan(0);
      expect(mass).toBeLessThanOrEqual(1.0001);
    }
  });

  it('cuts before a stop string, streamed too, and says which', async () => {
    const free = (await complete('Once upon a time', { temperature: 0, max_tokens: 40 })).json.choices[0].text;
    const end = free.indexOf('.');
    expect(end).toBeGreaterThan(0);
    const options = { temperature: 0, max_tokens: 40, stop: ['.', 'no such words'] };
    const { json } = await complete('Once upon a time', options);
    expect(json.choices[0]).toMatchObject({ text: free.slice(0, end), finish_reason: 'stop', stop_reason: '.' });
    const streamed = await complete('Once upon a time', { ...options, stream: true });
    expect(textOf(eventsOf(streamed.text))).toBe(free.slice(0, end));
    const kept = await complete('Once upon a time', { ...options, include_stop_str_in_output: true });
    expect(kept.json.choices[0].text).toBe(free.slice(0, end + 1));
  });

  it('echoes the prompt with its own log probabilities, and scores it alone', async () => {
    const { json } = await complete('Once upon a time', { temperature: 0, echo: true, logprobs: 1, max_tokens: 3 });
    const { text, logprobs } = json.choices[0];
    expect(text).toMatch(/^Once upon a time.+/);
    expect(logprobs.tokens.join('')).toBe(text);
    expect(logprobs.token_logprobs[0]).toBeNull();
    expect(logprobs.token_logprobs.slice(1).every((one: number) => one <= 0)).toBe(true);
    expect(logprobs.text_offset[1]).toBe(logprobs.tokens[0].length);
    const scored = await complete('Once upon a time', { echo: true, logprobs: 0, max_tokens: 0 });
    expect(scored.json.choices[0].text).toBe('Once upon a time');
    const sum = (ones: number[]): number => ones.reduce((total, one) => total + (one ?? 0), 0);
    expect(sum(scored.json.choices[0].logprobs.token_logprobs)).toBeCloseTo(
      sum(logprobs.token_logprobs.slice(0, json.usage.prompt_tokens)),
      3,
    );
  });

  it('answers several prompts of a request in their order', async () => {
    const { json } = await complete(['The capital of Spain', 'The capital of Italy'], {
      temperature: 0,
      stop: '.',
      n: 2,
    });
    expect(json.choices.map(({ text }: { text: string }) => text.trim().split(' ').at(-1))).toEqual([
      'Madrid',
      'Madrid',
      'Rome',
      'Rome',
    ]);
  });

  it('turns any text into tokens and back, and takes tokens as a prompt', async () => {
    for (const text of ['Once upon a time', 'Héllo wörld 🙂\n\tonce  more', '']) {
      const { json } = await post(`${server.url}/tokenize`, { prompt: text });
      expect(json.count).toBe(json.tokens.length);
      const back = await post(`${server.url}/detokenize`, { tokens: json.tokens });
      expect(back.json.prompt).toBe(text);
    }
    const { tokens } = (await post(`${server.url}/tokenize`, { prompt: 'The capital of Spain' })).json;
    const byTokens = await complete(tokens, { temperature: 0 });
    const byText = await complete('The capital of Spain', { temperature: 0 });
    expect(byTokens.json.choices).toEqual(byText.json.choices);
  });

  it('counts the same prompt tokens for a chat as /tokenize does', async () => {
    const messages = [{ role: 'user', content: 'Who are you?' }];
    const { count } = (await post(`${server.url}/tokenize`, { messages })).json;
    const answer = await post(`${server.url}/v1/chat/completions`, { messages, max_tokens: 1 });
    expect(answer.json.usage.prompt_tokens).toBe(count);
  });

  it.each([
    ['too many tokens asked', () => complete('Once', { max_tokens: 100_000 }), 'context_length_exceeded', /2048/],
    ['a prompt too long', () => chat('fox '.repeat(3000)), 'context_length_exceeded', /2048/],
    [
      'a role that the template does not know',
      () => sayAs('wizard'),
      'chat_template',
      /wizard.*system, user and assistant/,
    ],
    ['a token outside the vocabulary', () => complete([1, 999_999]), 'invalid_request', /999999/],
    [
      'images',
      () => sayAs('user', [{ type: 'image_url', image_url: { url: 'x' } }]),
      'unsupported_parameter',
      /image_url/,
    ],
    [
      'tools',
      () => chat('Hi', { tools: [{ type: 'function', function: { name: 'f' } }] }),
      'unsupported_parameter',
      /tools/,
    ],
    ['an unknown field', () => chat('Hi', { temprature: 1 }), 'unknown_field', /temperature/],
  ] as const)('refuses %s with 400', async (_what, ask, code, words) => {
    const { status, json } = await ask();
    expect(json.error).toMatchObject({ type: 'invalid_request_error', code, message: expect.stringMatching(words) });
    expect(status).toBe(400);
  });

  const sayAs = (role: string, content: unknown = 'Hi'): Promise<Answer> =>
    post(`${server.url}/v1/chat/completions`, { messages: [{ role, content }] });
});
