/** Adapters in real ranks of the mock engine: those that requests name, and those that none can name. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { buildGateway } from '../../src/gateway/server.js';
import { SILENT } from '../../src/observability/logger.js';
import { Metrics } from '../../src/observability/metrics.js';
import { controlModel } from '../../src/runtime/control-model.js';
import { createServer } from '../../src/runtime/embed.js';
import { Fleet } from '../../src/runtime/fleet.js';
import { PlacedGang } from '../../src/runtime/placed-gang.js';
import { AdapterStore } from '../../src/serving/bucket/adapter-store.js';
import { BucketAdapters } from '../../src/serving/bucket/bucket-adapters.js';
import { ModelService } from '../../src/serving/model-service.js';
import { Replica } from '../../src/serving/replica.js';
import type { Gang } from '../../src/supervisor/gang.js';
import { GangKit, killProcess } from '../support/gang-kit.js';
import { generateParams } from '../support/generate-params.js';
import { modelConfig } from '../support/model-config.js';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'twinkle-adapters-'));
});
afterEach(() => {
  rmSync(home, { recursive: true, force: true });
});

/** A PEFT folder as far as the mock engine looks; other `weights` make other words. */
function adapterFolder(name: string, weights: string): string {
  const folder = join(home, name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'adapter_config.json'), '{"peft_type":"LORA","r":8}');
  writeFileSync(join(folder, 'adapter_model.safetensors'), weights);
  return folder;
}

const post = (url: string, path: string, body: object): Promise<Response> =>
  fetch(`${url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

const idsOf = async (url: string): Promise<string[]> => {
  const { data } = (await (await fetch(`${url}/v1/models`)).json()) as { data: { id: string }[] };
  return data.map(({ id }) => id);
};

describe('adapters that no request can name', () => {
  let kit: GangKit;
  let app: FastifyInstance;
  beforeEach(async () => {
    kit = await GangKit.make();
  });
  afterEach(async () => {
    await app.close();
    await kit[Symbol.asyncDispose]();
  });

  /** Two replicas, behind what a head puts before them. */
  async function start() {
    const config = modelConfig({ model: 'm', dataParallel: 2 });
    const gangs = [kit.gang({ step_ms: 2 }), kit.gang({ step_ms: 2 })];
    const placed = gangs.map((gang) => new PlacedGang(gang));
    const ids = gangs.map(({ spec }) => spec.id);
    const nowMs = (): number => performance.now();
    const buckets = new BucketAdapters(new AdapterStore(join(home, 'fetched')), { timeoutMs: null, tries: 1 });
    const control = controlModel(config, placed, ids, SILENT, buckets);
    const replicas = control.gangs.map((gang, at) => new Replica(ids[at] ?? '', gang, () => []));
    const service = new ModelService({ names: ['m'], created: 0, maxQueue: 100, nowMs }, replicas);
    const built = { config, gangs: placed, service, launcher: kit.direct(), trainer: null };
    const news = { progress() {}, failed() {}, recovered() {}, change() {} };
    const fleet = new Fleet([{ ...built, control: control.controlled(service) }], SILENT, nowMs, news);
    for (const gang of placed) gang.run([]);
    await Promise.all(gangs.map((gang) => kit.until(gang, 'ready')));
    app = await buildGateway({
      inference: fleet.inference,
      control: fleet.control,
      auth: { mode: 'off', keyHashes: [], generatedKey: null },
      http: { bodyLimit: 1_000_000 },
      version: '1',
      startedAt: Date.now(),
      phase: () => 'ready',
      logger: false,
      metrics: new Metrics(),
    });
    const url = await app.listen({ host: '127.0.0.1', port: 0 });
    return { gangs, opened: control.gangs, sampling: fleet.sampling, url };
  }

  type Started = Awaited<ReturnType<typeof start>>;

  /** A generation with those weights: when it has begun, and its words in the end. */
  function sample({ sampling }: Started, weights: { name: string; folder: string }, tokens: number) {
    let text = '';
    let began: () => void = () => {};
    const begun = new Promise<void>((resolve) => {
      began = resolve;
    });
    let abort: () => void = () => {};
    const words = new Promise<string[]>((resolve, reject) => {
      const sink = {
        delta: (delta: { text: string }) => {
          text += delta.text;
          began();
        },
        end: () => resolve(text.split(' ')),
        error: reject,
      };
      const generation = sampling.generateWith('m', weights, generateParams('go', tokens), sink, { tenant: 't' });
      abort = () => generation.abort();
    });
    return { begun, words, abort };
  }

  /** Whether a rank has it, by what it makes of a request that names it. */
  function isLoaded(gang: Gang, name: string): Promise<boolean> {
    return new Promise((resolve, reject) => {
      gang.lead?.open(
        'generate',
        { ...generateParams('go', 1), adapter: name },
        {
          item() {},
          end: () => resolve(true),
          error: (error) => (error.code === 'MODEL_NOT_FOUND' ? resolve(false) : reject(error)),
        },
      );
    });
  }

  const loadedOn = ({ gangs }: Started, name: string): Promise<boolean[]> =>
    Promise.all(gangs.map((gang) => isLoaded(gang, name)));

  it('are loaded by their first use, seen by nobody, told to a rank that was killed, replaced in place and forgotten', async () => {
    const started = await start();
    const { gangs, opened, sampling, url } = started;
    const saved = { name: 'tinker://run/sampler_weights/1', folder: adapterFolder('saved', 'one') };
    expect(await loadedOn(started, saved.name)).toEqual([false, false]);
    const first = await sample(started, saved, 200).words;
    expect(await loadedOn(started, saved.name)).toEqual([true, true]);

    const base = (await (await post(url, '/v1/completions', { model: 'm', prompt: 'go', max_tokens: 200 })).json()) as {
      choices: { text: string }[];
    };
    expect(base.choices[0]?.text.split(' ')).not.toEqual(first);
    expect(await idsOf(url)).toEqual(['m']);
    for (const model of [saved.name, `m:${saved.name}`]) {
      const answer = await post(url, '/v1/completions', { model, prompt: 'go' });
      expect([answer.status, await answer.text()]).toEqual([404, expect.stringContaining('does not exist')]);
      expect((await fetch(`${url}/v1/models/${encodeURIComponent(model)}`)).status).toBe(404);
    }
    const operators = { lora_name: saved.name, lora_path: adapterFolder('theirs', 'two'), load_inplace: true };
    expect((await post(url, '/v1/load_lora_adapter', operators)).status).toBe(400);
    expect((await post(url, '/v1/unload_lora_adapter', { lora_name: saved.name })).status).toBe(404);
    expect(await sample(started, saved, 200).words).toEqual(first);

    killProcess(gangs[0]?.pids[0], 'SIGKILL');
    await vi.waitUntil(() => gangs[0]?.epoch === 2 && opened[0]?.lead != null, { timeout: 20_000 });
    expect(await loadedOn(started, saved.name)).toEqual([true, true]);

    const second = { ...saved, folder: adapterFolder('second', 'three') };
    const running = sample(started, saved, 200);
    await running.begun;
    await sampling.replace('m', second);
    const both = await running.words;
    const then = await sample(started, second, 200).words;
    expect(then).not.toEqual(first);
    expect([both[0], both.at(-1)]).toEqual([first[0], then.at(-1)]);
    expect(both.every((word, at) => word === first[at] || word === then[at])).toBe(true);

    const last = sample(started, second, 200);
    await last.begun;
    let over = false;
    const gone = sampling.forget('m', saved.name).then(() => {
      expect(over).toBe(true);
    });
    expect(await last.words.finally(() => (over = true))).toEqual(then);
    await gone;
    expect(await loadedOn(started, saved.name)).toEqual([false, false]);
  });

  it('are kept up to 32, those in use longer; what an engine refuses fails its use alone', async () => {
    const started = await start();
    const { sampling } = started;
    const folder = adapterFolder('saved', 'one');
    const named = (at: number) => ({ name: `tinker://run/sampler_weights/${at}`, folder });
    const oldest = sample(started, named(0), 4000);
    await oldest.begun;
    for (let at = 1; at <= 32; at++) await sampling.prepare('m', named(at));
    await vi.waitUntil(async () => (await loadedOn(started, named(1).name)).every((loaded) => !loaded));
    expect(await loadedOn(started, named(0).name)).toEqual([true, true]);
    expect(await loadedOn(started, named(2).name)).toEqual([true, true]);
    oldest.abort();
    await sampling.prepare('m', named(33));
    await vi.waitUntil(async () => (await loadedOn(started, named(0).name)).every((loaded) => !loaded));

    const nowhere = { name: 'tinker://nowhere', folder: join(home, 'nowhere') };
    await expect(sample(started, nowhere, 5).words).rejects.toMatchObject({
      code: 'INVALID_REQUEST',
      message: expect.stringContaining('is no PEFT adapter'),
    });
    await sample(started, { ...nowhere, folder }, 5).words;
  });
});

