/**
 * Training on real GPUs: tokens per second of a pipelined client beside a bare torch + PEFT loop, by turns; of two ranks beside one; and how long
 * after a step its weights are sampled from. Random weights in the shape of Qwen3-1.7B (`GPU_TEST_SHAPE`), LoRA of rank 32 in every linear layer.
 */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { randomModel } from '../../bench/lib/random-model.mjs';
import { train as trainAs } from '../../bench/lib/tinker-train.mjs';
import { FAKE_DEVICES, median, PYTHON, Report } from './lib/report.mjs';
import { serve } from './lib/server.mjs';
import { smiDevices } from './lib/smi.mjs';
import { LORA, learn, sample, tinkerAt } from './lib/tinker.mjs';

const LOOP = fileURLToPath(new URL('../../bench/peers/peft_loop.py', import.meta.url));
const SHAPE = process.env.GPU_TEST_SHAPE ?? 'qwen3-1.7b';
const [DATUMS, TOKENS] = (process.env.GPU_TEST_BATCH ?? '8x1024').split('x').map(Number);
const RANK = LORA.rank;
const ROUNDS = Number(process.env.GPU_TEST_ROUNDS ?? 3);
const HAND_OVERS = 12;
const report = new Report('gpu-training');
const model = randomModel(PYTHON, SHAPE);
const round = (value) => Math.round(value * 100) / 100;
const perStep = DATUMS * TOKENS;

async function train(port, datums = DATUMS) {
  const size = { datums, tokens: TOKENS, vocabulary: 3000, rank: RANK };
  const plan = { port, runs: 1, model: 'm', step: true, depth: 4, durationMs: 6000, warmMs: 3000, ...size };
  return (await trainAs(plan)).perSecond * datums * TOKENS;
}

function bareLoop(adapters) {
  const size = ['--datums', DATUMS, '--tokens', TOKENS, '--rank', RANK, '--cuda', adapters].map(String);
  const stdio = ['ignore', 'pipe', 'inherit'];
  return (
    Number(
      execFileSync(PYTHON, [LOOP, model.folder, '6', ...size], { encoding: 'utf8', stdio })
        .split('figures:')
        .at(-1),
    ) * perStep
  );
}

const server = (args) =>
  serve([model.folder, '--served-model-name', 'm', '--engine', 'transformers', '--max-model-len', '2048', ...args]);

/** Milliseconds from the end of a step to weights that can be sampled from, and to the first token of them. */
async function handOvers(url) {
  const client = tinkerAt(url);
  const run = await client.begin('m');
  const times = [];
  for (let at = 0; at < HAND_OVERS; at++) {
    await learn(run, { steps: 1, datums: 1, tokens: 64, learningRate: 1e-4 });
    const begun = performance.now();
    const sampler = await run.sampler();
    const ready = performance.now() - begun;
    await sample(client, sampler, 1);
    times.push({ readyMs: round(ready), firstTokenMs: round(performance.now() - begun) });
  }
  return times;
}

try {
  report.figure('parameters', model.parameters);
  report.figure('step', { datums: DATUMS, tokens: TOKENS, rank: RANK });
  await report.part('one rank', async () => {
    const rounds = [];
    for (let at = 0; at < ROUNDS; at++) {
      const bare = { autocast: bareLoop('float32'), bfloat16: bareLoop('bfloat16') };
      const one = await server(['--gpus', '0']);
      try {
        rounds.push({ ours: await train(one.port), ...bare });
        report.figure('one rank: rounds, tokens/s', rounds);
        if (at > 0) continue;
        const times = await handOvers(one.url);
        report.figure('new weights, ms', times);
        const later = times.slice(2);
        const medians = [
          median(later.map(({ readyMs }) => readyMs)),
          median(later.map(({ firstTokenMs }) => firstTokenMs)),
        ];
        report.check('a sampler has new weights within 300 ms', medians[0] <= 300, medians);
      } finally {
        await one.stop();
      }
    }
    const [ours, autocast, bfloat16] = ['ours', 'autocast', 'bfloat16'].map((side) =>
      median(rounds.map((one) => one[side])),
    );
    const row = { ours: Math.round(ours), autocast: Math.round(autocast), bfloat16: Math.round(bfloat16) };
    report.check('at least 0.95 of a bare loop', ours >= 0.95 * Math.max(autocast, bfloat16), {
      ...row,
      ratio: round(ours / Math.max(autocast, bfloat16)),
    });
  });
  if (FAKE_DEVICES === null && smiDevices().length > 1) {
    await report.part('two ranks', async () => {
      const rounds = [];
      for (let at = 0; at < ROUNDS; at++) {
        const figures = {};
        const one = await server(['--gpus', '0']);
        try {
          figures.one = await train(one.port);
        } finally {
          await one.stop();
        }
        const two = await server(['--gpus', '0-1', '-dp', '2']);
        try {
          figures.two = await train(two.port, 2 * DATUMS);
          figures.twoOfTheSameStep = await train(two.port);
        } finally {
          await two.stop();
        }
        rounds.push(figures);
        report.figure('two ranks: rounds, tokens/s', rounds);
      }
      const [one, two, same] = ['one', 'two', 'twoOfTheSameStep'].map((side) =>
        median(rounds.map((figures) => figures[side])),
      );
      report.check(
        'two ranks make at least 1.9 times the tokens of one, with as much of a step for each',
        two >= 1.9 * one,
        {
          one: Math.round(one),
          two: Math.round(two),
          ratio: round(two / one),
        },
      );
      // Half a step for each: less to do than a host needs to say what is to be done.
      report.figure('the same with the step of one rank', { two: Math.round(same), ratio: round(same / one) });
    });
  }
} finally {
  model[Symbol.dispose]();
}
report.end();
