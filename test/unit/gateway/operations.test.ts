/** Health, models, tokenizer, metrics and the reference. */
import { expect, test } from 'vitest';
import type { HeadPhase } from '../../../src/gateway/types.js';
import { FakeInference, servedModel } from './fake-inference.js';
import { gateway, gatewayOptions } from './harness.js';

const NOT_READY = servedModel({
  state: 'restarting',
  reason: 'rank 1 was ended by SIGKILL',
  progress: { phase: 'weights', progress: 0.5, detail: 'file 1 of 2', elapsedMs: 1_500 },
});

test.each([
  // phase, some model ready, accepting → health, livez, readyz, startupz
  ['starting', false, true, [503, 200, 503, 503]],
  ['ready', true, true, [200, 200, 200, 200]],
  ['degraded', true, true, [200, 200, 200, 200]],
  ['degraded', false, true, [503, 200, 503, 200]],
  ['ready', true, false, [200, 200, 503, 200]],
  ['draining', true, false, [200, 200, 503, 200]],
  ['failed', false, true, [503, 503, 503, 503]],
  ['stopped', false, false, [503, 503, 503, 503]],
] as const)('%s, some model ready: %s, accepting: %s', async (phase, ready, accepting, expected) => {
  const { app, inference } = await gateway({ phase: () => phase as HeadPhase });
  inference.served = [ready ? servedModel() : NOT_READY];
  inference.accepting = accepting;
  const answers = await Promise.all(['/health', '/livez', '/readyz', '/startupz'].map((url) => app.inject(url)));
  expect(answers.map(({ statusCode }) => statusCode)).toEqual(expected);
  expect(answers.slice(0, 3).map(({ body }) => body)).toEqual(['', '', '']);
  const ping = await app.inject({ method: 'POST', url: '/ping' });
  expect([ping.statusCode, ping.body]).toEqual([expected[0], '']);
});

test('startupz tells phase and progress', async () => {
  const { app, inference } = await gateway({ phase: () => 'starting' });
  inference.served = [NOT_READY];
  expect((await app.inject('/startupz')).json()).toEqual({
    phase: 'starting',
    elapsed_seconds: expect.any(Number),
    models: [
      {
        model: 'demo',
        state: 'restarting',
        reason: 'rank 1 was ended by SIGKILL',
        progress: { phase: 'weights', progress: 0.5, detail: 'file 1 of 2', elapsed_seconds: 1.5 },
      },
    ],
  });
});

test('version, and models by all their names', async () => {
  const { app, inference } = await gateway();
  expect((await app.inject('/version')).json()).toEqual({ version: '1.2.3' });
  const entry = {
    id: 'demo',
    object: 'model',
    created: 1_760_000_000,
    owned_by: 'twinkle-node',
    root: 'some/folder',
    parent: null,
    max_model_len: 512,
  };
  expect((await app.inject('/v1/models')).json()).toEqual({
    object: 'list',
    data: [entry, { ...entry, id: 'alias/with-slash' }],
  });
  for (const url of ['/v1/models/alias/with-slash', '/v1/models/alias%2Fwith-slash']) {
    expect((await app.inject(url)).json()).toEqual({ ...entry, id: 'alias/with-slash' });
  }
  expect((await app.inject('/v1/models/none')).json()).toMatchObject({ error: { code: 'model_not_found' } });
  inference.served = [servedModel({ card: null })];
  expect((await app.inject('/v1/models/demo')).json()).toMatchObject({ root: null, max_model_len: null });
  expect((await app.inject({ method: 'HEAD', url: '/v1/models' })).statusCode).toBe(200);
});

test('tokenize and detokenize speak as vLLM', async () => {
  const { app } = await gateway();
  const post = async (url: string, payload: object) => (await app.inject({ method: 'POST', url, payload })).json();
  expect(await post('/tokenize', { prompt: 'ab c', return_token_strs: true })).toEqual({
    count: 2,
    max_model_len: 512,
    tokens: [2, 1],
    token_strs: ['ab', 'c'],
  });
  expect(await post('/tokenize', { messages: [{ role: 'user', content: 'x' }] })).toMatchObject({
    count: 1,
    token_strs: null,
  });
  expect(await post('/detokenize', { model: 'demo', tokens: [1, 2] })).toEqual({ prompt: 't1t2' });
  expect(await post('/tokenize', {})).toMatchObject({ error: { code: 'invalid_request', param: 'prompt' } });
  expect(await post('/detokenize', { tokens: ['a'] })).toMatchObject({ error: { param: 'tokens[0]' } });
  expect(await post('/tokenize', { model: 'no', prompt: 'a' })).toMatchObject({ error: { code: 'model_not_found' } });
});

