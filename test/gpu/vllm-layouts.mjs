/**
 * Engine vllm on real GPUs: every layout that fits answers with the same greedy tokens, a rank that is killed under load takes the gang
 * with it, its memory comes back, and it serves again; LoRA adapters load and unload.
 */
import { DEMO } from '../../bench/lib/random-model.mjs';
import { pidsOnGpu, until } from './lib/device-watch.mjs';
import { QUESTIONS } from './lib/questions.mjs';
import { Report } from './lib/report.mjs';
import { serve } from './lib/server.mjs';
import { layouts } from './lib/vllm-layouts.mjs';

const MIB = 2 ** 20;
const SLACK = 600 * MIB;
const COMMON = ['--dtype', 'float32', '--max-model-len', '1024', '--gpu-memory-utilization', '0.2'];
if (process.env.GPU_TEST_EAGER === '1') COMMON.push('--enforce-eager');
const report = new Report('gpu-vllm-layouts');

const chat = (server, content, more = {}) =>
  server.ask('/v1/chat/completions', {
    model: 'demo',
    temperature: 0,
    max_tokens: 48,
    messages: [{ role: 'user', content }],
    ...more,
  });

async function answers(server) {
  const texts = await Promise.all(QUESTIONS.map((content) => chat(server, content)));
  return texts.map(({ choices }) => choices[0].message.content);
}

/** A long stream whose first bytes have come; `rest` reads it to its end. */
async function begun(server, prompt) {
  const response = await fetch(`${server.url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'demo', prompt, stream: true, max_tokens: 900, ignore_eos: true }),
  });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let { value: text } = await reader.read();
  return {
    async rest() {
      for (let next = await reader.read(); !next.done; next = await reader.read()) text += next.value;
      return text;
    },
  };
}

async function killRank(server, name) {
  const before = server.status().models[0].replicas[0];
  const victim = before.ranks.findLast(({ devices }) => devices.some((id) => id !== 'cpu'));
  const streams = await Promise.all(Array.from({ length: 32 }, (_, at) => begun(server, `Once ${at}`)));
  const killed = performance.now();
  process.kill(victim.pid, 'SIGKILL');
  const pids = new Set(before.ranks.map(({ pid }) => pid));
  const free = await until(
    'no process of the gang is on a device',
    ({ processes }) => processes.every(({ pid }) => !pids.has(pid)),
    10_000,
  );
  report.check(`${name}: kill -9 of rank ${victim.rank}: its memory is free within 5 s`, free.ms < 5000, {
    freeAfterMs: Math.round(free.ms),
    leastMiB: Math.round(free.leastBytes / MIB),
  });
  const cut = (await Promise.all(streams.map(({ rest }) => rest()))).filter((text) => text.includes('rank_failed'));
  report.check(`${name}: streams that ran end with the rank's name`, cut.length > 0, cut[0]?.slice(-300) ?? null);
  const again = await answers(server);
  report.figure(`${name}: kill to eight answers again, ms`, Math.round(performance.now() - killed));
  return again;
}

let first = null;
for (const { name, args } of layouts()) {
  await report.part(name, async () => {
    const server = await serve([DEMO, '--served-model-name', 'demo', ...args, ...COMMON]);
    report.figure(`${name}: ready after, ms`, { readyMs: server.readyMs, phases: server.phases.slice(-8) });
    try {
      const texts = await answers(server);
      first ??= texts;
      const other = texts.flatMap((text, at) => (text === first[at] ? [] : [[first[at], text]]));
      report.check(`${name}: greedy answers are those of TP=1`, other.length === 0, {
        same: texts.length - other.length,
        of: texts.length,
        other,
      });
      const ranks = server.status().models[0].replicas.flatMap((replica) => replica.ranks);
      report.figure(`${name}: ranks`, ranks);
      const again = await killRank(server, name);
      report.check(
        `${name}: the answers after the restart are the same`,
        JSON.stringify(again) === JSON.stringify(texts),
      );
    } finally {
      await server.stop();
    }
    const left = await until('every device is free', () => pidsOnGpu().length === 0, 10_000);
    report.check(`${name}: nothing is left after the stop`, left.device.memoryUsedBytes < SLACK, {
      usedMiB: Math.round(left.device.memoryUsedBytes / MIB),
      afterMs: Math.round(left.ms),
    });
  });
}
report.figure('answers of TP=1', first);
report.end();
