import { expect, test } from 'vitest';
import { compile, gpus, type Wish } from './support.js';

const VLLM: Wish = {
  engine: 'vllm',
  flags: { model: 'org/name', gpus: '0', 'sleep-while-training': true },
  engineArgs: [{ name: 'enable-lora', value: true, where: '--enable-lora' }],
  report: gpus(2),
};
const refused = async (wish: Wish): Promise<string> => {
  try {
    await compile(wish);
    return 'nothing is wrong';
  } catch (error) {
    return (error as Error).message;
  }
};

test('has vLLM start with its sleep mode, and only then', async () => {
  const { config } = await compile(VLLM);
  expect(config.training.sleepWhileTraining).toBe(true);
  expect(config.models[0]?.engineArgs).toMatchObject({ enable_lora: true, enable_sleep_mode: true });
  const off = await compile({ ...VLLM, flags: { ...VLLM.flags, 'sleep-while-training': false } });
  expect(off.config.training.sleepWhileTraining).toBe(false);
  expect(off.config.models[0]?.engineArgs).not.toHaveProperty('enable_sleep_mode');
});

test('the mock engine sleeps, too', async () => {
  const { config } = await compile({ flags: { 'sleep-while-training': true } });
  expect(config.models[0]?.engineArgs).toEqual({ sleep_ms: 0 });
});

test('is refused where there are no turns to take', async () => {
  const flags = VLLM.flags ?? {};
  expect(await refused({ ...VLLM, flags: { ...flags, 'train-gpus': '1' } })).toContain('`--train-gpus`');
  expect(await refused({ ...VLLM, flags: { ...flags, 'train-full': true } })).toContain('`--train-full`');
  expect(await refused({ ...VLLM, flags: { model: 'org/name', cpu: true, 'sleep-while-training': true } })).toContain(
    'runs on CPUs',
  );
  expect(await refused({ ...VLLM, engineArgs: [] })).toContain('add it');
  const args = [
    ...(VLLM.engineArgs ?? []),
    { name: 'enable-sleep-mode', value: false, where: '--no-enable-sleep-mode' },
  ];
  expect(await refused({ ...VLLM, engineArgs: args })).toContain('leave one of them out');
  const transformers = await refused({ flags: { 'sleep-while-training': true }, engine: 'transformers' });
  expect(transformers).toContain('expected engine vllm');
});
