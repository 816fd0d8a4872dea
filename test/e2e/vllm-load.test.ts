/** Engine vllm under load with adapters from a bucket: kills and memory, in short. The long forms are in test/long. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { post } from '../support/http.js';
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
  const late = () => server.files().filter((path) => /adapters\/[^/]+\/late-[^/]+$/.test(path));
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
