/** Clients of others against engine vllm: OpenAI's and Anthropic's SDKs, vLLM's own benchmark; and what bad clients get. One server. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { Agent, fetch as pooledFetch } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEMO_MODEL, PACKAGE_ROOT } from '../../src/config/package-root.js';
import { CliServer } from '../support/cli.js';
import { EventReader, eventsOf, metric, post, untilMetric } from '../support/http.js';
import { testPython } from '../support/pythons.js';
import { SlowReader } from '../support/slow-reader.js';
import { CHAT, VLLM_FAULTS } from '../support/vllm-faults.js';
import { sampleProcess } from '../support/vllm-load/memory.js';

// The demo model likes blanks so much that JSON with any between its parts would never end.
const ARGS =
  'demo --engine vllm --cpu --dtype float32 --max-model-len 512 --queue-size 64 --enable-auto-tool-choice --tool-call-parser xlam';
const GRAMMARS = ['--structured-outputs-config', '{"backend":"guidance","disable_any_whitespace":true}'];
const PARIS = 'The capital of France is Paris.';
const ASK = [{ role: 'user' as const, content: 'What is the capital of France?' }];
const CITY = {
  type: 'object' as const,
  properties: { city: { type: 'string', enum: ['Paris', 'Rome'] } },
  required: ['city'],
  additionalProperties: false,
};

let server: CliServer;
let port: number;
let openai: OpenAI;
let anthropic: Anthropic;
beforeAll(async () => {
  server = await CliServer.ready([...ARGS.split(' '), ...GRAMMARS], { VLLM_ENABLE_RESPONSES_API_STORE: '1' });
  port = Number(new URL(server.url).port);
  openai = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'any', maxRetries: 0 });
  anthropic = new Anthropic({ baseURL: server.url, apiKey: 'any', maxRetries: 0 });
}, 180_000);
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

/** The server and its engine still do what they are for. */
async function serves(): Promise<void> {
  const { choices } = await openai.chat.completions.create({ model: 'demo', messages: ASK, temperature: 0 });
  expect(choices[0]?.message.content).toBe(PARIS);
}

it("OpenAI's Python client: schemas, tools, prompt logprobs, grammars, responses", async () => {
  const script = join(PACKAGE_ROOT, 'test', 'e2e', 'clients', 'vllm_client.py');
  const { stdout } = await promisify(execFile)(await testPython('vllm'), [script, `${server.url}/v1`]);
  expect(JSON.parse(stdout)).toEqual({
    typed: expect.stringMatching(/^(Paris|Rome)$/),
    tool: ['weather', expect.stringMatching(/^(Paris|Rome)$/)],
    prompt_logprobs: 4,
    grammar: true,
    response: PARIS,
    embeddings: [404, 'route_not_found'],
  });
});

describe("OpenAI's Node client", () => {
  const tools: OpenAI.ChatCompletionTool[] = [{ type: 'function', function: { name: 'weather', parameters: CITY } }];

  it('gets several choices with logprobs, and the models', async () => {
    const sampling = { temperature: 1, seed: 3, n: 3, max_tokens: 5, logprobs: true, top_logprobs: 2 };
    const { choices, usage } = await openai.chat.completions.create({ model: 'demo', messages: ASK, ...sampling });
    expect(choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    const scored = choices.flatMap(({ logprobs }) => logprobs?.content ?? []);
    expect(scored).toHaveLength(usage?.completion_tokens ?? 0);
    for (const { top_logprobs } of scored) expect(top_logprobs.length).toBeGreaterThanOrEqual(2);
    const ids: string[] = [];
    for await (const { id } of openai.models.list()) ids.push(id);
    expect(ids).toEqual(['demo']);
    expect((await post(`${server.url}/tokenize`, { prompt: 'Once upon' })).json.count).toBe(2);
    expect(await (await fetch(`${server.url}/load`)).json()).toEqual({ server_load: 0 });
  });

  it('leaves a tool, must take one, and is held to the named one', async () => {
    const ask = { model: 'demo', messages: ASK, temperature: 0, max_tokens: 80, tools };
    const left = await openai.chat.completions.create({ ...ask, tool_choice: 'auto' });
    expect(left.choices[0]?.message).toMatchObject({ content: PARIS });
    const named = { type: 'function' as const, function: { name: 'weather' } };
    const call = (await openai.chat.completions.create({ ...ask, tool_choice: named })).choices[0]?.message
      .tool_calls?.[0];
    expect(call).toMatchObject({
      function: { name: 'weather', arguments: expect.stringMatching(/"(Paris|Rome)"\}$/) },
    });
    // This model would go on calling: the first of its calls is the one that counts.
    const stream = await openai.chat.completions.create({ ...ask, tool_choice: 'required', stream: true });
    let first = '';
    for await (const chunk of stream) {
      for (const part of chunk.choices[0]?.delta.tool_calls ?? []) {
        if (part.index === 0) first += `${part.function?.name ?? ''}${part.function?.arguments ?? ''}`;
      }
    }
    expect(first).toMatch(/^weather\{"city":"(Paris|Rome)"\}$/);
  });

  it('keeps responses, continues and cancels them', async () => {
    const made = await openai.responses.create({ model: 'demo', input: ASK[0]?.content ?? '', temperature: 0 });
    expect(made.output_text).toBe(PARIS);
    expect((await openai.responses.retrieve(made.id)).id).toBe(made.id);
    const next = { model: 'demo', input: 'And of Spain?', previous_response_id: made.id, temperature: 0 };
    const continued = await openai.responses.create(next);
    expect(continued.usage?.input_tokens).toBeGreaterThan((made.usage?.input_tokens ?? 0) + 5);
    const behind = await openai.responses.create({ ...next, background: true, ...{ ignore_eos: true } });
    expect((await openai.responses.cancel(behind.id)).status).toBe('cancelled');
    await untilMetric(server.url, 'vllm:num_requests_running', 0);
    const unknown = openai.responses.retrieve('resp_unknown');
    await expect(unknown).rejects.toThrow(OpenAI.NotFoundError);
  });
});

