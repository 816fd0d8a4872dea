/** Engine vllm through the CLI on CPUs: one process, two tensor-parallel ranks, two stages; Node's hot path and vLLM's own routes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEMO_MODEL } from '../../src/config/package-root.js';
import { createServer, type Server } from '../../src/index.js';
import { CliServer, runCli } from '../support/cli.js';
import { post } from '../support/http.js';
import { noisyTensors, writeNoisyCheckpoint } from '../support/noisy-checkpoint.js';

const ARGS = ['demo', '--engine', 'vllm', '--cpu', '--dtype', 'float32', '--max-model-len', '512'];
const STORY = [{ role: 'user' as const, content: 'Tell me a story about a fox.' }];
/** Greedy story of the model; every layout must tell the same. */
let story = '';
/** That of a second checkpoint. */
let other = '';
const folder = mkdtempSync(join(tmpdir(), 'twinkle-vllm-'));
const SECOND = writeNoisyCheckpoint(join(folder, 'second'), 1);
afterAll(() => rmSync(folder, { recursive: true }));

interface Rank {
  readonly rank: number;
  readonly pid: number;
}

async function tell(server: CliServer): Promise<string> {
  const { json, status, text } = await post(`${server.url}/v1/chat/completions`, { messages: STORY, temperature: 0 });
  expect(status, text).toBe(200);
  return json.choices[0].message.content;
}

async function replica(server: CliServer): Promise<{ epoch: number; ranks: Rank[] }> {
  const { stdout } = await runCli(['status', '--json'], { TWINKLE_HOME: server.home });
  return JSON.parse(stdout).models[0].replicas[0];
}

describe('one process', () => {
  let server: CliServer;
  let client: OpenAI;
  beforeAll(async () => {
    server = await CliServer.ready([...ARGS, '--override-generation-config', '{"temperature": 0}']);
    client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none' });
    story = await tell(server);
  }, 180_000);
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  it('streams what it answers at once, formatted here', async () => {
    expect(story).toContain('fox');
    const stream = await client.chat.completions.create({
      model: 'demo',
      messages: STORY,
      temperature: 0,
      stream: true,
    });
    let streamed = '';
    for await (const chunk of stream) streamed += chunk.choices[0]?.delta.content ?? '';
    expect(streamed).toBe(story);
  });

  it.each([
    ['a choice', { choice: ['maybe', 'never'] }, /^(maybe|never)$/],
    ['a regular expression', { regex: '[ab]{3}c' }, /^[ab]{3}c$/],
  ])('holds what it says to %s, by vLLM’s own handler', async (_what, structured_outputs, form) => {
    const body = { messages: STORY, temperature: 0, max_tokens: 40, structured_outputs };
    const { json, status, text } = await post(`${server.url}/v1/chat/completions`, body);
    expect(status, text).toBe(200);
    expect(json.choices[0].message.content).toMatch(form);
  });

  it('answers /v1/responses and Anthropic’s /v1/messages with the same words', async () => {
    const response = await client.responses.create({ model: 'demo', input: STORY[0]?.content ?? '', temperature: 0 });
    expect(response.output_text).toBe(story);
    const message = await post(
      `${server.url}/v1/messages`,
      { model: 'demo', max_tokens: 300, messages: STORY, temperature: 0, stream: true },
      { 'x-api-key': 'none', 'anthropic-version': '2023-06-01' },
    );
    expect(message.status).toBe(200);
    const data = message.text.split('\n').filter((line) => line.startsWith('data: '));
    const deltas = data.map((line) => JSON.parse(line.slice('data: '.length)));
    const said = deltas.map(({ delta }) => delta?.text ?? '').join('');
    expect(said).toBe(story);
  });

  it('takes what the model wants where a request says nothing, whoever formats the answer', async () => {
    const plain = await post(`${server.url}/v1/chat/completions`, { messages: STORY });
    expect(plain.json.choices[0].message.content).toBe(story);
    const own = await post(`${server.url}/v1/chat/completions`, {
      messages: STORY,
      spaces_between_special_tokens: false,
    });
    expect([own.status, own.json.choices?.[0].message.content], own.text).toEqual([200, story]);
    expect(plain.json.system_fingerprint).toMatch(/^vllm-/);
    expect(own.json.system_fingerprint).toBe(plain.json.system_fingerprint);
  });

  it('re-exports vLLM’s metrics beside its own', async () => {
    const page = await (await fetch(`${server.url}/metrics`)).text();
    expect(page).toMatch(/^vllm:generation_tokens_total\{model_name="demo",engine="0"\} [1-9]/m);
    expect(page.match(/^# TYPE vllm:generation_tokens(_total)? /gm)).toHaveLength(1);
  });

  it('refuses what is at fault and goes on', async () => {
    const bad = async (body: object): Promise<number> =>
      (await post(`${server.url}/v1/chat/completions`, { messages: STORY, ...body })).status;
    expect(await bad({ max_tokens: 5000 })).toBe(400);
    expect(
      await bad({ response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { type: 7 } } } }),
    ).toBe(400);
    expect(await bad({ structured_outputs: { grammar: 'root ::= (' } })).toBe(400);
    expect(await bad({ chat_template: '{{ nobody() }}' })).toBe(400);
    expect(await tell(server)).toBe(story);
  });

  it('takes new weights under load, and the old ones back', async () => {
    const told = new Set<string>();
    let over = false;
    const load = Array.from({ length: 4 }, async () => {
      while (!over) told.add(await tell(server));
    });
    const update = (path: string) => post(`${server.url}/update_weights`, { path });
    const updated = await update(SECOND);
    other = await tell(server);
    const refused = await update(folder);
    over = true;
    await Promise.all(load);
    expect([updated.status, updated.json]).toEqual([200, { status: 'updated', tensors: 46 }]);
    expect(other).not.toBe(story);
    // Each by one model from its first word to its last.
    expect([...told].filter((text) => text !== story && text !== other)).toEqual([]);
    expect([refused.status, refused.json.error.message]).toEqual([400, expect.stringContaining('has none')]);
    const { stdout } = await runCli(['status', '--json'], { TWINKLE_HOME: server.home });
    expect(JSON.parse(stdout).models[0].weights).toMatchObject({ source: expect.stringContaining('second') });
    expect((await update(DEMO_MODEL)).status).toBe(200);
    expect(await tell(server)).toBe(story);
  }, 60_000);
});

