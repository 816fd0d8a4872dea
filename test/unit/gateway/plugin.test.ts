/** The gateway inside a user's fastify: mounted twice, and the host none the wiser. */
import { fastify, type InjectOptions } from 'fastify';
import { expect, test } from 'vitest';
import { gatewayPlugin } from '../../../src/gateway/server.js';
import { FakeInference, servedModel } from './fake-inference.js';
import { closeLater, eventsOf, gatewayOptions } from './harness.js';

async function host() {
  const app = fastify();
  closeLater(() => app.close());
  app.setErrorHandler((error: Error, _request, reply) => reply.code(418).send({ host: error.message }));
  app.setNotFoundHandler((_request, reply) => reply.code(404).send({ host: 'nothing' }));
  app.addHook('onRequest', async (_request, reply) => {
    reply.header('x-host', 'yes');
  });
  app.post(
    '/own',
    { schema: { body: { type: 'object', properties: { n: { type: 'integer' } } } } },
    (request) => request.body,
  );
  app.get('/fails', () => {
    throw new Error('own');
  });
  const other = new FakeInference();
  other.served = [servedModel({ names: ['other'] })];
  await app.register(gatewayPlugin, { prefix: '/llm', ...gatewayOptions() });
  await app.register(gatewayPlugin, { prefix: '/two', ...gatewayOptions({ inference: other }) });
  return app;
}

test('both mounts answer under their prefix, with the host’s headers', async () => {
  const app = await host();
  const models = await Promise.all(['/llm/v1/models', '/two/v1/models'].map((url) => app.inject(url)));
  expect(models.map((answer) => answer.json().data[0].id)).toEqual(['demo', 'other']);
  const stream = await app.inject({
    method: 'POST',
    url: '/llm/v1/completions',
    payload: { prompt: 'a', stream: true, max_tokens: 1 },
  });
  expect(eventsOf(stream.body)).toHaveLength(2);
  expect(stream.headers['x-host']).toBe('yes');
  expect(Object.keys((await app.inject('/two/openapi.json')).json().paths)).toContain('/two/v1/completions');
});

test('errors below the prefix are OpenAI’s, errors of the host stay the host’s', async () => {
  const app = await host();
  const json = async (options: string | InjectOptions) => (await app.inject(options)).json();
  expect(await json('/llm/nothing')).toMatchObject({ error: { code: 'route_not_found' } });
  expect(await json({ method: 'POST', url: '/llm/v1/completions', payload: { prompt: 1 } })).toMatchObject({
    error: { param: 'prompt' },
  });
  expect(await json('/nothing')).toEqual({ host: 'nothing' });
  expect(await json('/fails')).toEqual({ host: 'own' });
});

test('parsers, coercion and decorators of the host are untouched', async () => {
  const app = await host();
  const coerced = await app.inject({ method: 'POST', url: '/own', payload: { n: '5' } });
  expect(coerced.json()).toEqual({ n: 5 });
  const text = await app.inject({
    method: 'POST',
    url: '/own',
    headers: { 'content-type': 'text/plain' },
    payload: 'x',
  });
  expect(text.json()).toMatchObject({ host: expect.stringContaining('body') });
  expect(app.hasDecorator('swagger')).toBe(false);
  expect(app.hasDecorator('twinkleOpenapi')).toBe(false);
});
