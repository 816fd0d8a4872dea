/** Which models are forked from one template. Real templates: test/integration/template.test.ts. */
import { expect, it } from 'vitest';
import { createFakeNative } from '../../../src/native/fake.js';
import { WarmPool } from '../../../src/runtime/warm-pool.js';
import { ProcessWatcher } from '../../../src/supervisor/process-watcher.js';

const PYTHON = { python: '/venv/bin/python', env: { A: '1', B: '2' }, parentDeathSignal: true };

it('those of one engine, one interpreter and one environment, in whatever order it is written', () => {
  const native = createFakeNative();
  const pool = new WarmPool(native, ProcessWatcher.of(native), '/logs');
  const first = pool.launcher('vllm', PYTHON, '/models/a');
  expect(pool.launcher('vllm', { ...PYTHON, env: { B: '2', A: '1' } }, '/models/b')).toBe(first);
  const others = [
    pool.launcher('transformers', PYTHON, '/models/a'),
    pool.launcher('vllm', { ...PYTHON, python: '/other/bin/python' }, '/models/a'),
    pool.launcher('vllm', { ...PYTHON, parentDeathSignal: false }, '/models/a'),
    pool.launcher('vllm', { ...PYTHON, env: { ...PYTHON.env, HF_TOKEN: 'x' } }, '/models/a'),
    pool.launcher('vllm', { ...PYTHON, env: { A: '1', B: '3' } }, '/models/a'),
  ];
  expect(new Set([first, ...others]).size).toBe(6);
});
