/** Operator routes: what they ask of all replicas, how they answer, and whom they let in. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import type { AuthConfig } from '../../../src/config/types.js';
import { TwinkleError } from '../../../src/errors.js';
import { startAdminServer } from '../../../src/gateway/admin/admin-server.js';
import { OPERATIONS } from '../../../src/gateway/operator/commands.js';
import { answered, FakeControl, silent } from './fake-control.js';
import { servedModel } from './fake-inference.js';
import { closeLater, gateway, NO_AUTH } from './harness.js';

const ANONYMOUS: AuthConfig = { mode: 'anonymous', keyHashes: [], generatedKey: null };
const KEYS: AuthConfig = {
  mode: 'keys',
  keyHashes: [createHash('sha256').update('tml-one').digest('hex')],
  generatedKey: null,
};

async function setUp(auth: AuthConfig = ANONYMOUS) {
  const control = new FakeControl();
  const { app, inference } = await gateway({ auth, control });
  const send = async (url: string, payload?: object, headers: Record<string, string> = {}) => {
    const answer = await app.inject({ method: 'POST', url, headers, ...(payload === undefined ? {} : { payload }) });
    return { status: answer.statusCode, body: answer.body === '' ? null : parse(answer.body), raw: answer };
  };
  return { app, control, inference, send };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const OK = [
  answered('demo/0', 200, { status: 'sleeping', level: 1 }),
  answered('demo/1', 200, { status: 'sleeping', level: 1 }),
];

describe('operations', () => {
  it('are passed on with their query, to the model that is named', async () => {
    const { control, send } = await setUp();
    control.answers = OK;
    expect(await send('/sleep?level=1&mode=wait&model=demo')).toMatchObject({
      status: 200,
      body: { status: 'sleeping', level: 1 },
    });
    await send('/wake_up?tags=weights&tags=kv_cache');
    await send('/start_profile', { profile_prefix: 'a', model: 'demo' });
    await send('/resume', { model: 'demo' });
    const command = (path: string, query: string, body = '') => ({ method: 'POST', path, query, body });
    expect(control.asked).toEqual([
      ['operate', 'demo', command('/sleep', 'level=1&mode=wait')],
      ['operate', null, command('/wake_up', 'tags=weights&tags=kv_cache')],
      ['operate', 'demo', command('/start_profile', '', '{"profile_prefix":"a"}')],
      ['operate', 'demo', command('/resume', '')],
    ]);
  });

  it('know their parameters', async () => {
    const { control, send } = await setUp();
    expect(await send('/sleep?levle=1')).toMatchObject({
      status: 400,
      body: {
        error: { code: 'unknown_field', param: 'levle', message: expect.stringContaining('did you mean `level`') },
      },
    });
    expect(await send('/resume?mode=keep')).toMatchObject({ status: 400 });
    expect(await send('/sleep', { level: 1 })).toMatchObject({
      status: 400,
      body: { error: { code: 'invalid_request' } },
    });
    expect(control.asked).toEqual([]);
  });

  it('an empty answer stays empty', async () => {
    const { send } = await setUp();
    expect(await send('/stop_profile')).toMatchObject({ status: 200, body: null });
  });

  it('where replicas differ, yes means all of them, and each is listed', async () => {
    const { app, control } = await setUp();
    control.answers = [answered('demo/0', 200, { is_sleeping: true }), answered('demo/1', 200, { is_sleeping: false })];
    expect((await app.inject('/is_sleeping')).json()).toEqual({
      is_sleeping: false,
      replicas: [
        { replica: 'demo/0', ok: true, status: 200, answer: { is_sleeping: true } },
        { replica: 'demo/1', ok: true, status: 200, answer: { is_sleeping: false } },
      ],
    });
  });

  it('what some did and some did not is an error that says who', async () => {
    const { control, send } = await setUp();
    control.answers = [
      OK[0] ?? answered('demo/0', 200, ''),
      answered('demo/1', 400, { error: 'no such mode' }),
      silent('demo/2', new TwinkleError('DEADLINE_EXCEEDED', 'not within 1 ms')),
    ];
    const { body, status } = await send('/sleep');
    expect(status).toBe(500);
    expect(body).toEqual({
      error: {
        message: '2 of 3 replicas did not do /sleep, the others did: demo/1: no such mode; demo/2: not within 1 ms',
        type: 'internal_server_error',
        param: null,
        code: 'engine_error',
      },
      replicas: [
        { replica: 'demo/0', ok: true, status: 200, answer: { status: 'sleeping', level: 1 } },
        { replica: 'demo/1', ok: false, status: 400, error: 'no such mode' },
        { replica: 'demo/2', ok: false, status: 504, error: 'not within 1 ms' },
      ],
    });
  });

  it('what all refuse alike is refused alike, in the engine’s words', async () => {
    const { control, send } = await setUp();
    control.answers = [answered('demo/0', 422, { detail: [{ msg: 'less than 2' }] })];
    expect(await send('/sleep?level=3')).toMatchObject({
      status: 422,
      body: { error: { code: 'invalid_request', message: expect.stringContaining('less than 2') } },
    });
    control.answers = [answered('demo/0', 404, { detail: 'Not Found' })];
    expect(await send('/start_profile')).toMatchObject({
      status: 404,
      body: { error: { code: 'route_not_found', message: expect.stringContaining('--profiler-config') } },
    });
    control.refusal = new TwinkleError('NOT_READY', 'no replica takes requests', { retryAfterMs: 1000 });
    expect(await send('/sleep')).toMatchObject({ status: 503, body: { error: { code: 'not_ready' } } });
  });
});

describe('weights', () => {
  it('are replaced from a folder, and every replica is heard', async () => {
    const { control, send } = await setUp();
    control.answers = ['demo/0', 'demo/1'].map((id) => answered(id, 200, { status: 'updated', tensors: 46 }));
    expect(await send('/update_weights', { path: '/a/7' })).toMatchObject({
      status: 200,
      body: { status: 'updated', tensors: 46 },
    });
    await send('/update_weights', { path: '~/7', mode: 'keep', model: 'demo' });
    expect(control.asked).toEqual([
      ['update', null, { source: { folder: '/a/7' }, mode: 'wait' }],
      ['update', 'demo', { source: { folder: '~/7' }, mode: 'keep' }],
    ]);
    control.answers = [
      answered('demo/0', 200, { status: 'updated', tensors: 46 }),
      answered('demo/1', 400, { error: { message: 'tensor `x` is missing' } }),
    ];
    expect(await send('/update_weights', { path: '/a/8' })).toMatchObject({
      status: 500,
      body: {
        error: { message: '1 of 2 replicas did not do /update_weights, the others did: tensor `x` is missing' },
        replicas: [{ ok: true }, { replica: 'demo/1', ok: false }],
      },
    });
  });

  it.each([
    [{}, 'path'],
    [{ path: '' }, 'path'],
    [{ path: '/a', mode: 'soon' }, 'mode'],
    [{ path: '/a', tensors: [] }, 'tensors'],
  ])('%j is refused for `%s`', async (payload, param) => {
    const { control, send } = await setUp();
    expect(await send('/update_weights', payload)).toMatchObject({ status: 400, body: { error: { param } } });
    expect(control.asked).toEqual([]);
  });

  it('are for operators only', async () => {
    const url = '/update_weights';
    const body = { path: '/a' };
    const keyed = await setUp(KEYS);
    expect((await keyed.send(url, body)).status).toBe(401);
    expect((await keyed.send(url, body, { authorization: 'Bearer tml-one' })).status).toBe(200);
    const anonymous = await setUp();
    expect((await anonymous.send(url, body, { origin: 'http://evil.example' })).status).toBe(401);
    const off = await setUp(NO_AUTH);
    expect((await off.send(url, body)).status).toBe(401);
    expect([...anonymous.control.asked, ...off.control.asked]).toEqual([]);
  });
});

describe('whom they let in', () => {
  const posts = OPERATIONS.filter(({ method }) => method === 'POST').map(({ path }) => path);

  it('with keys: whoever has one', async () => {
    const { control, send } = await setUp(KEYS);
    for (const path of [...posts, '/v1/load_lora_adapter', '/v1/unload_lora_adapter']) {
      expect((await send(path)).status).toBe(401);
      expect((await send(path, undefined, { authorization: 'Bearer tml-two' })).status).toBe(401);
    }
    expect(control.asked).toEqual([]);
    // A page that has the key is a program of who gave it the key.
    expect((await send('/sleep', undefined, { authorization: 'Bearer tml-one', origin: 'http://a' })).status).toBe(200);
  });

  it('on loopback without keys: programs, and no page in a browser', async () => {
    const { control, send } = await setUp();
    for (const path of posts) {
      expect((await send(path, undefined, { origin: 'http://evil.example' })).status).toBe(401);
      expect((await send(path, undefined, { 'sec-fetch-site': 'cross-site' })).status).toBe(401);
    }
    expect(control.asked).toEqual([]);
    for (const path of posts) expect((await send(path, undefined, { 'sec-fetch-site': 'none' })).status).toBe(200);
  });

  it('with --no-auth: nobody, but to look', async () => {
    const { app, control, send } = await setUp(NO_AUTH);
    for (const path of posts) expect((await send(path)).status).toBe(401);
    expect(control.asked).toEqual([]);
    control.answers = [answered('demo/0', 200, { is_paused: false })];
    expect((await app.inject('/is_paused')).json()).toEqual({ is_paused: false });
  });

  it('the admin socket: always', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'twinkle-admin-'));
    closeLater(async () => rmSync(folder, { recursive: true }));
    const control = new FakeControl();
    const admin = await startAdminServer({ socketPath: join(folder, 'a.sock'), status: () => ({}), control });
    closeLater(() => admin.close());
    control.answers = OK;
    const reply = await admin.inject({ method: 'POST', url: '/sleep?level=1' });
    expect([reply.statusCode, reply.json()]).toEqual([200, { status: 'sleeping', level: 1 }]);
    const wrong = await admin.inject({ method: 'POST', url: '/sleep?lvl=1' });
    expect([wrong.statusCode, wrong.json().error.code]).toEqual([400, 'unknown_field']);
    expect(control.asked).toHaveLength(1);
    const weights = (payload: object) => admin.inject({ method: 'POST', url: '/update_weights', payload });
    expect((await weights({ path: '/a' })).statusCode).toBe(200);
    const refused = await weights({ path: '/a', mode: 'soon' });
    expect([refused.statusCode, refused.json().error.param]).toEqual([400, 'mode']);
    expect(control.asked).toHaveLength(2);
  });

  it('without control there are no such routes', async () => {
    const { app } = await gateway();
    for (const url of ['/sleep', '/v1/load_lora_adapter']) {
      expect((await app.inject({ method: 'POST', url, payload: {} })).statusCode).toBe(404);
    }
  });
});

describe('adapters', () => {
  it('are loaded and unloaded by vLLM’s fields', async () => {
    const { control, send } = await setUp();
    const { status, body } = await send('/v1/load_lora_adapter', {
      lora_name: 'sql',
      lora_path: '/a/sql',
      load_inplace: true,
    });
    expect([status, body]).toEqual([200, "Success: LoRA adapter 'sql' added successfully."]);
    await send('/v1/load_lora_adapter', { lora_name: 'dyn', model: 'demo' });
    expect((await send('/v1/unload_lora_adapter', { lora_name: 'sql' })).status).toBe(200);
    expect(control.asked).toEqual([
      ['load', null, { name: 'sql', path: '/a/sql', inPlace: true, is3d: null }],
      ['load', 'demo', { name: 'dyn', path: null, inPlace: false, is3d: null }],
      ['unload', null, 'sql'],
    ]);
  });

  it.each([
    [{}, 'lora_name'],
    [{ lora_name: '' }, 'lora_name'],
    [{ lora_name: 'a', lora_path: 7 }, 'lora_path'],
    [{ lora_name: 'a', path: '/x' }, 'path'],
  ])('%j is refused for `%s`', async (payload, param) => {
    const { control, send } = await setUp();
    expect(await send('/v1/load_lora_adapter', payload)).toMatchObject({ status: 400, body: { error: { param } } });
    expect(control.asked).toEqual([]);
  });

  it('the engine’s words and status arrive', async () => {
    const { control, send } = await setUp();
    control.refusal = new TwinkleError('INVALID_REQUEST', 'no adapter there', {
      details: { status: 404 },
      param: 'lora_path',
    });
    expect(await send('/v1/load_lora_adapter', { lora_name: 'a' })).toMatchObject({
      status: 404,
      body: { error: { message: 'no adapter there', param: 'lora_path' } },
    });
  });

  it('are listed as vLLM lists them, and looked up by both names', async () => {
    const { app, inference } = await setUp();
    const adapter = { name: 'sql', path: '/a/sql', id: 1, pinned: true, inUse: 0 };
    inference.served = [servedModel({ names: ['demo'], adapters: [adapter] })];
    const entry = {
      id: 'sql',
      object: 'model',
      created: 1_760_000_000,
      owned_by: 'twinkle-node',
      root: '/a/sql',
      parent: 'demo',
      max_model_len: 512,
    };
    const list = async () => (await app.inject('/v1/models')).json().data;
    expect(await list()).toEqual([expect.objectContaining({ id: 'demo', parent: null }), entry]);
    expect((await app.inject('/v1/models/sql')).json()).toEqual(entry);
    expect((await app.inject('/v1/models/demo:sql')).json()).toEqual({ ...entry, id: 'demo:sql' });
    expect((await app.inject('/v1/models/demo:none')).statusCode).toBe(404);
    inference.served = ['demo', 'other'].map((name) => servedModel({ names: [name], adapters: [adapter] }));
    expect((await list()).map(({ id }: { id: string }) => id)).toEqual(['demo', 'other', 'demo:sql', 'other:sql']);
  });
});

test('startupz tells who sleeps, and whose weights are served', async () => {
  const { app, inference } = await setUp();
  inference.served = [servedModel({ held: 'sleeping', weights: { source: '/a/7', since: 1_760_000_000_500 } })];
  expect((await app.inject('/startupz')).json().models).toMatchObject([
    { model: 'demo', state: 'ready', held: 'sleeping', weights: { source: '/a/7', since: 1_760_000_000.5 } },
  ]);
});

test('metrics of the engines follow ours, and those that are missed are counted', async () => {
  const { app, control } = await setUp();
  const text =
    '# TYPE vllm:running gauge\nvllm:running{engine="0",model_name="demo"} 3\nprocess_resident_memory_bytes 1\n';
  control.pages = {
    pages: [0, 2].map((index) => ({ model: 'demo', index, text })),
    missed: [{ model: 'demo', replica: 'demo/1' }],
  };
  await app.inject('/metrics');
  const { body, headers } = await app.inject('/metrics');
  expect(headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(body).toContain(
    '# TYPE vllm:running gauge\nvllm:running{model_name="demo",engine="0"} 3\nvllm:running{model_name="demo",engine="2"} 3\n',
  );
  expect(body).toContain('twinkle_engine_metrics_missed_total{model="demo",replica="demo/1"} 2');
  expect(body.match(/^# TYPE process_resident_memory_bytes /gm)).toHaveLength(1);
  expect(body.match(/^process_resident_memory_bytes/gm)).toHaveLength(1);
});
