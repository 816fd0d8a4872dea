/** Several models behind one endpoint, and replicas that come and go with the load: real ranks of the mock engine, no request lost. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { LlmConfigInput } from '../../src/config/llm-config-types.js';
import { createServer, type Server } from '../../src/runtime/embed.js';
import { processesWithEnv } from '../../src/supervisor/proc.js';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'twinkle-scale-'));
});
afterEach(() => {
  rmSync(home, { recursive: true, force: true });
});

const start = (fake: string, ...llmConfigs: readonly LlmConfigInput[]): Promise<Server> =>
  createServer({ home, listen: false, llmConfigs, env: { ...process.env, TWINKLE_FAKE_DEVICES: fake } });

async function ask(server: Server, model: string, prompt: string, maxTokens = 20): Promise<string> {
  let text = '';
  for await (const piece of server.generate({ model, prompt, maxTokens })) text += piece.text;
  return text;
}

const environ = (pid: number | null | undefined): readonly string[] =>
  readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');

const SCALING: LlmConfigInput = {
  model_loading_config: { model_id: 'elastic' },
  llm_engine: 'mock',
  engine_kwargs: { step_ms: 10, max_num_seqs: 4 },
  placement_group_config: { bundle_per_worker: { GPU: 1 } },
  deployment_config: {
    autoscaling_config: {
      min_replicas: 1,
      max_replicas: 3,
      target_ongoing_requests: 2,
      look_back_period_s: 0.2,
      upscale_delay_s: 0.2,
      downscale_delay_s: 0.4,
    },
  },
};

const replicas = (server: Server, at = 0) => server.models()[at]?.replicas ?? [];

describe('replicas that follow the load', () => {
  it('come under load and go when it is over, and every request is answered as if there was one', async () => {
    await using server = await start('gpu:3', SCALING);
    expect(replicas(server).map(({ id }) => id)).toEqual(['elastic/0']);
    const alone = await ask(server, 'elastic', 'p0');
    const peaks: number[] = [];
    const asking = Array.from({ length: 60 }, async (_, at) => {
      const text = await ask(server, 'elastic', `p${at % 3}`, 20);
      peaks.push(replicas(server).filter(({ state }) => state === 'ready').length);
      return text;
    });
    await vi.waitUntil(() => replicas(server).filter(({ state }) => state === 'ready').length === 3, {
      timeout: 30_000,
    });
    const devices = replicas(server).flatMap(({ ranks }) => ranks.flatMap((rank) => rank.devices));
    expect(new Set(devices).size).toBe(3);
    const pids = replicas(server).flatMap(({ ranks }) => ranks.map(({ pid }) => pid as number));
    const texts = await Promise.all(asking);
    expect(texts.filter((_, at) => at % 3 === 0).every((text) => text === alone)).toBe(true);
    expect(texts.every((text) => text.split(' ').length === 20)).toBe(true);
    expect(Math.max(...peaks)).toBe(3);
    // A trickle goes on while the others leave: none of it is lost either.
    let over = false;
    const trickle = (async () => {
      let count = 0;
      for (; !over; count++) expect(await ask(server, 'elastic', 'p0', 20)).toBe(alone);
      return count;
    })();
    await vi.waitUntil(() => replicas(server).length === 1, { timeout: 30_000 });
    over = true;
    expect(await trickle).toBeGreaterThan(0);
    expect(server.models()[0]).toMatchObject({ state: 'ready', scale: { wanted: 1, min: 1, max: 3 } });
    const alive = new Set(processesWithEnv('TWINKLE_INSTANCE', server.status().instance));
    expect(pids.filter((pid) => alive.has(pid))).toHaveLength(1);
  });

  it('go to zero and come back for the next request', async () => {
    const config = SCALING.deployment_config?.autoscaling_config ?? {};
    await using server = await start('gpu:1', {
      ...SCALING,
      deployment_config: { autoscaling_config: { ...config, min_replicas: 0, max_replicas: 2, downscale_delay_s: 0 } },
    });
    expect(replicas(server)).toEqual([]);
    const first = await ask(server, 'elastic', 'hello');
    await vi.waitUntil(() => replicas(server).length === 0, { timeout: 30_000 });
    expect(await ask(server, 'elastic', 'hello')).toBe(first);
  });
});

describe('several models', () => {
  it('answer by their names, each with its own shape, places and variables', async () => {
    const plain = (id: string, more: Partial<LlmConfigInput> = {}): LlmConfigInput => ({
      model_loading_config: { model_id: id },
      llm_engine: 'mock',
      ...more,
    });
    await using server = await start(
      'gpu:4',
      plain('one', { runtime_env: { env_vars: { REGION: 'west', PYTHONPATH: '/extra' } } }),
      plain('two', {
        engine_kwargs: { tensor_parallel_size: 2, max_model_len: 64 },
        placement_group_config: { bundles: [{ GPU: 1 }, { GPU: 1 }], strategy: 'STRICT_PACK' },
        deployment_config: { num_replicas: 2, max_ongoing_requests: 3, ray_actor_options: { num_cpus: 0 } },
      }),
    );
    expect(server.models().map(({ names, replicas: all }) => [names[0], all.length, all[0]?.ranks.length])).toEqual([
      ['one', 1, 1],
      ['two', 2, 2],
    ]);
    const [one, two] = [replicas(server, 0)[0]?.ranks[0], replicas(server, 1)[0]?.ranks[0]];
    expect(environ(one?.pid)).toContain('REGION=west');
    expect(environ(one?.pid).find((line) => line.startsWith('PYTHONPATH='))).toMatch(/python-workers(:.*)?:\/extra$/);
    expect(environ(two?.pid).filter((line) => line.startsWith('REGION='))).toEqual([]);
    const devices = replicas(server, 1).flatMap(({ ranks }) => ranks.flatMap((rank) => rank.devices));
    expect(new Set(devices).size).toBe(4);
    expect(await ask(server, 'one', 'x')).toBe(await ask(server, 'two', 'x'));
    await expect(ask(server, 'two', 'x', 64)).rejects.toMatchObject({ code: 'CONTEXT_LENGTH_EXCEEDED' });
    await expect(ask(server, 'tow', 'x')).rejects.toThrow('did you mean `two`?');
    // Not more than that at a time on each of two replicas.
    const many = Array.from({ length: 12 }, () => ask(server, 'two', 'x', 5));
    expect(Math.max(...replicas(server, 1).map(({ inFlight }) => inFlight))).toBeLessThanOrEqual(3);
    await Promise.all(many);
  });
});
