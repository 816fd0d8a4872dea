/** Relayed requests from a client to the server of a real rank and back. */
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { buildGateway } from '../../src/gateway/server.js';
import { Metrics } from '../../src/observability/metrics.js';
import { ModelDirectory } from '../../src/serving/inference.js';
import { ModelService } from '../../src/serving/model-service.js';
import { Replica } from '../../src/serving/replica.js';
import type { Gang } from '../../src/supervisor/gang.js';
import { GangKit, killProcess } from '../support/gang-kit.js';

const ROUTES = '/v1/responses,/v1/chat/completions,/v1/messages';

let kit: GangKit;
let gang: Gang;
let directory: ModelDirectory;
let app: FastifyInstance;
let url: string;

async function start(options: object): Promise<void> {
  gang = kit.gang({ routes: ROUTES, ...options });
  const replica = new Replica('m/0', Object.assign(gang, { group: null }), () => []);
  const service = new ModelService({ names: ['m'], created: 0, maxQueue: 10, nowMs: () => performance.now() }, [
    replica,
  ]);
  gang.events.on('change', () => service.dispatch());
  directory = new ModelDirectory([service]);
  gang.start();
  await kit.until(gang, 'ready');
  app = await buildGateway({
    inference: directory,
    auth: { mode: 'off', keyHashes: [], generatedKey: null },
    http: { bodyLimit: 1_000_000 },
    version: '1',
    startedAt: Date.now(),
    phase: () => 'ready',
    logger: false,
    metrics: new Metrics(),
  });
  url = await app.listen({ host: '127.0.0.1', port: 0 });
}

const post = (path: string, body: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${url}${path}`, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body });

beforeEach(async () => {
  kit = await GangKit.make();
});
afterEach(async () => {
  await app.close();
  await kit[Symbol.asyncDispose]();
});

describe('relay to a real rank', () => {
  it('carries body, query and headers there, and answers and events back', async () => {
    await start({});
    const seed = '12345678901234567890123';
    const whole = await post('/v1/responses?a=%C3%A9', `{"input":"héllo 🙂","seed":${seed}}`, {
      authorization: 'Bearer secret',
      'anthropic-beta': 'x',
    });
    expect(whole.headers.get('content-type')).toBe('application/json');
    const text = await whole.text();
    expect(text).toContain(seed);
    const echo = JSON.parse(text) as { headers: object; body: { input: string } };
    expect(echo).toMatchObject({ method: 'POST', path: '/v1/responses', query: 'a=%C3%A9' });
    expect(echo.body.input).toBe('héllo 🙂');
    expect(Object.keys(echo.headers).sort()).toEqual(['accept', 'anthropic-beta', 'content-type', 'x-request-id']);
    const many = await post('/v1/responses', '{"stream":true,"max_tokens":500}');
    const events = (await many.text()).split('\n\n');
    expect(events.slice(0, 500)).toEqual(Array.from({ length: 500 }, (_, index) => `data: {"index":${index}}`));
    expect(events.slice(500)).toEqual(['data: [DONE]', '']);
    const chat = { messages: [{ role: 'user', content: 'hi' }], max_tokens: 2 };
    expect(await (await post('/v1/chat/completions', JSON.stringify(chat))).json()).toHaveProperty('usage');
    const tools = { ...chat, tools: [{ type: 'function' }] };
    expect(await (await post('/v1/chat/completions', JSON.stringify(tools))).json()).toMatchObject({ body: tools });
    expect((await post('/v1/embeddings', '{}')).status).toBe(404);
  });

  it('ends a stream whose rank dies with an error event, in the words of its API', async () => {
    await start({ step_ms: 10 });
    const answers = await Promise.all(
      ['/v1/responses', '/v1/messages'].map((path) => post(path, '{"stream":true,"max_tokens":100000}')),
    );
    killProcess(gang.pids[0], 'SIGKILL');
    const [openai = '', anthropic = ''] = await Promise.all(answers.map((answer) => answer.text()));
    expect(openai).toMatch(/data: \{"error":\{"message":".*SIGKILL.*"code":"rank_failed"\}\}\n\n$/);
    expect(anthropic).toMatch(/event: error\ndata: \{"type":"error","error":\{"type":"api_error",.*SIGKILL.*\}\}\n\n$/);
  });

  it('asks the next rank when the first dies before it has said anything', async () => {
    await start({});
    const [first] = gang.pids;
    // A stopped process takes the request and does nothing.
    killProcess(first, 'SIGSTOP');
    const parts: string[] = [];
    const answered = new Promise<void>((resolve, reject) => {
      const params = { request_id: 'r', method: 'POST', path: '/v1/responses', query: '', headers: [], body: '{}' };
      const sink = {
        delta: ({ body }: { body: Uint8Array }) => void parts.push(Buffer.from(body).toString()),
        end: () => resolve(),
        error: reject,
      };
      directory.relay('m', params, sink, { tenant: 'local' });
    });
    killProcess(first, 'SIGKILL');
    await answered;
    expect(gang.epoch).toBe(2);
    expect(JSON.parse(parts.join(''))).toMatchObject({ path: '/v1/responses', body: {} });
  });
});
