import { expect, test } from 'vitest';
import { compile, gpus, type Wish } from './support.js';

const SHARD = { 'train-shard': true };
const refused = async (wish: Wish): Promise<string> => {
  try {
    await compile(wish);
    return 'nothing is wrong';
  } catch (error) {
    return (error as Error).message;
  }
};

test.each<[string, Wish]>([
  ['two ranks on CPUs', { flags: { ...SHARD, cpu: true, 'train-ranks': 2 } }],
  ['devices of its own', { flags: { ...SHARD, cpu: true, 'train-gpus': '0,1' }, report: gpus(2) }],
  ['the devices of two replicas', { flags: { ...SHARD, gpus: '0-1', 'data-parallel-size': 2 }, report: gpus(2) }],
])('has ranks to spread a model over: %s', async (_, wish) => {
  const { config } = await compile(wish);
  expect(config.training.shard).toBe(true);
});

test('one rank is refused, with what to do', async () => {
  const advice = 'set `--train-ranks 2`, or leave it out';
  expect(await refused({ flags: { ...SHARD, cpu: true } })).toContain(advice);
  expect(await refused({ yaml: 'train-shard: true\ncpu: true\n', flags: { 'train-ranks': 1 } })).toMatch(
    /^serve\.yaml:1.*for `train-shard`.*received 1/,
  );
  const gpuAdvice = 'name two GPUs or more with `--train-gpus`';
  expect(await refused({ flags: { ...SHARD, gpus: '0' }, report: gpus(1) })).toContain(gpuAdvice);
  expect(await refused({ flags: { ...SHARD, cpu: true, 'train-gpus': '0' }, report: gpus(1) })).toContain(gpuAdvice);
  const limited = { ...SHARD, cpu: true, 'train-gpus': '0-1', 'train-ranks': 1 };
  expect(await refused({ flags: limited, report: gpus(2) })).toContain(gpuAdvice);
});

test('models that nobody trains need no ranks', async () => {
  const { config } = await compile({
    engine: 'vllm',
    flags: { ...SHARD, model: 'org/name', gpus: '0' },
    report: gpus(1),
  });
  expect(config.training.shard).toBe(true);
});
