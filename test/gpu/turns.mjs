/**
 * Sampler and trainer take turns on one GPU (`--sleep-while-training`, engine vllm): whose memory it is, requests of both at once, `kill -9` of
 * either in either turn.
 */

import { DEMO } from '../../bench/lib/random-model.mjs';
import { eventually } from './lib/box.mjs';
import { gpu } from './lib/device-watch.mjs';
import { QUESTIONS } from './lib/questions.mjs';
import { Report } from './lib/report.mjs';
import { serve } from './lib/server.mjs';
import { falls, learn, sample, tinkerAt } from './lib/tinker.mjs';

const report = new Report('gpu-turns');
const VLLM = [
  '--served-model-name',
  'm',
  '--engine',
  'vllm',
  '--gpus',
  '0',
  '--max-model-len',
  '1024',
  '--enforce-eager',
];
const LORA = ['--enable-lora', '--max-lora-rank', '32'];
const gigabytes = () => Math.round(gpu().memoryUsedBytes / 1e7) / 100;
const BATCH = { steps: 3, datums: 4, tokens: 64 };

/** Whose turn it is, as `status` says it. */
const turnOf = (server) => server.status().devices.find(({ training }) => training.length > 0)?.turn;

const turnsTo = (server, holder) => eventually(`${holder} has its turn`, () => turnOf(server) === holder, 60_000);

/** Answers to all questions, one after another, until told to stop; each must be the one that it was at first. */
function questions(server, right) {
  let over = false;
  let count = 0;
  const wrong = [];
  const done = (async () => {
    for (let at = 0; !over; at++) {
      const question = QUESTIONS[at % QUESTIONS.length];
      const text = await answer(server, question);
      count += 1;
      if (text !== right.get(question)) wrong.push({ question, text, right: right.get(question) });
    }
  })();
  return {
    async stop() {
      over = true;
      await done;
      return { count, wrong };
    },
  };
}

async function answer(server, content) {
  const body = { model: 'm', temperature: 0, max_tokens: 32, messages: [{ role: 'user', content }] };
  return (await server.ask('/v1/chat/completions', body)).choices[0].message.content;
}

await report.part('turns', async () => {
  const server = await serve([DEMO, ...VLLM, ...LORA, '--gpu-memory-utilization', '0.7', '--sleep-while-training']);
  try {
    const right = new Map();
    for (const question of QUESTIONS) right.set(question, await answer(server, question));
    const awake = gigabytes();
    const client = tinkerAt(server.url);
    const run = await client.begin('m');
    const first = await run.pass(BATCH.datums, BATCH.tokens);
    await run.step(1e-3);
    const held = gigabytes();
    report.check('while it is trained, the sampler has left its memory', held < awake / 4, { awake, held });
    const asking = questions(server, right);
    const losses = [];
    const samples = [];
    for (let round = 0; round < 4; round++) {
      losses.push(...(await learn(run, BATCH)));
      samples.push((await sample(client, await run.sampler(), 8)).length);
    }
    const { count, wrong } = await asking.stop();
    report.check('it learns while others ask', falls([first, ...losses]), [first, ...losses]);
    report.check(
      'each sampler has its weights',
      samples.every((length) => length > 0),
      samples,
    );
    report.check('every answer is whole and right', count > 0 && wrong.length === 0, {
      count,
      wrong: wrong.slice(0, 2),
    });
    for (const holder of ['sampling', 'training']) {
      for (const victim of ['the rank that samples', 'the rank that trains'])
        await killed(server, client, right, holder, victim);
    }
  } finally {
    await server.stop();
  }
});

/** kill -9 of a rank in somebody's turn, both asking on; then both work. */
async function killed(server, client, right, holder, victim) {
  await report.part(`kill -9 of ${victim} while ${holder}`, async () => {
    const run = await client.begin('m');
    const asking = holder === 'sampling' ? questions(server, right) : null;
    const training =
      holder === 'training'
        ? learn(run, { ...BATCH, steps: 40 }).then(
            () => 'whole',
            (error) => String(error).slice(0, 200),
          )
        : null;
    let told = null;
    let good = false;
    let trained = null;
    const begun = performance.now();
    try {
      await turnsTo(server, holder);
      const { models, training: trainers } = server.status();
      const pid = victim === 'the rank that samples' ? models[0].replicas[0].ranks[0].pid : trainers[0].pids[0];
      process.kill(pid, 'SIGKILL');
      trained = await training;
      const fresh = await client.begin('m');
      const losses = await learn(fresh, BATCH);
      const tokens = await sample(client, await fresh.sampler(), 8);
      good = falls(losses) && tokens.length > 0 && (await answer(server, QUESTIONS[0])) === right.get(QUESTIONS[0]);
    } finally {
      if (asking !== null) told = await asking.stop();
    }
    const seconds = Math.round((performance.now() - begun) / 100) / 10;
    const whole = good && (told?.wrong.length ?? 0) === 0;
    report.check(`both work after kill -9 of ${victim} while ${holder}`, whole, { seconds, trained, told });
  });
}

report.end();
