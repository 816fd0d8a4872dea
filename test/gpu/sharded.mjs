/**
 * A base model that is spread over two GPUs (`--train-shard`) beside one that each has whole: the same losses and weights, memory and speed; then
 * through the gateway. Random weights in the shapes of Qwen3-1.7B and Qwen3-8B.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { randomModel } from '../../bench/lib/random-model.mjs';
import { PYTHON, Report } from './lib/report.mjs';
import { serve } from './lib/server.mjs';
import { smiDevices } from './lib/smi.mjs';
import { falls, learn, sample, tinkerAt } from './lib/tinker.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const report = new Report('gpu-sharded');

/** fsdp.py on both devices; what rank 0 printed. */
function compared(args) {
  const path = [here('../../python-workers'), process.env.PYTHONPATH].filter(Boolean).join(':');
  const launch = ['-m', 'torch.distributed.run', '--nproc-per-node', '2', here('fsdp.py'), ...args];
  const { stdout, stderr } = spawnSync(PYTHON, launch, {
    env: { ...process.env, PYTHONPATH: path },
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  const from = stdout.indexOf('{\n "good"');
  if (from < 0) throw new Error(`fsdp.py said no figures: ${stderr.slice(-1500)}`);
  return JSON.parse(stdout.slice(from));
}

const short = (value) => (typeof value === 'number' ? Math.round(value * 100) / 100 : value);
const figures = (side) => Object.fromEntries(Object.entries(side).map(([name, value]) => [name, short(value)]));

try {
  if (smiDevices().length < 2) throw new Error('this step wants two GPUs');
  for (const args of [
    ['--shape', '1.7b'],
    ['--shape', '1.7b', '--checkpoint'],
    ['--shape', '8b', '--checkpoint', '--steps', '3'],
  ]) {
    await report.part(args.join(' '), () => {
      const { good, ranks } = compared(args);
      for (const side of ['sharded', 'whole']) report.figure(`${args.join(' ')}: ${side}`, figures(ranks[0][side]));
      const [{ apart, noise }] = ranks;
      report.check(
        `${args.join(' ')}: spread it differs no more from whole than whole from itself, and goes on after an error of one rank`,
        good,
        { apart, noise },
      );
    });
  }
  await report.part('through the gateway', async () => {
    const model = randomModel(PYTHON, 'qwen3-1.7b');
    const flags = ['--served-model-name', 'm', '--engine', 'transformers', '--max-model-len', '2048'];
    const server = await serve([model.folder, ...flags, '--gpus', '0-1', '-dp', '2', '--train-shard']);
    try {
      const client = tinkerAt(server.url);
      const run = await client.begin('m');
      const losses = await learn(run, { steps: 4, datums: 8, tokens: 512 });
      report.check('the loss falls with every step', falls(losses), losses);
      const saved = await run.save('half-way');
      const further = await learn(run, { steps: 2, datums: 8, tokens: 512 });
      await run.load(saved);
      const again = await learn(run, { steps: 2, datums: 8, tokens: 512 });
      const apart = further.map((loss, at) => Math.abs(loss - again[at]) / loss);
      report.check('loaded again it goes the same way', Math.max(...apart) < 1e-3, { further, again });
      const tokens = await sample(client, await run.sampler(), 8);
      report.check('its weights are sampled from', tokens.length === 8, tokens);
    } finally {
      await server.stop();
      model[Symbol.dispose]();
    }
  });
} catch (error) {
  report.check('the step could begin', false, String(error));
}
report.end();
