/** Two replicas of engine vllm: adapters from a bucket, stored responses, and under load kills and memory, in short. The long forms are in test/long. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, post, untilMetric } from '../support/http.js';
import { killRanks, leftBehind } from '../support/vllm-load/chaos.js';
import { LoadMix } from '../support/vllm-load/mix.js';
import { VllmLoraServer } from '../support/vllm-load/server.js';
import { describeCourse, soak } from '../support/vllm-load/soak.js';

let server: VllmLoraServer;
let mix: LoadMix;
beforeAll(async () => {
  server = await VllmLoraServer.start(3);
  mix = new LoadMix(server.url, 11);
  await mix.learn();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

it('adapters come from a bucket, at the start, on first use and by the route, each fetched once for both replicas', async () => {
  const ask = (model: string) => post(`${server.url}/v1/completions`, { model, prompt: 'Hello', max_tokens: 2 });
  const missing = await ask('nobody');
  expect(missing.status, missing.text).toBe(404);
  expect(missing.json.error).toMatchObject({ type: 'not_found_error', code: 'model_not_found' });
  const weights = server.s3.asked.filter((line) => line.endsWith('.safetensors')).sort();
  expect(weights).toEqual(['early', 'late'].map((name) => `GET loras/${name}/adapter_model.safetensors`));
  // Its place is that of `late`, which is not pinned, and the folder goes with it.
  const late = () => server.files().filter((path) => /adapters\/.*\/late-[^/]+$/.test(path));
  expect(late()).toHaveLength(1);
  const load = { lora_name: 'again', lora_path: 's3://bucket/loras/late' };
  const loaded = await post(`${server.url}/v1/load_lora_adapter`, load);
  expect(loaded.status, loaded.text).toBe(200);
  expect((await ask('again')).status).toBe(200);
  const models = (await (await fetch(`${server.url}/v1/models`)).json()) as { data: unknown[] };
  expect(models.data.at(-1)).toMatchObject({ id: 'again', root: 's3://bucket/loras/late' });
  expect((await post(`${server.url}/v1/unload_lora_adapter`, { lora_name: 'again' })).status).toBe(200);
  await expect.poll(late).toEqual([]);
  expect((await ask('late')).status).toBe(200);
  expect(late()).toHaveLength(1);
});

describe('stored responses', () => {
  const url = (path = ''): string => `${server.url}/v1/responses${path}`;
  const create = (body: object): Promise<Answer> => post(url(), { model: 'demo', temperature: 0, ...body });

  /** Answers that each replica has given by itself, by its number. */
  async function answered(): Promise<Record<string, number>> {
    const page = await (await fetch(`${server.url}/metrics`)).text();
    const lines = page.matchAll(/^vllm:request_success_total\{.*?engine="(\d)".*?\} (\S+)$/gm);
    const sums: Record<string, number> = {};
    for (const [, engine = '', value] of lines) sums[engine] = (sums[engine] ?? 0) + Number(value);
    return sums;
  }

  it('are read and continued at the replica that made them', async () => {
    const before = await answered();
    const inputs = ['Hello', 'What is the sun?', 'Count to ten.', 'Who are you?', 'Tell me a story about a fox.', 'Hi'];
    const made = await Promise.all(inputs.map((input) => create({ input, max_output_tokens: 16 })));
    for (const { status, text } of made) expect(status, text).toBe(200);
    const after = await answered();
    for (const engine of ['0', '1']) expect(after[engine]).toBeGreaterThan(before[engine] ?? 0);
    // Each twice: with replicas taking turns, one of the two would go to the wrong one.
    const twice = made.flatMap((one) => [one, one]);
    for (const { json } of twice) {
      const read = await fetch(url(`/${json.id}`));
      const response = await read.json();
      expect([read.status, response]).toEqual([200, expect.objectContaining({ id: json.id, status: json.status })]);
    }
    for (const { json } of twice) {
      const more = await create({ input: 'Go on.', previous_response_id: json.id, max_output_tokens: 4 });
      expect(more.status, more.text).toBe(200);
      // What was said before is part of its prompt.
      const { input_tokens, output_tokens } = json.usage;
      expect(more.json.usage.input_tokens).toBeGreaterThan(input_tokens + output_tokens);
    }
    const unknown = await create({ input: 'Go on.', previous_response_id: 'resp_unknown' });
    expect([unknown.status, (await fetch(url('/resp_unknown'))).status]).toEqual([404, 404]);
  });

  it('are cancelled where they run', async () => {
    const endless = { background: true, ignore_eos: true, max_output_tokens: 480 };
    const running = await Promise.all(['Hello', 'Count.', 'Hi', 'Sing.'].map((input) => create({ input, ...endless })));
    await untilMetric(server.url, 'vllm:num_requests_running', running.length);
    // In no order in which replicas that take turns would hit the right ones.
    for (const at of [0, 2, 1, 3]) {
      const { id } = running[at]?.json ?? {};
      const { json, status, text } = await post(url(`/${id}/cancel`), {});
      expect([status, json.id, json.status], text).toEqual([200, id, 'cancelled']);
    }
    await untilMetric(server.url, 'vllm:num_requests_running', 0);
  });
});

it('holds its memory and descriptors for some seconds', async () => {
  mix.start(4);
  const courses = await soak(server, mix, { warmUpMs: 3_000, forMs: 8_000, everyMs: 500 });
  expect(mix.tally.wrong).toEqual([]);
  for (const course of courses) {
    expect(course.samples.length, describeCourse(course)).toBeGreaterThan(5);
    const [first] = course.samples;
    expect((course.samples.at(-1)?.rssMb ?? 0) - (first?.rssMb ?? 0), describeCourse(course)).toBeLessThan(60);
    expect(course.moreDescriptors, describeCourse(course)).toBeLessThan(20);
  }
});

it('3 kills: no wrong answer, no silent cut, no hang, and nothing of dead epochs stays', async () => {
  const again = new LoadMix(server.url, 12);
  await again.learn();
  again.start(4);
  expect(await killRanks(server, again, { kills: 3, seed: 5, template: false })).toEqual([]);
  expect([...again.tally.byName.keys()].sort()).toEqual(['demo', 'demo:late', 'early', 'late']);
  expect(await leftBehind(server)).toEqual([]);
});