describe("Anthropic's client", () => {
  const ask = { model: 'demo', max_tokens: 100, messages: ASK, temperature: 0 };

  it('gets a message, streams it, and counts', async () => {
    const message = await anthropic.messages.create(ask);
    expect(message).toMatchObject({ stop_reason: 'end_turn', content: [{ type: 'text', text: PARIS }] });
    const stream = anthropic.messages.stream(ask);
    const deltas: string[] = [];
    stream.on('text', (delta) => deltas.push(delta));
    expect(await stream.finalText()).toBe(PARIS);
    expect(deltas.length).toBeGreaterThan(3);
    const counted = await anthropic.messages.countTokens({ model: 'demo', messages: ASK });
    expect(counted.input_tokens).toBe(message.usage.input_tokens);
  });

  it('uses a tool', async () => {
    const tools = [{ name: 'weather', input_schema: CITY }];
    const message = await anthropic.messages.create({ ...ask, tools, tool_choice: { type: 'tool', name: 'weather' } });
    expect(message.content).toMatchObject([{ type: 'tool_use', name: 'weather', input: { city: expect.any(String) } }]);
    expect(message.stop_reason).toBe('tool_use');
  });

  it.each([
    ['no such model', { model: 'claude' }, Anthropic.NotFoundError, 'not_found_error', /claude/],
    ['too many tokens', { max_tokens: 5000 }, Anthropic.BadRequestError, 'invalid_request_error', /512/],
    ['a wrong type', { max_tokens: 'x' }, Anthropic.BadRequestError, 'invalid_request_error', /max_tokens/],
    ['no messages', { messages: [] }, Anthropic.BadRequestError, 'invalid_request_error', /empty/],
    [
      'a tool without a schema',
      { tools: [{ name: 'f', input_schema: { type: 7 } }] },
      Anthropic.BadRequestError,
      'invalid_request_error',
      /tools\[0\]\.input_schema/,
    ],
  ])('raises its own error for %s', async (_what, wrong, kind, type, words) => {
    const failure = await anthropic.messages.create({ ...ask, ...wrong } as Anthropic.MessageCreateParams).then(
      () => null,
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(kind);
    expect(failure).toMatchObject({ error: { type: 'error', error: { type, message: expect.stringMatching(words) } } });
  });
});

describe("vLLM's own benchmark client", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'twinkle-bench-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each([
    ['openai-chat', '/v1/chat/completions'],
    ['vllm', '/v1/completions'],
  ])('%s: every request succeeds, and every token is counted', async (backend, endpoint) => {
    const load = '--dataset-name random --random-input-len 20 --random-output-len 12 --num-prompts 8 --ignore-eos';
    const result = `--save-result --result-dir ${folder} --result-filename ${backend}.json --disable-tqdm`;
    const where = ['--backend', backend, '--base-url', server.url, '--endpoint', endpoint];
    const args = [
      'bench',
      'serve',
      ...where,
      '--model',
      'demo',
      '--tokenizer',
      DEMO_MODEL,
      ...`${load} ${result}`.split(' '),
    ];
    const quiet = { TORCHDYNAMO_DISABLE: '1', VLLM_NO_USAGE_STATS: '1', HF_HUB_OFFLINE: '1' };
    const python = await testPython('vllm');
    await promisify(execFile)(python, ['-m', 'vllm.entrypoints.cli.main', ...args], {
      env: { ...process.env, ...quiet },
    });
    const seen = JSON.parse(readFileSync(join(folder, `${backend}.json`), 'utf8'));
    expect(seen).toMatchObject({ completed: 8, failed: 0, total_output_tokens: 8 * 12 });
  });
});

