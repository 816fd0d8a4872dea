/** Kinds of models that the demo model is not, on engine vllm: embedding, scoring, classifying, seeing. Tiny ones, made here; one server. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { crc32, deflateSync } from 'node:zlib';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PACKAGE_ROOT } from '../../src/config/package-root.js';
import { CliServer } from '../support/cli.js';
import { type Answer, post } from '../support/http.js';
import { testPython } from '../support/pythons.js';

const TEXTS = ['the red fox runs', 'the owl sleeps'];
const QUERY = 'what is the fox';
const KINDS = ['embed', 'rerank', 'classify', 'vision'];

let folder: string;
let server: CliServer;
let plain: { embeddings: number[][]; scores: number[]; probs: number[][] };
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'twinkle-kinds-'));
  const python = await testPython('vllm');
  const run = promisify(execFile);
  const maker = join(PACKAGE_ROOT, 'python-workers', 'tests', 'vllm', 'tiny_models.py');
  await run(python, [maker, folder, ...KINDS]);
  const config = KINDS.map((kind) => ({
    model_loading_config: { model_id: kind, model_source: join(folder, kind) },
    llm_engine: 'vllm',
    engine_kwargs: { dtype: 'float32', ...(kind === 'vision' ? { allowed_media_domains: ['example.org'] } : {}) },
  }));
  writeFileSync(join(folder, 'serve.yaml'), JSON.stringify({ llm_configs: config }));
  const [started, { stdout }] = await Promise.all([
    CliServer.ready(['--config', join(folder, 'serve.yaml'), '--cpu']),
    run(python, [join(PACKAGE_ROOT, 'test', 'e2e', 'clients', 'plain_models.py'), folder]),
  ]);
  server = started;
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

/** A PNG of one colour as a data: URL. */
function image(...colour: [number, number, number]): string {
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
  const png = Buffer.concat([Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]), ...parts]);
  return `data:image/png;base64,${png.toString('base64')}`;
}

describe('a model that sees', () => {
  const see = (url: string): Promise<Answer> => {
    const content = [
      { type: 'image_url', image_url: { url } },
      { type: 'text', text: 'what is this' },
    ];
    const messages = [{ role: 'user', content }];
    return ask('/v1/chat/completions', { model: 'vision', messages, max_tokens: 8, temperature: 0, ignore_eos: true });
  };

  it('tells one image from another', async () => {
    const [red, blue, again] = [await see(image(255, 0, 0)), await see(image(0, 0, 255)), await see(image(255, 0, 0))];
    expect([red.status, red.json.usage.prompt_tokens], red.text).toEqual([200, 8]); // four of them the image's
    const said = ({ json }: Answer): string => json.choices[0].message.content;
    expect(said(red)).toMatch(/\w/);
    expect(said(blue)).not.toBe(said(red));
    expect(said(again)).toBe(said(red));
  });

  it.each([
    ['a file of the server', `file://${PACKAGE_ROOT}/package.json`, /allowed-local-media-path/],
    ['a domain that is not allowed', 'http://localhost:1/x.png', /allowed|domain/],
    ['what is no image', 'data:image/png;base64,AAAA', /image/],
    ['what is no URL', 'nonsense', /URL/],
  ])('refuses %s', async (_what, url, words) => {
    const { json, status, text } = await see(url);
    expect(status, text).toBe(400);
    expect(json.error.message).toMatch(words);
    expect((await see(image(1, 2, 3))).status).toBe(200);
  });
});
