/** Failures around a request: routes, methods, bodies, states, ids; each in OpenAI's shape. */
import { expect, test } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import { gateway } from './harness.js';

const error = (code: string, type = 'invalid_request_error', param: string | null = null) => ({
  error: { message: expect.any(String), type, param, code },
});
const COMPLETION = { method: 'POST', url: '/v1/completions' } as const;
const JSON_HEADERS = { 'content-type': 'application/json' };

test.each([
  ['broken JSON', '{"prompt": ', 400, 'invalid_request', /not valid JSON/],
  ['nothing', '', 400, 'invalid_request', /empty/],
  ['a poisoned prototype', '{"prompt":"a","__proto__":{"n":1}}', 400, 'invalid_request', /not valid JSON/],
  [
    'deep nesting',
    `{"temperature":${'['.repeat(40_000)}${']'.repeat(40_000)}}`,
    400,
    'invalid_request',
    /deeper than 100/,
  ],
  ['null', 'null', 400, 'invalid_request', /an object but received null/],
])('a body of %s', async (_name, payload, status, code, message) => {
  const { app } = await gateway();
  const answer = await app.inject({ ...COMPLETION, headers: JSON_HEADERS, payload });
  expect(answer.statusCode).toBe(status);
  expect(answer.json()).toEqual(error(code));
  expect(answer.json().error.message).toMatch(message);
});

test('a huge body is 413 and a body of another type is 415', async () => {
  const { app } = await gateway({ http: { bodyLimit: 1_000 } });
  const huge = await app.inject({ ...COMPLETION, payload: { prompt: 'x'.repeat(2_000) } });
  expect([huge.statusCode, huge.json()]).toEqual([413, error('body_too_large')]);
  const form = await app.inject({
    ...COMPLETION,
    headers: { 'content-type': 'text/plain' },
    payload: '{"prompt":"a"}',
  });
  expect([form.statusCode, form.json()]).toEqual([415, error('unsupported_media_type')]);
});

test('an unknown route is 404 whatever its body, a wrong method 405 with what is allowed', async () => {
  const { app } = await gateway();
  const lost = await app.inject({
    method: 'POST',
    url: '/v1/nothing',
    headers: { 'content-type': 'text/xml' },
    payload: '<',
  });
  expect([lost.statusCode, lost.json()]).toEqual([404, error('route_not_found', 'not_found_error')]);
  const wrong = await app.inject({ method: 'GET', url: '/v1/chat/completions' });
  expect([wrong.statusCode, wrong.json(), wrong.headers.allow]).toEqual([405, error('method_not_allowed'), 'POST']);
  const remove = await app.inject({ method: 'DELETE', url: '/v1/models/demo' });
  expect([remove.statusCode, remove.headers.allow]).toEqual([405, 'GET, HEAD']);
  const broken = await app.inject({ method: 'GET', url: '/v1/models/%zz' });
  expect([broken.statusCode, broken.json()]).toEqual([400, error('invalid_request')]);
});

test('an unknown model is 404', async () => {
  const { app } = await gateway();
  const answer = await app.inject({ ...COMPLETION, payload: { model: 'gpt-9', prompt: 'a' } });
  expect([answer.statusCode, answer.json()]).toEqual([404, error('model_not_found', 'not_found_error', 'model')]);
});

test.each([
  ['OVERLOADED', 2_300, 429, '3', 'rate_limit_exceeded', 'rate_limit_error'],
  ['NOT_READY', undefined, 503, '5', 'not_ready', 'service_unavailable_error'],
  ['DRAINING', undefined, 503, '5', 'draining', 'service_unavailable_error'],
] as const)('%s tells when to come back', async (code, retryAfterMs, status, seconds, shown, type) => {
  const { app, inference } = await gateway();
  inference.refusal = new TwinkleError(code, 'later', retryAfterMs === undefined ? {} : { retryAfterMs });
  for (const stream of [true, false]) {
    const answer = await app.inject({ ...COMPLETION, payload: { prompt: 'a', stream } });
    expect([answer.statusCode, answer.headers['retry-after'], answer.json()]).toEqual([
      status,
      seconds,
      error(shown, type),
    ]);
  }
});

test('when a later prompt is refused, the earlier ones are withdrawn', async () => {
  const { app, inference } = await gateway();
  inference.manual = true;
  const generate = inference.generate.bind(inference);
  inference.generate = (...args) => {
    if (inference.calls.length === 2) throw new TwinkleError('OVERLOADED', 'full');
    return generate(...args);
  };
  const answer = await app.inject({ ...COMPLETION, payload: { prompt: ['a', 'b', 'c'] } });
  expect(answer.statusCode).toBe(429);
  expect(inference.calls.map(({ aborted }) => aborted)).toEqual([true, true]);
});

test('an error that nobody foresaw is a 500 that is logged', async () => {
  const logged: object[] = [];
  const logger = { info() {}, warn() {}, error: (fields: object) => void logged.push(fields) };
  const { app, inference } = await gateway({ logger });
  inference.find = () => {
    throw new RangeError('boom');
  };
  const answer = await app.inject({ ...COMPLETION, payload: { prompt: 'a' } });
  expect([answer.statusCode, answer.json()]).toEqual([500, error('internal', 'internal_server_error')]);
  expect(logged).toMatchObject([{ route: '/v1/completions', code: 'INTERNAL' }]);
});

test('a sound request id is kept, another replaced, and errors carry it too', async () => {
  const { app, inference } = await gateway();
  const ask = (id: string, payload: object) => app.inject({ ...COMPLETION, headers: { 'x-request-id': id }, payload });
  const kept = await ask('req-1', { prompt: 'a' });
  expect(kept.headers['x-request-id']).toBe('req-1');
  expect(inference.calls[0]?.params.request_id).toBe('req-1');
  expect((await ask('req-2', {})).headers['x-request-id']).toBe('req-2');
  for (const bad of ['x'.repeat(129), 'a b']) {
    const { headers } = await ask(bad, { prompt: 'a' });
    expect(headers['x-request-id']).toMatch(/^[0-9a-z]{18,}$/);
  }
});
