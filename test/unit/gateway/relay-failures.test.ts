/** Relayed requests that fail: where, and in whose words the client hears of it. */
import { describe, expect, test } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import type { FakeRelay } from './fake-inference.js';
import { eventsOf, gateway, listening } from './harness.js';
import { ask, DEAD, engines, JSON_TYPE } from './relay-harness.js';

test('what serving refuses is an ordinary answer', async () => {
  const inference = engines();
  const { app } = await gateway({ inference });
  inference.refusal = new TwinkleError('OVERLOADED', 'full', { retryAfterMs: 2_000 });
  const answer = await app.inject({ method: 'POST', url: '/v1/responses', payload: { input: 'a', stream: true } });
  expect([answer.statusCode, answer.headers['retry-after']]).toEqual([429, '2']);
  expect(answer.json().error.code).toBe('rate_limit_exceeded');
});

test.each([
  ['before the first part', () => {}],
  [
    'within JSON',
    (relay: FakeRelay) =>
      relay.part('{"a":', 200, [
        ['content-type', 'application/json'],
        ['retry-after', '9'],
      ]),
  ],
  ['before the first whole event', (relay: FakeRelay) => relay.events('data: {"a')],
])('a death %s is a 500 of ours', async (_when, play) => {
  const { answer } = await ask({ url: '/v1/responses', payload: '{"stream":true}' }, (relay) => {
    play(relay);
    relay.fail(DEAD);
  });
  expect(answer.statusCode).toBe(500);
  expect(answer.headers['retry-after']).toBeUndefined();
  expect(answer.json().error).toMatchObject({ code: 'rank_failed', message: DEAD.message });
});

test('a death in mid-stream is an event, after the last whole one', async () => {
  const { answer } = await ask({ url: '/v1/responses', payload: '{"stream":true}' }, (relay) => {
    relay.events('data: {"a":1}\n\ndata: {"b');
    relay.fail(DEAD);
  });
  expect(answer.statusCode).toBe(200);
  expect(eventsOf(answer.body)).toMatchObject([{ a: 1 }, { error: { code: 'rank_failed' } }]);
});

test.each([
  ['whole', 'application/json'],
  ['of events', 'text/event-stream'],
])('an answer %s comes without a header that HTTP cannot carry', async (_kind, type) => {
  const { answer } = await ask({ url: '/v1/responses', payload: '{"stream":true}' }, (relay) => {
    relay.part('data: {}\n\n', 200, [
      ['content-type', type],
      ['metadata', 'a\r\nset-cookie: b=c'],
      ['retry-after', '☃'],
    ]);
    relay.finish();
  });
  expect([answer.statusCode, answer.body]).toEqual([200, 'data: {}\n\n']);
  expect(answer.headers['content-type']).toMatch(type);
  for (const name of ['metadata', 'retry-after', 'set-cookie']) expect(answer.headers).not.toHaveProperty(name);
});

test('an answer that ends before it began is the engine’s fault', async () => {
  const { answer } = await ask({ url: '/v1/responses', payload: '{}' }, (relay) => relay.finish());
  expect([answer.statusCode, answer.json().error.code]).toEqual([500, 'engine_error']);
});

describe('a status that HTTP does not have for an answer', () => {
  test.each([0, -1, 99, 101, 600, 200.5, 2 ** 40, Number.NaN])('%d is a 502 of ours', async (status) => {
    const { answer, relay } = await ask({ url: '/v1/responses', payload: '{"stream":true}' }, (relay) => {
      relay.part('data: {}\n\n', status, [
        ['content-type', 'text/event-stream'],
        ['retry-after', '9'],
      ]);
      relay.finish();
    });
    expect([answer.statusCode, answer.headers['retry-after']]).toEqual([502, undefined]);
    expect(answer.json().error).toEqual({
      message: expect.stringContaining(`status ${status},`),
      type: 'internal_server_error',
      param: null,
      code: 'engine_answer',
    });
    expect(relay.aborted).toBe(true);
  });

  test('is said in Anthropic’s words on its routes, and other requests notice nothing', async () => {
    const inference = engines();
    const { app } = await gateway({ inference });
    const asked = ['/v1/responses', '/v1/messages', '/v1/responses'].map((url) =>
      app.inject({ method: 'POST', url, payload: {} }),
    );
    await inference.relayed(2);
    for (const relay of inference.relays) relay.answer(relay.params.path === '/v1/messages' ? 999 : 200, { ok: true });
    const [first, broken, last] = await Promise.all(asked);
    expect([broken?.statusCode, broken?.json()]).toEqual([
      502,
      { type: 'error', error: { type: 'api_error', message: expect.stringContaining('status 999') } },
    ]);
    expect([first?.json(), last?.json()]).toEqual([{ ok: true }, { ok: true }]);
  });
});

test('a gateway that closes ends what it relays', async () => {
  const { app, inference, url } = await listening({ inference: engines() });
  const pending = fetch(`${url}/v1/messages`, { method: 'POST', headers: JSON_TYPE, body: '{"stream":true}' });
  const relay = await inference.relayed();
  relay.events('event: ping\ndata: {}\n\n');
  const answer = await pending;
  const closed = app.close();
  expect(await answer.text()).toMatch(/^event: ping\ndata: \{\}\n\nevent: error\ndata: .*overloaded_error/);
  await closed;
  expect(relay.aborted).toBe(true);
});

test('errors of ours speak Anthropic’s words on its routes', async () => {
  const key = 'a'.repeat(64);
  const { app, inference } = await gateway({
    inference: engines(),
    auth: { mode: 'keys', keyHashes: [key], generatedKey: null },
  });
  const status = async (request: object) => {
    const answer = await app.inject({ method: 'POST', url: '/v1/messages', ...request });
    const body = answer.json();
    expect(Object.keys(body)).toEqual(['type', 'error']);
    return [answer.statusCode, body.type, body.error.type];
  };
  expect(await status({ payload: {} })).toEqual([401, 'error', 'authentication_error']);
  expect(await status({ method: 'GET' })).toEqual([405, 'error', 'invalid_request_error']);
  expect(inference.relays).toHaveLength(0);
});

test.each([
  ['{"model":', 400, 'invalid_request_error'],
  ['{"model":"none"}', 404, 'not_found_error'],
  [`{"a":"${'x'.repeat(2_000)}"}`, 413, 'request_too_large'],
])('a body of %.20s on /v1/messages', async (payload, status, type) => {
  const { app } = await gateway({ inference: engines(), http: { bodyLimit: 1_000 } });
  const answer = await app.inject({ method: 'POST', url: '/v1/messages', headers: JSON_TYPE, payload });
  expect([answer.statusCode, answer.json()]).toEqual([
    status,
    { type: 'error', error: { type, message: expect.any(String) } },
  ]);
});
