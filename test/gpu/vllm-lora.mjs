/**
 * LoRA on real GPUs, two tensor-parallel ranks where there are two devices: base and adapters answer as plain vLLM does, side by side in one
 * batch, also after a rank was killed.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DEMO } from '../../bench/lib/random-model.mjs';
import { until } from './lib/device-watch.mjs';
import { QUESTIONS } from './lib/questions.mjs';
import { Report } from './lib/report.mjs';
import { serve } from './lib/server.mjs';
import { smiDevices } from './lib/smi.mjs';
import { python } from './lib/vllm-layouts.mjs';

const report = new Report('gpu-vllm-lora');
const folder = mkdtempSync(join(tmpdir(), 'twinkle-adapters-'));
const LAYOUT = smiDevices().length > 1 ? ['--gpus', '0-1', '-tp', '2'] : ['--gpus', '0'];

/** Greedy answers of all names to all questions, asked at once, each with the log-probability of its first token. */
async function answers(server) {
  const one = async (model, content) => {
    const messages = [{ role: 'user', content }];
    const body = { model, temperature: 0, max_tokens: 48, logprobs: true, messages };
    const { logprobs, message } = (await server.ask('/v1/chat/completions', body)).choices[0];
    return [message.content, logprobs.content[0].logprob];
  };
  const names = ['demo', 'first', 'second'];
  const all = await Promise.all(names.map((name) => Promise.all(QUESTIONS.map((content) => one(name, content)))));
  return Object.fromEntries(names.map((name, at) => [name, all[at]]));
}

/**
 * vLLM's kernels for adapters take 16 bits only, and random adapters leave the model undecided: over 48 tokens a sum in another order leads
 * elsewhere. The first token's log-probability does not depend on such a choice; this is far from what another adapter makes of it.
 */
const NEAR = 0.15;

const apart = (ours, plain) =>
  Object.entries(plain).map(([name, told]) => [
    name,
    Math.max(...told.map(([, logprob], at) => Math.abs(logprob - ours[name][at][1]))),
  ]);
const sameTexts = (ours, plain) => plain.filter(([text], at) => text === ours[at][0]).length;

try {
  await report.part('LoRA', async () => {
    const plain = python('make_adapter.py', DEMO, folder, JSON.stringify(QUESTIONS));
    report.figure('plain vLLM', plain);
    const args = [
      '--served-model-name',
      'demo',
      '--engine',
      'vllm',
      ...LAYOUT,
      '--dtype',
      'bfloat16',
      '--max-model-len',
      '1024',
    ];
    const more = ['--gpu-memory-utilization', '0.2', '--enforce-eager', '--enable-lora', '--max-loras', '2'];
    const server = await serve([DEMO, ...args, ...more, '--lora-modules', `first=${join(folder, 'first')}`]);
    try {
      await server.ask('/v1/load_lora_adapter', { lora_name: 'second', lora_path: join(folder, 'second') });
      const near = (distances) => distances.every(([, distance]) => distance <= NEAR);
      const ours = await answers(server);
      const before = apart(ours, plain);
      const others = plain.demo.filter(([text], at) => text === plain.first[at][0] || text === plain.second[at][0]);
      report.check('the adapters change every answer', others.length === 0, others);
      report.check(
        'answers without an adapter are those of plain vLLM',
        sameTexts(ours.demo, plain.demo) === plain.demo.length,
      );
      report.check('first tokens are as likely as to plain vLLM, by name', near(before), before);
      const swapped = apart({ ...ours, first: ours.second, second: ours.first }, plain);
      report.check('and are not under the other adapter', !near(swapped), swapped);
      const victim = server
        .status()
        .models[0].replicas[0].ranks.findLast(({ devices }) => devices.some((id) => id !== 'cpu'));
      process.kill(victim.pid, 'SIGKILL');
      await until('its memory is free', ({ processes }) => processes.every(({ pid }) => pid !== victim.pid), 10_000);
      const after = apart(await answers(server), plain);
      report.check(`after kill -9 of rank ${victim.rank}, too`, near(after), after);
    } finally {
      await server.stop();
    }
  });
} finally {
  rmSync(folder, { recursive: true, force: true });
}
report.end();