describe('a request at fault', () => {
  it.each(VLLM_FAULTS)('%s on %s is refused in OpenAI’s words', async (_what, url, fields, words) => {
    const body = url === CHAT ? { messages: ASK, ...fields } : fields;
    const { json, status, text } = await post(`${server.url}${url}`, { model: 'demo', ...body });
    expect(status, text).toBe(400);
    expect(json.error).toMatchObject({ message: expect.stringMatching(words), type: expect.stringMatching(/./) });
    expect(json.error).toHaveProperty('param');
  });

  it('has left the engine as it was', async () => {
    await serves();
    expect(await metric(server.url, 'twinkle_gang_restarts_total')).toBe(0);
    await untilMetric(server.url, 'vllm:num_requests_running', 0);
  });
});

describe('many clients, or rude ones', () => {
  const endless = { model: 'demo', messages: ASK, max_tokens: 450, ignore_eos: true };
  const loud = {
    ...endless,
    max_tokens: 250,
    n: 2,
    temperature: 1,
    logprobs: true,
    top_logprobs: 20,
    ...{ bad_words: ['wizard'] },
  };

  it.each([
    ['formatted here', endless],
    ['relayed', loud],
  ])('who leaves a stream, %s, stops it in the engine', async (_how, body) => {
    const stream = await EventReader.open(`${server.url}/v1/chat/completions`, body);
    await stream.until(3);
    expect(await metric(server.url, 'vllm:num_requests_running')).toBeGreaterThan(0);
    stream.controller.abort();
    await untilMetric(server.url, 'vllm:num_requests_running', 0);
    await serves();
  });

  it('who does not read costs little memory and nobody else anything, and gets the whole answer when it reads', async () => {
    const pids = [server.pid, ...(await server.rankPids())];
    const before = pids.map(sampleProcess);
    const slow = await Promise.all(
      Array.from({ length: 4 }, () => SlowReader.post(port, '/v1/chat/completions', { ...loud, stream: true })),
    );
    await untilMetric(server.url, 'vllm:num_requests_running', slow.length * loud.n);
    await serves();
    await untilMetric(server.url, 'vllm:num_requests_running', 0);
    // 4 × 2 × 250 tokens with 20 alternatives each are some 5 MB of events.
    pids.forEach((pid, at) => {
      expect(sampleProcess(pid).rssMb - (before[at]?.rssMb ?? 0)).toBeLessThan(100);
    });
    for (const reader of slow) {
      const events = eventsOf(await reader.readAll());
      expect(events.at(-1)).toBe('[DONE]');
      const choices = events.slice(0, -1).flatMap((event) => JSON.parse(event).choices);
      expect(choices.filter(({ finish_reason }) => finish_reason === 'length')).toHaveLength(loud.n);
      expect(choices.flatMap(({ logprobs }) => logprobs?.content ?? [])).toHaveLength(loud.n * loud.max_tokens);
    }
  });

  it('10,000 at once: a full queue refuses with Retry-After, everybody is answered, memory stays', async () => {
    const before = sampleProcess(server.pid);
    const dispatcher = new Agent({ connections: 1000 });
    const ask = async (): Promise<[status: number, retryAfter: string | null]> => {
      const answer = await pooledFetch(`${server.url}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'demo', prompt: 'Once', max_tokens: 8, ignore_eos: true }),
        dispatcher,
      });
      await answer.arrayBuffer();
      return [answer.status, answer.headers.get('retry-after')];
    };
    const all = await Promise.all(Array.from({ length: 10_000 }, ask));
    await dispatcher.close();
    const refused = all.filter(([status]) => status === 429);
    expect(refused.length).toBeGreaterThan(0);
    for (const [, after] of refused) expect(after).toMatch(/^[1-9]\d*$/);
    expect(all.filter(([status]) => status === 200)).toHaveLength(all.length - refused.length);
    expect(sampleProcess(server.pid).rssMb - before.rssMb).toBeLessThan(250);
    await serves();
  });
});
