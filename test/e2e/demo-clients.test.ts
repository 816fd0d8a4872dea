/** The official OpenAI clients, Python's and Node's, against the built-in model. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PACKAGE_ROOT } from '../../src/config/package-root.js';
import { CliServer } from '../support/cli.js';
import { untilMetric } from '../support/http.js';
import { testPython } from '../support/pythons.js';

const PARIS = 'The capital of France is Paris.';

let server: CliServer;
let baseURL: string;
beforeAll(async () => {
  server = await CliServer.ready(['--cpu']);
  baseURL = `${server.url}/v1`;
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

describe("OpenAI's Python client", () => {
  it('reads answers, streams, raw responses, errors and leaves', async () => {
    const script = join(PACKAGE_ROOT, 'test', 'e2e', 'clients', 'openai_client.py');
    const { stdout } = await promisify(execFile)(await testPython(), [script, baseURL]);
    expect(JSON.parse(stdout)).toEqual({
      models: ['demo'],
      retrieved: 'demo',
      answer: PARIS,
      finish: 'stop',
      streamed: PARIS,
      same_usage: true,
      echo: expect.stringMatching(/^Once upon a time.+/),
      logprob_tokens: expect.stringMatching(/^Once upon a time.+/),
      helper: PARIS,
      helper_events: ['chunk', 'content.delta', 'content.done'],
      extra_tokens: 8,
      raw_type: expect.stringContaining('text/event-stream'),
      raw_last: 'data: [DONE]',
      raw_data: true,
      request_id: expect.stringMatching(/./),
      raw_answer: PARIS,
      not_found: {
        status: 404,
        code: 'model_not_found',
        param: 'model',
        message: expect.stringContaining('did you mean `demo`'),
      },
      too_long: {
        status: 400,
        code: 'context_length_exceeded',
        param: 'messages',
        message: expect.stringContaining('2048'),
      },
      role: { status: 400, code: 'chat_template', param: 'messages', message: expect.stringContaining('wizard') },
      range: {
        status: 400,
        code: 'invalid_request',
        param: 'temperature',
        message: expect.stringContaining('temperature'),
      },
      left_after: 3,
      concurrent: [PARIS],
    });
    await untilMetric(server.url, 'twinkle_engine_running', 0);
  });
});

describe("OpenAI's Node client", () => {
  const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: 'user', content: 'What is the capital of France?' }];

  it('streams what it answers at once, through the stream helper too', async () => {
    const client = new OpenAI({ baseURL, apiKey: 'any', maxRetries: 0 });
    const whole = await client.chat.completions.create({ model: 'demo', messages, temperature: 0 });
    expect(whole.choices[0]?.message.content).toBe(PARIS);
    const helper = client.chat.completions.stream({ model: 'demo', messages, temperature: 0 });
    const deltas: string[] = [];
    helper.on('content', (delta) => deltas.push(delta));
    expect(await helper.finalContent()).toBe(PARIS);
    expect(deltas.length).toBeGreaterThan(3);
    expect(deltas.join('')).toBe(PARIS);
    const spain = { model: 'demo', prompt: 'The capital of Spain', temperature: 0, stop: '.' };
    expect((await client.completions.create(spain)).choices[0]).toMatchObject({
      text: ' is Madrid',
      finish_reason: 'stop',
    });
  });

  it('raises its own errors, and leaves a stream for good', async () => {
    const client = new OpenAI({ baseURL, apiKey: 'any', maxRetries: 0 });
    const tooLong = client.chat.completions.create({ model: 'demo', messages, max_tokens: 100_000 });
    await expect(tooLong).rejects.toThrow(OpenAI.BadRequestError);
    await expect(tooLong).rejects.toMatchObject({ status: 400, code: 'context_length_exceeded' });
    const stream = await client.chat.completions.create({
      model: 'demo',
      messages,
      max_tokens: 1900,
      stream: true,
      ...{ ignore_eos: true },
    });
    for await (const chunk of stream) {
      expect(chunk.object).toBe('chat.completion.chunk');
      await untilMetric(server.url, 'twinkle_engine_running', 1);
      break;
    }
    expect(stream.controller.signal.aborted).toBe(true);
    await untilMetric(server.url, 'twinkle_engine_running', 0);
  });
});
