/** Clients that send nonsense, too much, or do not read: each gets a clear answer, and the server goes on. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, fetch as socketFetch } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CliServer } from '../support/cli.js';
import { type Answer, EventReader, eventsOf, metric, post, textOf, untilMetric } from '../support/http.js';
import { SlowReader } from '../support/slow-reader.js';

const MOCK = ['mock', '--engine', 'mock'];

describe('a server with a full house of bad requests', () => {
  let server: CliServer;
  beforeAll(async () => {
    server = await CliServer.ready([...MOCK, '--body-limit', '64KiB']);
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  const complete = (body: unknown, headers?: Record<string, string>): Promise<Answer> =>
    post(`${server.url}/v1/completions`, body, headers);
  const go = (fields: object) => ({ model: 'mock', prompt: 'go', ...fields });

  it.each([
    ['JSON that is cut off', '{"model": "mock", "prompt": "g', 400, /JSON/],
    ['no body', '', 400, /./],
    ['an array', '[1]', 400, /object/],
    ['brackets without end', '['.repeat(20_000), 400, /./],
    ['invalid UTF-8 in a string', Uint8Array.from([0x22, 0xff, 0xfe, 0x22]), 400, /./],
    ['a prompt of a wrong type', go({ prompt: { text: 'go' } }), 400, /prompt/],
    ['no prompt', { model: 'mock' }, 400, /prompt/],
    ['a number as text', go({ max_tokens: '9' }), 400, /max_tokens/],
    ['a number out of range', go({ temperature: -1 }), 400, /temperature/],
    ['a fraction of a token', go({ max_tokens: 1.5 }), 400, /max_tokens/],
    ['an unknown field', go({ max_token: 9 }), 400, /max_tokens/],
    ['an empty stop string', go({ stop: [''] }), 400, /stop/],
    ['a thousand choices', go({ n: 1000 }), 400, /\bn\b/],
    ['more tokens than the context', go({ max_tokens: 5000 }), 400, /4096/],
    ['a prompt over the context', go({ prompt: 'x'.repeat(5000) }), 400, /4096/],
    ['a body over the limit', go({ prompt: 'x'.repeat(70_000) }), 413, /limit/],
    ['a model that is not served', go({ model: 'gpt-5' }), 404, /gpt-5.*mock/],
    ['a model as a number', go({ model: 5 }), 400, /model/],
  ])('answers %s with what is wrong', async (_what, body, status, words) => {
    const answer = await complete(body);
    expect(answer.json?.error).toMatchObject({ message: expect.stringMatching(words), code: expect.any(String) });
    expect(answer.json.error).toHaveProperty('param');
    expect(answer.json.error.message).not.toMatch(/\bat .*\.js:|node_modules/);
    expect(answer.status).toBe(status);
  });

  it('answers a wrong type of body, route and method', async () => {
    expect((await complete('model=mock', { 'content-type': 'text/plain' })).status).toBe(415);
    expect((await post(`${server.url}/v1/completion`, {})).json.error.code).toBe('route_not_found');
    const wrongMethod = await fetch(`${server.url}/v1/completions`);
    expect(wrongMethod.status).toBe(405);
    expect(wrongMethod.headers.get('allow')).toContain('POST');
  });

  it('answers what is no HTTP, and closes', async () => {
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    socket.end('\x16\x03\x01 not http at all\r\n\r\n');
    let said = '';
    socket.on('data', (data) => {
      said += data;
    });
    await once(socket, 'close');
    expect(said).toMatch(/^HTTP\/1\.1 400 /);
  });

  it('stops reading a body over the limit long before its end', async () => {
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    socket.on('error', () => {}); // the server closes while we write: that is the point
    socket.write(
      `POST /v1/completions HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/json\r\ncontent-length: 1000000000\r\n\r\n`,
    );
    let said = '';
    socket.on('data', (data) => {
      said += data;
    });
    await once(socket, 'close');
    expect(said).toMatch(/^HTTP\/1\.1 413 /);
  });

  it('has served on all along', async () => {
    expect((await complete(go({ max_tokens: 3 }))).json.usage.completion_tokens).toBe(3);
    expect(await metric(server.url, 'twinkle_gang_restarts_total')).toBe(0);
  });
});

it('refuses with 429 and Retry-After when its queue is full, and serves what waited', async () => {
  await using server = await CliServer.ready([...MOCK, '--step-ms', '20', '--max-num-seqs', '1', '--queue-size', '2']);
  const url = `${server.url}/v1/completions`;
  const body = { model: 'mock', prompt: 'go', max_tokens: 12 };
  const all = await Promise.all(Array.from({ length: 12 }, () => post(url, body)));
  const refused = all.filter(({ status }) => status === 429);
  expect(refused.length).toBeGreaterThan(0);
  expect(all.filter(({ status }) => status === 200)).toHaveLength(12 - refused.length);
  expect(all.filter(({ status }) => status === 200).length).toBeGreaterThanOrEqual(3);
  for (const { headers, json } of refused) {
    expect(headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
    expect(json.error).toMatchObject({ type: 'rate_limit_error', code: 'rate_limit_exceeded' });
  }
  expect((await post(url, body)).status).toBe(200);
});

it('lets as many wait as its queue was raised to, answers all of them, and refuses one more', async () => {
  const [batch, ahead, waiting] = [64, 16, 2000];
  const place = ['--max-num-seqs', String(batch), '--max-model-len', '200000', '--step-ms', '50'];
  await using server = await CliServer.ready([...MOCK, ...place, '--queue-size', String(waiting)]);
  const url = `${server.url}/v1/completions`;
  const body = { model: 'mock', prompt: 'go', max_tokens: 1 };
  const full = await EventReader.open(url, { ...body, n: batch, max_tokens: 100_000 });
  const dispatcher = new Agent({ connections: ahead + waiting });
  const ask = async (): Promise<[status: number, tokens: unknown]> => {
    const headers = { 'content-type': 'application/json' };
    const answer = await socketFetch(url, { method: 'POST', headers, body: JSON.stringify(body), dispatcher });
    const { usage } = (await answer.json()) as { usage?: { completion_tokens: number } };
    return [answer.status, usage?.completion_tokens];
  };
  const all = Array.from({ length: ahead + waiting }, ask);
  await untilMetric(server.url, 'twinkle_http_in_flight', 1 + all.length + 1); // the last one is this question
  const { headers, json, status } = await post(url, body);
  expect([status, json.error.code]).toEqual([429, 'rate_limit_exceeded']);
  expect(json.error.message).toContain(`${waiting} requests already wait`);
  expect(headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
  full.controller.abort();
  const answers = await Promise.all(all);
  expect(new Set(answers.map(String))).toEqual(new Set(['200,1']));
  expect((await post(url, body)).status).toBe(200);
  await dispatcher.close();
});

describe('a client that does not read', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'twinkle-uds-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('costs the server no more than its socket holds, and gets the whole text when it reads', async () => {
    const uds = join(folder, 'http.sock');
    await using _server = await CliServer.ready([...MOCK, '--uds', uds, '--max-model-len', '20000']);
    const dispatcher = new Agent({ connect: { socketPath: uds } });
    const ask = async (body: object) =>
      await (
        await socketFetch('http://localhost/v1/completions', {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body),
          dispatcher,
        })
      ).text();
    const tokens = 16_000;
    const body = { model: 'mock', prompt: 'go', max_tokens: tokens };
    const text = JSON.parse(await ask(body)).choices[0].text;
    const slow = await SlowReader.post(uds, '/v1/completions', { ...body, stream: true });
    // The batch goes on: another stream of the same length is served meanwhile, and the rank is done with both.
    const read = eventsOf(await ask({ ...body, stream: true }));
    expect(textOf(read)).toBe(text);
    const events = eventsOf(await slow.readAll());
    expect(textOf(events)).toBe(text);
    expect(events.at(-1)).toBe('[DONE]');
    // What Node had no room for was merged in the rank: fewer, larger events.
    expect(events.length).toBeLessThan(read.length / 3);
    await dispatcher.close();
  });
});