test('metrics count requests, tokens and latencies, and show gangs', async () => {
  const { app } = await gateway();
  for (const stream of [true, false]) {
    await app.inject({ method: 'POST', url: '/v1/completions', payload: { prompt: 'a', max_tokens: 3, stream } });
  }
  await app.inject({ method: 'POST', url: '/v1/completions', payload: {} });
  const { body, headers } = await app.inject('/metrics');
  expect(headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
  const value = (series: string): number => {
    const line = body.split('\n').find((one) => one.startsWith(`${series} `));
    return line === undefined ? Number.NaN : Number(line.slice(series.length + 1));
  };
  const requests = (status: number): number =>
    value(`twinkle_http_requests_total{route="/v1/completions",method="POST",status="${status}"}`);
  expect([requests(200), requests(400)]).toEqual([2, 1]);
  expect(value('twinkle_http_request_seconds_count{route="/v1/completions"}')).toBe(3);
  expect(value('twinkle_http_request_seconds_bucket{route="/v1/completions",le="+Inf"}')).toBe(3);
  expect(value('twinkle_http_in_flight')).toBe(1);
  expect(value('twinkle_ttft_seconds_count{model="demo"}')).toBe(2);
  expect(value('twinkle_inter_token_latency_seconds_count{model="demo"}')).toBeGreaterThan(0);
  expect(value('twinkle_generation_tokens_total{model="demo"}')).toBe(6);
  expect(value('twinkle_prompt_tokens_total{model="demo"}')).toBe(6);
  expect(value('twinkle_gang_state{model="demo",replica="demo-0",state="ready"}')).toBe(1);
  expect(value('twinkle_gang_state{model="demo",replica="demo-0",state="failed"}')).toBe(0);
  expect(value('twinkle_gang_restarts_total{model="demo",replica="demo-0"}')).toBe(2);
  expect(value('twinkle_engine_waiting{model="demo",replica="demo-0"}')).toBe(4);
  expect(value('process_resident_memory_bytes')).toBeGreaterThan(1e6);
  expect((await app.inject('/load')).json()).toEqual({ server_load: 0 });
});

test('two gateways in one process count apart', async () => {
  const [one, two] = [await gateway(), await gateway()];
  await one.app.inject('/v1/models');
  const series = 'twinkle_http_requests_total{route="/v1/models"';
  expect((await one.app.inject('/metrics')).body).toContain(series);
  expect((await two.app.inject('/metrics')).body).not.toContain(series);
});

test('the reference lists every route with its body', async () => {
  const { app } = await gateway({ inference: new FakeInference() });
  const reference = (await app.inject('/openapi.json')).json();
  expect(reference.openapi).toBe('3.1.0');
  expect(reference.info.version).toBe(gatewayOptions().version);
  expect(Object.keys(reference.paths).sort()).toEqual([
    '/classify',
    '/cohere/v2/chat',
    '/cohere/v2/chat/render',
    '/detokenize',
    '/generative_scoring',
    '/health',
    '/inference/v1/generate',
    '/livez',
    '/load',
    '/metrics',
    '/openapi.json',
    '/ping',
    '/pooling',
    '/readyz',
    '/rerank',
    '/score',
    '/startupz',
    '/tokenize',
    '/tokenizer_info',
    '/v1/chat/completions',
    '/v1/chat/completions/batch',
    '/v1/chat/completions/derender',
    '/v1/chat/completions/render',
    '/v1/completions',
    '/v1/completions/derender',
    '/v1/completions/render',
    '/v1/embeddings',
    '/v1/messages',
    '/v1/messages/count_tokens',
    '/v1/messages/render',
    '/v1/models',
    '/v1/models/{model}',
    '/v1/rerank',
    '/v1/responses',
    '/v1/responses/render',
    '/v1/responses/{id}',
    '/v1/responses/{id}/cancel',
    '/v1/score',
    '/v1/systemone',
    '/v2/embed',
    '/v2/rerank',
    '/version',
  ]);
  const body = reference.paths['/v1/chat/completions'].post.requestBody.content['application/json'].schema;
  expect(body.required).toEqual(['messages']);
  expect(body.properties.temperature.anyOf[0]).toMatchObject({ type: 'number', minimum: 0, maximum: 2 });
  expect(Object.keys(reference.paths['/v1/models'])).not.toContain('delete');
});
