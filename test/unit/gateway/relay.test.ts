/** Requests that the engine's own server answers: what it gets, and what the client gets of it. */
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { CARD, type FakeRelay, servedModel } from './fake-inference.js';
import { closeLater, eventsOf, gateway, listening } from './harness.js';
import { ask, CHAT, DEAD, engines, JSON_TYPE } from './relay-harness.js';

test('the body arrives as it was written, with few headers and no key', async () => {
  const payload = '{ "model":"demo", "seed": 12345678901234567890123, "n": 3, "new_field": 1.0 }';
  const { answer, relay } = await ask({
    url: '/v1/responses?verbose=1&model=x%20y',
    payload,
    headers: {
      'content-type': 'application/json; charset=utf-8',
      authorization: 'Bearer secret',
      cookie: 'a=b',
      'x-api-key': 'secret',
      'x-request-id': 'mine',
      'anthropic-version': '2023-06-01',
      'x-other': 'no',
    },
  });
  expect(relay.model).toBe('demo');
  expect(relay.width).toBe(3);
  expect(relay.params).toEqual({
    request_id: 'mine',
    method: 'POST',
    path: '/v1/responses',
    query: 'verbose=1&model=x%20y',
    headers: expect.any(Array),
    body: payload,
  });
  expect(Object.fromEntries(relay.params.headers)).toEqual({
    'x-request-id': 'mine',
    'content-type': 'application/json',
    'anthropic-version': '2023-06-01',
  });
  expect(answer.json()).toEqual({ ok: true });
  expect(answer.headers['x-request-id']).toBe('mine');
});

test('status and body are the engine’s, headers only those that tell of the body', async () => {
  const error = { error: { message: 'bad grammar', type: 'BadRequestError', param: null, code: 400 } };
  const { answer } = await ask({ url: '/v1/embeddings', payload: '{}' }, (relay) =>
    relay.answer(400, error, [
      ['set-cookie', 'a=b'],
      ['content-length', '3'],
      ['retry-after', '7'],
    ]),
  );
  expect([answer.statusCode, answer.json()]).toEqual([400, error]);
  expect(answer.headers['content-type']).toBe('application/json');
  expect([answer.headers['set-cookie'], answer.headers['retry-after']]).toEqual([undefined, '7']);
});

test('bytes stay bytes', async () => {
  const bytes = Buffer.from([0xff, 0, 0xc3, 0x28]);
  const { answer } = await ask({ url: '/v1/embeddings', payload: '{}' }, (relay) => {
    relay.part(bytes.subarray(0, 1), 200, [
      ['Content-Type', 'application/octet-stream'],
      ['metadata', '{}'],
    ]);
    relay.part(bytes.subarray(1));
    relay.finish();
  });
  expect(answer.rawPayload).toEqual(bytes);
  expect(answer.headers).toMatchObject({ 'content-type': 'application/octet-stream', metadata: '{}' });
});

test('events are written through, wherever they were cut', async () => {
  const { answer } = await ask({ url: CHAT, payload: '{"messages":[],"stream":true}' }, (relay) => {
    const text = Buffer.from('data: {"a":"é🙂"}\n\ndata: [DONE]\n\n');
    relay.events();
    relay.part(text.subarray(0, 13));
    relay.part(text.subarray(13));
    relay.finish();
  });
  expect(answer.headers['content-type']).toBe('text/event-stream; charset=utf-8');
  expect(eventsOf(answer.body)).toEqual([{ a: 'é🙂' }, '[DONE]']);
});

test('a GET goes with its id, HEAD as GET, an odd id nowhere', async () => {
  for (const method of ['GET', 'HEAD'] as const) {
    const { answer, relay } = await ask({ method, url: '/v1/responses/resp_1-a?stream=false' });
    expect(relay.params).toMatchObject({
      method: 'GET',
      path: '/v1/responses/resp_1-a',
      query: 'stream=false',
      body: '',
    });
    expect(Object.fromEntries(relay.params.headers)).toEqual({ 'x-request-id': relay.params.request_id });
    expect(answer.statusCode).toBe(200);
  }
  const { app, inference } = await gateway({ inference: engines() });
  const odd = await app.inject('/v1/responses/..%2F..%2Fpause');
  expect([odd.statusCode, odd.json().error.code, inference.relays.length]).toEqual([400, 'invalid_request', 0]);
});

