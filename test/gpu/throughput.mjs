/**
 * Tokens per second through the whole slice at 1, 16, 64 and 128 streams, beside transformers' bare generate on the same device.
 * One argument: `demo`, the built-in model, or `qwen3`, random weights in the shape of Qwen3-0.6B, made on the spot.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { load } from '../../bench/lib/load.mjs';
import { DEMO, randomModel } from '../../bench/lib/random-model.mjs';
import { gpu } from './lib/device-watch.mjs';
import { PYTHON, Report } from './lib/report.mjs';
import { serve } from './lib/server.mjs';

const TOKENS = 64;
const DTYPE = 'bfloat16';
const LEVELS = (process.env.GPU_TEST_STREAMS ?? '1 16 64 128').split(' ').map(Number);
const DURATION_MS = Number(process.env.GPU_TEST_DURATION_MS ?? 6000);
const DEVICE = process.env.GPU_TEST_ARGS?.split(' ') ?? ['--gpus', '0'];
const HERE = fileURLToPath(new URL('.', import.meta.url));
const MODEL = process.argv[2];
if (MODEL !== 'demo' && MODEL !== 'qwen3') throw new Error(`expected demo or qwen3 but received ${MODEL}`);
const report = new Report(`gpu-throughput-${MODEL}`);

const python = (script, ...args) =>
  execFileSync(PYTHON, [join(HERE, script), ...args.map(String)], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });

async function measure(folder, args) {
  let floor = {};
  await report.part('bare generate', () => {
    floor = JSON.parse(
      python('bare_generate.py', folder, DTYPE, TOKENS, ...LEVELS)
        .trim()
        .split('\n')
        .at(-1),
    );
  });
  const server = await serve([
    folder,
    '--served-model-name',
    'm',
    '--dtype',
    DTYPE,
    '--max-num-seqs',
    String(Math.max(...LEVELS)),
    ...DEVICE,
    ...args,
  ]);
  report.figure(`ready after, ms`, { readyMs: server.readyMs, phases: server.phases });
  try {
    const body = JSON.stringify({
      model: 'm',
      prompt: 'Once upon a time',
      stream: true,
      max_tokens: TOKENS,
      ignore_eos: true,
      temperature: 0,
    });
    const plan = { port: server.port, method: 'POST', path: '/v1/completions', body, sse: true };
    await load({ ...plan, connections: Math.max(...LEVELS), durationMs: 500 });
    const rows = [];
    for (const streams of LEVELS) {
      const result = await load({ ...plan, connections: streams, durationMs: DURATION_MS });
      // By requests, not chunks: a token whose text is not certain yet has no chunk of its own.
      const tokensPerSecond = (result.requests * TOKENS) / result.seconds;
      const bare = floor[streams] ?? null;
      rows.push({
        streams,
        tokensPerSecond: Math.round(tokensPerSecond),
        bareGenerate: bare === null ? null : Math.round(bare),
        ratio: bare === null ? null : Math.round((tokensPerSecond / bare) * 100) / 100,
        requests: result.requests,
        firstTokenP50Ms: Math.round(result.firstP50Ms * 10) / 10,
        firstTokenP99Ms: Math.round(result.firstP99Ms * 10) / 10,
        deviceMiB: Math.round((gpu()?.memoryUsedBytes ?? 0) / 2 ** 20),
      });
      console.log(JSON.stringify(rows.at(-1)));
    }
    report.figure(`tokens/s`, rows);
    const [first] = rows;
    report.check(
      `more streams are more tokens`,
      rows.at(-1).tokensPerSecond > first.tokensPerSecond * 5,
      rows.map((row) => row.tokensPerSecond),
    );
  } finally {
    await server.stop();
  }
}

report.figure('request', { prompt: 'Once upon a time', tokens: TOKENS, temperature: 0, durationMs: DURATION_MS });
if (MODEL === 'demo') await report.part('demo', () => measure(DEMO, []));
else {
  const model = randomModel(PYTHON, 'qwen3-0.6b');
  try {
    report.figure('parameters', model.parameters);
    await report.part('qwen3', () => measure(model.folder, ['--max-model-len', '1024']));
  } finally {
    model[Symbol.dispose]();
  }
}
report.end();
