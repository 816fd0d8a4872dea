/** Kinds of models that the demo model is not, on engine vllm: embedding, scoring, classifying, seeing, thinking. Made here; one server. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { crc32, deflateSync } from 'node:zlib';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PACKAGE_ROOT } from '../../src/config/package-root.js';
import { CliServer } from '../support/cli.js';
import { type Answer, EventReader, post } from '../support/http.js';
import { plainChats } from '../support/plain-vllm.js';
import { testPython } from '../support/pythons.js';

const TEXTS = ['the red fox runs', 'the owl sleeps'];
const QUERY = 'what is the fox';
const KINDS = ['embed', 'rerank', 'classify', 'vision'];
type Colour = readonly [red: number, green: number, blue: number];
const BLUE: Colour = [0, 0, 255];
const COLOURS: readonly Colour[] = [[255, 0, 0], BLUE, [9, 200, 90]];
const SEEING = { max_tokens: 8, temperature: 0, ignore_eos: true };

let folder: string;
let server: CliServer;
let plain: { embeddings: number[][]; scores: number[]; probs: number[][] };
/** Token ids with which plain vLLM answers about each of {@link COLOURS}. */
let seen: number[][];
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'twinkle-kinds-'));
  const python = await testPython('vllm');
  const run = promisify(execFile);
  const maker = join(PACKAGE_ROOT, 'python-workers', 'tests', 'vllm', 'tiny_models.py');
  await run(python, [maker, folder, ...KINDS]);
  await run(python, [
    join(PACKAGE_ROOT, 'python-workers', 'tests', 'vllm', 'thinking_model.py'),
    join(folder, 'thinks'),
  ]);
  mkdirSync(join(folder, 'images'));
  const own: Record<string, object> = {
    vision: { allowed_media_domains: ['example.org'], allowed_local_media_path: join(folder, 'images') },
    thinks: { reasoning_parser: 'deepseek_r1', max_model_len: 512 },
  };
  const config = [...KINDS, 'thinks'].map((kind) => ({
    model_loading_config: { model_id: kind, model_source: join(folder, kind) },
    llm_engine: 'vllm',
    engine_kwargs: { dtype: 'float32', ...own[kind] },
  }));
  writeFileSync(join(folder, 'serve.yaml'), JSON.stringify({ llm_configs: config }));
  const chats = COLOURS.map((colour) => looking(image(colour)));
  const sampling = chats.map(() => SEEING);
  const [started, tokens, { stdout }] = await Promise.all([
    CliServer.ready(['--config', join(folder, 'serve.yaml'), '--cpu']),
    plainChats({ model: join(folder, 'vision'), max_model_len: 64, chats, sampling }),
    run(python, [join(PACKAGE_ROOT, 'test', 'e2e', 'clients', 'plain_models.py'), folder]),
  ]);
  server = started;
  seen = tokens;
  plain = JSON.parse(stdout);
}, 240_000);
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const ask = (url: string, body: object): Promise<Answer> => post(`${server.url}${url}`, body);

function expectClose(seen: readonly number[], wanted: readonly number[] | undefined): void {
  expect(seen).toHaveLength(wanted?.length ?? -1);
  seen.forEach((value, at) => {
    expect(value).toBeCloseTo(wanted?.[at] ?? Number.NaN, 4);
  });
}

it('embeds as transformers does, in numbers and in base64, by OpenAI’s client', async () => {
  const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'any', maxRetries: 0 });
  // Without a format the client itself asks for base64.
  const packed = await client.embeddings.create({ model: 'embed', input: TEXTS });
  const plainly = await client.embeddings.create({ model: 'embed', input: TEXTS, encoding_format: 'float' });
  for (const { data } of [packed, plainly])
    data.forEach(({ embedding }, at) => {
      expectClose(embedding, plain.embeddings[at]);
    });
  const pooled = await ask('/pooling', { model: 'embed', input: TEXTS[0] });
  expectClose(pooled.json.data[0].data, plain.embeddings[0]);
});

it('scores and ranks as transformers does', async () => {
  const scored = await ask('/score', { model: 'rerank', text_1: QUERY, text_2: TEXTS });
  expectClose(
    scored.json.data.map(({ score }: { score: number }) => score),
    plain.scores,
  );
  for (const url of ['/rerank', '/v1/rerank', '/v2/rerank']) {
    const { results } = (await ask(url, { model: 'rerank', query: QUERY, documents: TEXTS })).json;
    const order = plain.scores[0] === Math.max(...plain.scores) ? [0, 1] : [1, 0];
    expect(results.map(({ index }: { index: number }) => index)).toEqual(order);
    expect(results[0].relevance_score).toBeCloseTo(Math.max(...plain.scores), 4);
  }
});

it('classifies as transformers does, with the names of the classes', async () => {
  const { data } = (await ask('/classify', { model: 'classify', input: TEXTS })).json;
  const names = ['animal', 'place', 'colour'];
  data.forEach(({ label, probs }: { label: string; probs: number[] }, at: number) => {
    expectClose(probs, plain.probs[at]);
    expect(label).toBe(names[probs.indexOf(Math.max(...probs))]);
  });
});

it.each([
  ['a chat with an embedding model', '/v1/chat/completions', { model: 'embed', messages: [] }, 404],
  ['a completion by one', '/v1/completions', { model: 'embed', prompt: 'x' }, 404],
  ['embeddings of a model that scores', '/v1/embeddings', { model: 'rerank', input: 'x' }, 404],
  ['a text over the context', '/v1/embeddings', { model: 'embed', input: 'the fox '.repeat(100) }, 400],
  ['ids of no vocabulary', '/v1/embeddings', { model: 'embed', input: [[1, 9999]] }, 400],
  ['dimensions that it has not', '/v1/embeddings', { model: 'embed', input: 'x', dimensions: 7 }, 400],
  ['lists that do not pair', '/score', { model: 'rerank', text_1: ['a', 'b'], text_2: ['a', 'b', 'c'] }, 400],
])('refuses %s', async (_what, url, body, status) => {
  const answer = await ask(url, body);
  expect(answer.status, answer.text).toBe(status);
  expect(answer.json.error.message).toMatch(/./);
});