it('a rehearsed lora_config loads adapters on first use, and operators load others', async () => {
  adapterFolder('dynamic/sql', 'one');
  await using server = await createServer({
    home,
    port: 0,
    noAuth: true,
    llmConfigs: [
      {
        model_loading_config: { model_id: 'm' },
        llm_engine: 'mock',
        lora_config: { dynamic_lora_loading_path: join(home, 'dynamic'), max_num_adapters_per_replica: 2 },
      },
    ],
  });
  const url = server.url ?? '';
  const text = async (model: string): Promise<string | undefined> => {
    const answer = await post(url, '/v1/completions', { model, prompt: 'go' });
    return ((await answer.json()) as { choices?: { text: string }[] }).choices?.[0]?.text;
  };
  const base = await text('m');
  const sql = await text('m:sql');
  expect(sql).not.toBe(base);
  expect(sql).toEqual(expect.any(String));
  expect(await text('m:other')).toBeUndefined();
  expect(await idsOf(url)).toEqual(['m', 'sql']);
  const bad = await post(url, '/v1/load_lora_adapter', { lora_name: 'bad', lora_path: home });
  expect([bad.status, await bad.text()]).toEqual([400, expect.stringContaining('adapter_config.json')]);
  const own = { lora_name: 'own', lora_path: adapterFolder('own', 'two') };
  expect((await post(url, '/v1/load_lora_adapter', own)).status).toBe(200);
  expect(await text('own')).not.toBe(sql);
  expect((await post(url, '/v1/unload_lora_adapter', { lora_name: 'own' })).status).toBe(200);
  expect(await text('own')).toBeUndefined();
});
