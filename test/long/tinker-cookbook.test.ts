/** tinker-cookbook's recipes, unmodified, against the demo model: a local folder of weights, local data, no hub. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { DEMO_MODEL } from '../../src/config/package-root.js';
import { CliServer } from '../support/cli.js';
import { cookbookPython } from '../support/layered-python.js';

let home: string;
let server: CliServer;
beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'twinkle-cookbook-'));
  server = await CliServer.ready(['--cpu'], { TWINKLE_HOME: home });
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  rmSync(home, { recursive: true, force: true });
});

type Metrics = Readonly<Record<string, number>>;

/** Run a recipe to its end; the metrics of all steps in its log folder, which are more when it resumed. */
async function recipe(
  name: string,
  log: string,
  options: Readonly<Record<string, string | number>>,
): Promise<Metrics[]> {
  const folder = join(home, log);
  const all = { model_name: DEMO_MODEL, renderer_name: 'qwen3_instruct', log_path: folder, ...options };
  const args = Object.entries(all).map(([key, value]) => `${key}=${value}`);
  const env = { ...process.env, TINKER_BASE_URL: server.url, TINKER_API_KEY: 'tml-local', HF_HUB_OFFLINE: '1' };
  const how = { env, maxBuffer: 2 ** 26 };
  await promisify(execFile)(await cookbookPython(), ['-m', `tinker_cookbook.recipes.${name}`, ...args], how);
  const lines = readFileSync(join(folder, 'metrics.jsonl'), 'utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line) as Metrics);
}

const series = (steps: readonly Metrics[], name: string): number[] => steps.flatMap((step) => step[name] ?? []);
const mean = (numbers: readonly number[]): number => numbers.reduce((sum, one) => sum + one, 0) / numbers.length;

it('the supervised recipe learns conversations from a file, and resumes', async () => {
  const gates = { north: 'walnut', south: 'pepper', east: 'lantern', west: 'river' };
  const told = Object.entries(gates).map(([gate, word]) => {
    const content = `What is the code word of the ${gate} gate?`;
    const answer = `The code word of the ${gate} gate is ${word}.`;
    return JSON.stringify({
      messages: [
        { role: 'user', content },
        { role: 'assistant', content: answer },
      ],
    });
  });
  const dataset = join(home, 'gates.jsonl');
  writeFileSync(dataset, `${Array.from({ length: 16 }, () => told.join('\n')).join('\n')}\n`);
  const options = { dataset, batch_size: 8, max_length: 128, learning_rate: 3e-3, save_every: 4 };
  const begun = await recipe('chat_sl.train', 'supervised', { ...options, num_epochs: 1 });
  const resumed = await recipe('chat_sl.train', 'supervised', {
    ...options,
    num_epochs: 4,
    behavior_if_log_dir_exists: 'resume',
  });
  const losses = series(resumed, 'train_mean_nll');
  expect([begun.length, losses.length]).toEqual([8, 32]);
  // Resumed where it was: the first loss behind the checkpoint is about the last one before it.
  expect([(losses[0] ?? 0) > 6, (losses[8] ?? 9) < (losses[6] ?? 0), (losses.at(-1) ?? 9) < 1]).toEqual([
    true,
    true,
    true,
  ]);
});

it('the reinforcement learning recipe is rewarded more, step by step', async () => {
  const steps = await recipe('math_rl.train', 'reinforced', {
    env: 'arithmetic',
    loss_fn: 'importance_sampling',
    group_size: 8,
    groups_per_batch: 16,
    learning_rate: 2e-3,
    max_tokens: 12,
    max_steps: 14,
    eval_every: 0,
    save_every: 0,
  });
  // The sums are too large for the demo model; to end in time is what it can learn.
  const format = series(steps, 'env/all/format');
  expect(format).toHaveLength(14);
  expect(mean(format.slice(-3)) - mean(format.slice(0, 3))).toBeGreaterThan(0.2);
  expect(Math.max(...series(steps, 'optim/kl_sample_train_v1').map(Math.abs))).toBeLessThan(1e-4);
});

it.each([
  { loss_fn: 'ppo', max_steps_off_policy: 2 },
  { loss_fn: 'cispo', 'stream_minibatch_config.num_minibatches': 2, 'stream_minibatch_config.groups_per_batch': 8 },
])('the recipe runs with %o', async (options) => {
  const fixed = { env: 'arithmetic', group_size: 4, groups_per_batch: 8, learning_rate: 1e-3, max_tokens: 12 };
  const rest = { max_steps: 4, eval_every: 0, save_every: 2 };
  const steps = await recipe('math_rl.train', options.loss_fn, { ...fixed, ...rest, ...options });
  expect(series(steps, 'env/all/reward/total')).toHaveLength(4);
});