/** A PNG of one colour. */
function png(...colour: readonly [number, number, number]): Buffer {
  const chunk = (kind: string, data: Uint8Array): Buffer => {
    const body = Buffer.concat([Buffer.from(kind), data]);
    const ends = Buffer.alloc(8);
    ends.writeUInt32BE(data.length, 0);
    ends.writeUInt32BE(crc32(body), 4);
    return Buffer.concat([ends.subarray(0, 4), body, ends.subarray(4)]);
  };
  const size = Buffer.from([0, 0, 0, 32, 0, 0, 0, 32, 8, 2, 0, 0, 0]);
  const row = [0, ...Array.from({ length: 32 }, () => colour).flat()];
  const rows = Buffer.from(Array.from({ length: 32 }, () => row).flat());
  const parts = [chunk('IHDR', size), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))];
  return Buffer.concat([Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]), ...parts]);
}

const image = (colour: Colour): string => `data:image/png;base64,${png(...colour).toString('base64')}`;

/** Messages that ask about an image. */
function looking(url: string): object[] {
  const content = [
    { type: 'image_url', image_url: { url } },
    { type: 'text', text: 'what is this' },
  ];
  return [{ role: 'user', content }];
}

describe('a model that sees', () => {
  const see = (url: string): Promise<Answer> =>
    ask('/v1/chat/completions', { model: 'vision', messages: looking(url), ...SEEING, return_token_ids: true });

  it('says token by token what plain vLLM says about each image', async () => {
    for (const [at, colour] of COLOURS.entries()) {
      const { json, status, text } = await see(image(colour));
      expect([status, json.usage.prompt_tokens], text).toEqual([200, 8]); // four of them the image's
      expect(json.choices[0].message.content).toMatch(/\w/);
      expect(json.choices[0].token_ids).toEqual(seen[at]);
    }
    expect(new Set(seen.map(String)).size).toBe(COLOURS.length);
  });

  it('reads an image below the folder that is allowed', async () => {
    const path = join(folder, 'images', 'of today', 'blue.png');
    mkdirSync(join(path, '..'));
    writeFileSync(path, png(...BLUE));
    const { json, status, text } = await see(pathToFileURL(path).href);
    expect(status, text).toBe(200);
    expect(json.choices[0].token_ids).toEqual(seen[1]);
  });

  const below = (name: string) => () => `file://${join(folder, 'images')}/${name}`;
  const outside = (): string => {
    writeFileSync(join(folder, 'secret.png'), png(1, 2, 3));
    return `file://${folder}/secret.png`;
  };
  const linked = (): string => {
    outside();
    symlinkSync(join(folder, 'secret.png'), join(folder, 'images', 'link.png'));
    return below('link.png')();
  };
  const noImage = (): string => {
    writeFileSync(join(folder, 'images', 'text.png'), 'a text');
    return below('text.png')();
  };
  it.each([
    ['a file beside the folder', outside, /subpath of .*--allowed-local-media-path/],
    ['a way out of it', () => `${below('..')()}/secret.png`, /subpath of .*--allowed-local-media-path/],
    ['a link out of it', linked, /subpath of .*--allowed-local-media-path/],
    ['a file that is not there', below('nowhere.png'), /nowhere\.png/],
    ['a file that is no image', noImage, /image/],
    ['a domain that is not allowed', () => 'http://localhost:1/x.png', /allowed|domain/],
    ['what is no image', () => 'data:image/png;base64,AAAA', /image/],
    ['what is no URL', () => 'nonsense', /URL/],
  ])('refuses %s', async (_what, url, words) => {
    const { json, status, text } = await see(url());
    expect(status, text).toBe(400);
    expect(json.error.message).toMatch(words);
    expect((await see(image([1, 2, 3]))).status).toBe(200);
  });
});

describe('a model that thinks', () => {
  const REASONING = ' upon a time, a curious fox';
  const CONTENT = ' Maple lived near Lantern Hill.';
  const body = {
    model: 'thinks',
    messages: [{ role: 'user', content: 'Tell me a story about a fox.' }],
    temperature: 0,
    max_tokens: 15,
  };

  it('answers with its reasoning apart, though the request is one that this server could format', async () => {
    const { json, status, text } = await ask('/v1/chat/completions', body);
    expect(status, text).toBe(200);
    expect(json.choices[0].message).toMatchObject({ reasoning: REASONING, content: CONTENT });
    expect(json.usage.completion_tokens).toBe(15);
  });

  it('streams its reasoning, then the answer', async () => {
    const stream = await EventReader.open(`${server.url}/v1/chat/completions`, body);
    const events = (await stream.all).slice(0, -1).map((event) => JSON.parse(event).choices[0].delta);
    expect(events.map(({ reasoning }) => reasoning ?? '').join('')).toBe(REASONING);
    expect(events.map(({ content }) => content ?? '').join('')).toBe(CONTENT);
  });

  it('leaves a completion as the model wrote it', async () => {
    const prompt = '<|im_start|>user\nTell me a story about a fox.<|im_end|>\n<|im_start|>assistant\n';
    const { json } = await ask('/v1/completions', { ...body, messages: undefined, prompt });
    expect(json.choices[0].text).toBe(`<think>${REASONING}</think>${CONTENT}`);
  });
});
