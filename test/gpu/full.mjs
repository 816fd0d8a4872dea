/**
 * All parameters of a model trained on one GPU (`--train-full`): it learns, goes on from a checkpoint, is parked and comes back, gives its memory
 * back, and leaves the base as it was for a run with an adapter. Random weights in the shape of Qwen3-1.7B (`GPU_TEST_SHAPE`).
 */
import { randomModel } from '../../bench/lib/random-model.mjs';
import { gpu, until } from './lib/device-watch.mjs';
import { PYTHON, Report } from './lib/report.mjs';
import { serve } from './lib/server.mjs';
import { FULL, falls, learn, tinkerAt } from './lib/tinker.mjs';

const BATCH = { datums: 8, tokens: 512 };
/** A full run moves every weight: a tenth of what an adapter takes. */
const RATE = 1e-4;
const report = new Report('gpu-full');
const model = randomModel(PYTHON, process.env.GPU_TEST_SHAPE ?? 'qwen3-1.7b');
const gigabytes = (bytes) => Math.round(bytes / 1e7) / 100;
const used = () => gigabytes(gpu().memoryUsedBytes);
const timed = async (what, work) => {
  const begun = performance.now();
  const value = await work();
  report.figure(`${what}, s`, Math.round(performance.now() - begun) / 1000);
  return value;
};
const far = (some, others) => Math.max(...some.map((loss, at) => Math.abs(loss - others[at]) / Math.abs(loss)));

try {
  await report.part('full', async () => {
    report.figure('parameters', model.parameters);
    const flags = ['--served-model-name', 'm', '--engine', 'transformers', '--max-model-len', '2048'];
    const server = await serve([model.folder, ...flags, '--gpus', '0', '--train-full']);
    try {
      const client = tinkerAt(server.url);
      const probe = await client.begin('m');
      const base = await probe.pass(BATCH.datums, BATCH.tokens);
      await probe.finish();
      const before = used();
      const run = await timed('create_model', () => client.begin('m', FULL));
      const first = await run.pass(BATCH.datums, BATCH.tokens);
      report.check('it begins as the base is', far([base], [first]) < 1e-3, { base, first });
      const losses = await learn(run, { ...BATCH, steps: 4, learningRate: RATE });
      report.check('the loss falls with every step', falls(losses), losses);
      report.figure('GB: sampler and base / with the run', [before, used()]);
      const seconds = performance.now();
      await learn(run, { ...BATCH, steps: 5, learningRate: RATE });
      report.figure(
        'tokens/s, one request at a time',
        Math.round((5 * BATCH.datums * BATCH.tokens) / ((performance.now() - seconds) / 1000)),
      );
      const saved = await timed('save_state', () => run.save('half-way'));
      const further = await learn(run, { ...BATCH, steps: 2, learningRate: RATE });
      await timed('load_state', () => run.load(saved));
      const again = await learn(run, { ...BATCH, steps: 2, learningRate: RATE });
      report.check('loaded again it goes the same way', far(further, again) < 1e-3, { further, again });
      await run.finish();
      // torch keeps what it freed for the next; the run's own is 16 bytes of a parameter.
      const { ms } = await until('its memory is free', () => used() < before + 2, 30_000);
      report.check('its memory is given back', true, { ms: Math.round(ms), before, after: used() });
      const adapter = await client.begin('m');
      const plain = await adapter.pass(BATCH.datums, BATCH.tokens);
      report.check('the base is what it was', far([base], [plain]) < 1e-3, { base, plain });
    } finally {
      await server.stop();
    }
  });
} finally {
  model[Symbol.dispose]();
}
report.end();