/** As {@link tell}, without HTTP. */
async function tellInside(server: Server): Promise<string> {
  let text = '';
  for await (const piece of server.generate({ messages: STORY, temperature: 0 })) text += piece.text;
  return text;
}

it('embedded, takes weights from shared memory, also at a later start', async () => {
  const home = join(folder, 'home');
  await using server = await createServer({
    ...{ home, model: 'demo', engine: 'vllm', cpu: true, maxModelLen: 512, tensorParallelSize: 2, listen: false },
    engineArgs: { dtype: 'float32' },
  });
  expect(await tellInside(server)).toBe(story);
  const store = server.tensorStore(16 << 20);
  const free = store.stats().freeBytes;
  const tensors = noisyTensors(1).map(({ data, dtype, name, shape }) => {
    const tensor = store.put(dtype, shape, data);
    return { name, tensor: tensor.handle, release: tensor.release };
  });
  const named = tensors.map(({ name, tensor }) => ({ name, tensor }));
  await expect(server.updateWeights({ tensors: named.slice(1), store })).rejects.toMatchObject({
    code: 'INVALID_REQUEST',
    message: expect.stringContaining(`tensor \`${named[0]?.name}\` is missing`),
  });
  expect(await tellInside(server)).toBe(story);
  await server.updateWeights({ tensors: named, store });
  expect(await tellInside(server)).toBe(other);
  // Whoever made them needs them no more; while they are current they stay.
  for (const { release } of tensors) release();
  expect(store.stats().freeBytes).toBeLessThan(free);
  process.kill(server.models()[0]?.replicas[0]?.ranks[1]?.pid ?? 0, 'SIGKILL');
  await expect.poll(() => server.models()[0]?.replicas[0]?.epoch, { timeout: 60_000 }).toBe(2);
  expect(await tellInside(server)).toBe(other);
  expect(server.models()[0]?.weights?.source).toBe('segments');
  await server.updateWeights({ folder: DEMO_MODEL });
  expect(await tellInside(server)).toBe(story);
  expect(store.stats().freeBytes).toBe(free);
}, 240_000);

describe.each([
  ['two tensor-parallel ranks', ['-tp', '2'], 2],
  ['two pipeline stages', ['-pp', '2'], 2],
  ['two pipeline stages of two tensor-parallel ranks', ['-tp', '2', '-pp', '2'], 4],
])('%s', (_name, layout, count) => {
  it('tell the same story, take new weights, die together when one is killed, and serve those again', async () => {
    await using server = await CliServer.ready([...ARGS, ...layout]);
    expect(await tell(server)).toBe(story);
    const before = await replica(server);
    expect(before.ranks).toHaveLength(count + 1); // the ranks and the engine process
    expect((await post(`${server.url}/update_weights`, { path: SECOND })).status).toBe(200);
    expect(await tell(server)).toBe(other);
    const stream = fetch(`${server.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: 'Once', stream: true, max_tokens: 480, ignore_eos: true }),
    });
    const reader = (await stream).body?.getReader();
    await reader?.read();
    process.kill(before.ranks[1]?.pid ?? 0, 'SIGKILL');
    let rest = '';
    for (let next = await reader?.read(); next?.done === false; next = await reader?.read()) {
      rest += Buffer.from(next.value).toString();
    }
    expect(rest).toContain('rank_failed');
    expect(rest).toContain('rank 1');
    expect(await tell(server)).toBe(other);
    const after = await replica(server);
    expect(after.epoch).toBe(before.epoch + 1);
    const old = new Set(before.ranks.map(({ pid }) => pid));
    expect(after.ranks.filter(({ pid }) => old.has(pid))).toEqual([]);
  }, 240_000);
});