test('a cancel needs no body, although clients say that it is JSON', async () => {
  const inference = engines({ routes: ['/v1/responses/{id}/cancel'] });
  const { app } = await gateway({ inference });
  const pending = app.inject({ method: 'POST', url: '/v1/responses/r1/cancel', headers: JSON_TYPE, payload: '' });
  (await inference.relayed()).answer(200, {});
  expect((await pending).statusCode).toBe(200);
  expect(inference.relays[0]?.params).toMatchObject({ path: '/v1/responses/r1/cancel', body: '' });
});

test('which model: the one that is named, else the only one that has the route', async () => {
  const inference = engines();
  const other = servedModel({ names: ['other'], card: { ...CARD, engine: 'transformers' } });
  inference.served = [other, ...inference.served];
  const { app } = await gateway({ inference });
  const pending = app.inject({ method: 'POST', url: '/v1/embeddings', payload: { input: 'a' } });
  (await inference.relayed()).answer(200, {});
  await pending;
  expect(inference.relays[0]?.model).toBe('demo');
  const post = (url: string, model: string) => app.inject({ method: 'POST', url, payload: { model } });
  const lacks = await post('/v1/responses', 'other');
  expect([lacks.statusCode, lacks.json().error]).toEqual([
    404,
    {
      message: 'engine transformers has no /v1/responses; serve the model with --engine vllm',
      type: 'not_found_error',
      param: null,
      code: 'route_not_found',
    },
  ]);
  expect((await post('/v1/score', 'demo')).json().error.message).toMatch(/engine vllm has no \/v1\/score; .*`demo`/);
  expect((await post('/v1/embeddings', 'none')).json().error.code).toBe('model_not_found');
  expect(inference.relays).toHaveLength(1);
});

test('a plain chat is formatted here, one with tools is relayed, and without routes refused', async () => {
  const inference = engines();
  const { app } = await gateway({ inference });
  const messages = [{ role: 'user', content: 'hi' }];
  const chat = (payload: object) => app.inject({ method: 'POST', url: CHAT, payload: { messages, ...payload } });
  expect((await chat({ max_tokens: 1 })).json().choices[0].message.content).toBe('w0.0');
  expect(inference.relays).toHaveLength(0);
  for (const [index, odd] of [{ tools: [{}] }, { thinking_token_budget: 3 }, { temperature: 'warm' }].entries()) {
    const pending = chat(odd);
    (await inference.relayed(index)).answer(200, { by: 'engine' });
    expect((await pending).json()).toEqual({ by: 'engine' });
    expect(JSON.parse(inference.relays[index]?.params.body ?? '')).toEqual({ messages, ...odd });
  }
  inference.served = [servedModel()];
  expect((await chat({ tools: [{}] })).json().error.code).toBe('unsupported_parameter');
  expect((await chat({ temperatur: 1 })).json().error.code).toBe('unknown_field');
  expect((await chat({ temperature: 'warm', model: 'none' })).json().error.code).toBe('invalid_request');
});

test('a model whose words must be parsed gets every chat', async () => {
  const inference = engines({ relay_chat: true });
  const { app } = await gateway({ inference });
  const pending = app.inject({ method: 'POST', url: CHAT, payload: { messages: [{ role: 'user', content: 'hi' }] } });
  (await inference.relayed()).answer(200, { by: 'engine' });
  expect((await pending).json()).toEqual({ by: 'engine' });
});

