/** Layouts of a replica over the GPUs that are there, and what the vLLM steps ask of a server. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { PYTHON } from './report.mjs';
import { smiDevices } from './smi.mjs';

const ALL = [
  { name: 'TP=1', gpus: 1, args: [] },
  { name: 'TP=2', gpus: 2, args: ['-tp', '2'] },
  { name: 'PP=2', gpus: 2, args: ['-pp', '2'] },
  { name: 'two replicas', gpus: 2, args: ['-dp', '2'] },
  { name: 'TP=2 × PP=2', gpus: 4, args: ['-tp', '2', '-pp', '2'] },
  { name: 'two replicas of TP=2', gpus: 4, args: ['-tp', '2', '-dp', '2'] },
];

/** Layouts that fit here, with the flags of `serve`; `GPU_TEST_LAYOUTS` has the names of those that are wanted, separated by commas. */
export function layouts() {
  const there = smiDevices().length;
  const wanted = process.env.GPU_TEST_LAYOUTS?.split(',') ?? null;
  return ALL.filter(({ name, gpus }) => gpus <= there && (wanted?.includes(name) ?? true)).map(
    ({ name, gpus, args }) => ({
      name,
      gpus,
      args: ['--engine', 'vllm', '--gpus', gpus === 1 ? '0' : `0-${gpus - 1}`, ...args],
    }),
  );
}

/** A script of this folder with the interpreter that has vLLM; its last line of output as JSON. */
export function python(script, ...args) {
  const path = fileURLToPath(new URL(`../${script}`, import.meta.url));
  const output = execFileSync(PYTHON, [path, ...args.map(String)], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 2 ** 26,
  });
  const line = output.split('\n').find((one) => one.startsWith('figures:'));
  if (line === undefined) throw new Error(`${script} printed no figures: ${output.slice(-2000)}`);
  return JSON.parse(line.slice('figures:'.length));
}
