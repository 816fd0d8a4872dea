/**
 * Tokens per second of our executor beside vLLM's own in the same layout, the engine in its own process in both, alternating: medians.
 * `GPU_TEST_ROUNDS` (default 5), `GPU_TEST_STREAMS` (default `1 16 128`). Random weights in the shape of Qwen3-0.6B.
 */
import { randomModel } from '../../bench/lib/random-model.mjs';
import { median, PYTHON, Report } from './lib/report.mjs';
import { measure } from './lib/vllm-head.mjs';
import { layouts, python } from './lib/vllm-layouts.mjs';

const TOKENS = 128;
const LEVELS = (process.env.GPU_TEST_STREAMS ?? '1 16 128').split(' ').map(Number);
const REPETITIONS = 5;
const ROUNDS = Number(process.env.GPU_TEST_ROUNDS ?? 5);
const report = new Report('gpu-vllm-speed');
const model = randomModel(PYTHON, 'qwen3-0.6b');

try {
  report.figure('parameters', model.parameters);
  for (const { name, args, gpus } of layouts()) {
    if (args.includes('-dp')) continue;
    await report.part(name, async () => {
      const [tensor, pipeline] = [args.includes('-tp') ? gpus : 1, args.includes('-pp') ? gpus : 1];
      const rounds = [];
      for (let round = 0; round < ROUNDS; round++) {
        const ours = await measure(model.folder, {
          gpus,
          tensor,
          pipeline,
          tokens: TOKENS,
          levels: LEVELS,
          repetitions: REPETITIONS,
        });
        const theirs = python('vllm_executor.py', model.folder, tensor, pipeline, TOKENS, REPETITIONS, ...LEVELS);
        rounds.push({ ours, theirs });
        report.figure(`${name}: rounds`, rounds);
      }
      const rows = LEVELS.map((sequences) => {
        const ours = median(rounds.map((round) => round.ours[sequences]));
        const theirs = median(rounds.map((round) => round.theirs[sequences]));
        return {
          sequences,
          ours: Math.round(ours),
          vllm: Math.round(theirs),
          ratio: Math.round((ours / theirs) * 100) / 100,
        };
      });
      report.figure(`${name}: tokens/s, medians of ${ROUNDS}`, rows);
      report.check(
        `${name}: at least as fast as vLLM's own executor`,
        rows.every(({ ratio }) => ratio >= 1),
        rows,
      );
    });
  }
} finally {
  model[Symbol.dispose]();
}
report.end();