test('silence before the first part is broken by comments, and what comes then is still told', async () => {
  const { inference, url } = await listening({ inference: engines(), keepAliveMs: 20 });
  const wait = async (path: string, play: (relay: FakeRelay) => void) => {
    const index = inference.relays.length;
    // The head comes early and a comment after it, although the engine has said nothing.
    const answer = await fetch(`${url}${path}`, { method: 'POST', headers: JSON_TYPE, body: '{"stream":true}' });
    expect(answer.status).toBe(200);
    const parts = (answer.body as ReadableStream<Uint8Array>).getReader();
    const { value } = await parts.read();
    expect(Buffer.from(value as Uint8Array).toString()).toBe(': keep-alive\n\n');
    play(inference.relays[index] as FakeRelay);
    let text = '';
    for (let part = await parts.read(); !part.done; part = await parts.read())
      text += Buffer.from(part.value).toString();
    return text;
  };
  const good = await wait('/v1/responses', (relay) => {
    relay.events('data: {"a":1}\n\n');
    relay.finish();
  });
  expect(eventsOf(good)).toEqual([{ a: 1 }]);
  const bad = await wait('/v1/responses', (relay) => relay.answer(400, { error: { message: 'no' } }));
  expect(eventsOf(bad)).toEqual([{ error: { message: 'no' } }]);
  const anthropic = await wait('/v1/messages', (relay) => relay.fail(DEAD));
  expect(anthropic).toMatch(/event: error\ndata: \{"type":"error","error":\{"type":"api_error",/);
});

test('a client that leaves ends its request, and a slow one pauses it', async () => {
  const { inference, port } = await listening({ inference: engines() });
  const socket = connect(port, '127.0.0.1');
  closeLater(async () => void socket.destroy());
  socket.pause();
  socket.write(
    `POST /v1/responses HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n{"stream":true}`,
  );
  const relay = await inference.relayed();
  const event = `data: ${'x'.repeat(50_000)}\n\n`;
  relay.events(event);
  const pump = (): void => {
    if (relay.paused) return;
    relay.part(event);
    setImmediate(pump);
  };
  pump();
  await inference.until(() => relay.paused);
  socket.resume();
  await inference.until(() => !relay.paused);
  expect(relay.aborted).toBe(false);
  socket.destroy();
  await inference.until(() => relay.aborted);
});

test('the Anthropic SDK’s key header opens the route', async () => {
  const keyHashes = [createHash('sha256').update('tml-one').digest('hex')];
  const inference = engines();
  const { app } = await gateway({ inference, auth: { mode: 'keys', keyHashes, generatedKey: null } });
  const headers = { 'x-api-key': 'tml-one' };
  const pending = app.inject({ method: 'POST', url: '/v1/messages', headers, payload: {} });
  (await inference.relayed()).answer(200, {});
  expect((await pending).statusCode).toBe(200);
  expect(inference.relays[0]?.params.headers.map(([name]) => name)).not.toContain('x-api-key');
});

test('an error of the engine on Anthropic’s routes is Anthropic’s, in whichever form it came', async () => {
  const typed = { type: 'error', error: { type: 'BadRequestError', message: 'top_k is wrong' } };
  const openai = { error: { message: 'no max_tokens', type: 'Bad Request', param: 'body.max_tokens', code: 400 } };
  const asked = async (status: number, body: unknown) => {
    const { answer } = await ask({ url: '/v1/messages', payload: '{}' }, (relay) => relay.answer(status, body));
    return [answer.statusCode, answer.json()];
  };
  const invalid = (message: string) => ({ type: 'error', error: { type: 'invalid_request_error', message } });
  expect(await asked(400, typed)).toEqual([400, invalid('top_k is wrong')]);
  expect(await asked(400, openai)).toEqual([400, invalid('no max_tokens')]);
  expect(await asked(500, openai)).toEqual([
    500,
    { type: 'error', error: { type: 'api_error', message: 'no max_tokens' } },
  ]);
  expect(await asked(404, { detail: 'Not Found' })).toEqual([404, { detail: 'Not Found' }]);
  expect(await asked(200, typed)).toEqual([200, typed]);
});

test('a stored response is asked of the model that has it, whose name its path does not say', async () => {
  const inference = engines();
  inference.served = [...inference.served, ...engines().served.map((model) => ({ ...model, names: ['other'] }))];
  inference.homes.set('resp_1', 'other');
  const { app } = await gateway({ inference });
  const pending = app.inject('/v1/responses/resp_1');
  (await inference.relayed()).answer(200, {});
  expect((await pending).statusCode).toBe(200);
  expect(inference.relays[0]?.model).toBe('other');
});

test('a model that only pools is asked for no text', async () => {
  const inference = engines({ routes: ['/v1/embeddings'] });
  const { app } = await gateway({ inference });
  const payload = { messages: [{ role: 'user', content: 'x' }], prompt: 'x' };
  for (const url of [CHAT, '/v1/completions']) {
    const answer = await app.inject({ method: 'POST', url, payload });
    expect([answer.statusCode, answer.json().error.code]).toEqual([404, 'route_not_found']);
    expect(answer.json().error.message).toContain('does not offer it for the model `demo`');
  }
  expect(inference.calls).toEqual([]);
});
