import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { DEMO_MODEL } from '../../../src/config/package-root.js';
import { threadDefault } from '../../../src/engines/thread-default.js';
import { type ModelChange, modelConfig } from '../../support/model-config.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinkle-threads-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const of = (change: ModelChange): unknown => threadDefault(modelConfig({ engine: 'vllm', ...change }));

it('one for a small model of engine vllm on CPUs, and nothing said for any other', () => {
  const one = { OMP_NUM_THREADS: '1' };
  expect(of({ model: DEMO_MODEL })).toEqual(one);
  expect(of({ model: DEMO_MODEL, placement: { accelerator: 'GPU' } })).toEqual({});
  expect(of({ model: DEMO_MODEL, engine: 'transformers' })).toEqual({});
  expect(of({ model: 'Qwen/Qwen3-0.6B' })).toEqual({});
  writeFileSync(join(folder, 'config.json'), '{"dtype": "bfloat16"}');
  writeFileSync(join(folder, 'model.safetensors'), '');
  truncateSync(join(folder, 'model.safetensors'), 63 * 2 ** 20);
  expect(of({ model: folder })).toEqual(one);
  truncateSync(join(folder, 'model.safetensors'), 65 * 2 ** 20);
  expect(of({ model: folder })).toEqual({});
});
