import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DEMO_MODEL } from '../../../src/config/package-root.js';
import { type ModelFacts, readModelFacts } from '../../../src/engines/model-facts.js';
import { checkMemory, checkSplit } from '../../../src/engines/model-fit.js';

const GIB = 2 ** 30;
const facts = (change: Partial<ModelFacts> = {}): ModelFacts => ({
  attentionHeads: 32,
  keyValueHeads: 8,
  layers: 4,
  weightBytes: 140 * GIB,
  ...change,
});
const shape = (tensorParallel: number, pipelineParallel = 1, engineArgs: Record<string, unknown> = {}) => ({
  model: 'org/model',
  tensorParallel,
  pipelineParallel,
  engineArgs,
});

describe('checkSplit', () => {
  test.each([
    [facts(), 1],
    [facts(), 8],
    [facts(), 16],
    [facts({ attentionHeads: null, keyValueHeads: null }), 3],
    [facts({ keyValueHeads: null }), 32],
  ])('%j takes %i', (given, tensor) => {
    expect(() => checkSplit(given, shape(tensor))).not.toThrow();
  });

  test.each([
    [
      facts(),
      3,
      'divides 32 attention heads and 8 key-value heads for `--tensor-parallel-size` but received 3; org/model takes 1, 2, 4, 8, 16, 32',
    ],
    [facts({ attentionHeads: 24, keyValueHeads: 4 }), 6, 'takes 1, 2, 4, 8, 12, 24'],
    [facts(), 64, 'received 64'],
  ])('%j refuses %i', (given, tensor, message) => {
    expect(() => checkSplit(given, shape(tensor))).toThrowError(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(message) }),
    );
  });

  test('more stages than layers', () => {
    expect(() => checkSplit(facts(), shape(1, 4))).not.toThrow();
    expect(() => checkSplit(facts(), shape(1, 5))).toThrowError(
      'expected at most 4 for `--pipeline-parallel-size` but received 5; org/model has 4 layers',
    );
  });

  test('is silent where an argument changes what the files say', () => {
    expect(() => checkSplit(facts(), shape(3, 9, { hf_overrides: {} }))).not.toThrow();
  });
});

describe('checkMemory', () => {
  test('says how much is missing and what would fit', () => {
    expect(() => checkMemory(facts(), shape(1), 80 * GIB)).toThrowError(
      'org/model is too big for one device: its weights take 140.0 GiB on each, which gives 73.6 GiB (80.0 GiB × ' +
        'gpu_memory_utilization 0.92): 66.4 GiB are missing; it fits with --tensor-parallel-size 4',
    );
    expect(() => checkMemory(facts(), shape(1, 1, { gpu_memory_utilization: 0.5 }), 80 * GIB)).toThrowError(
      /100\.0 GiB are missing; it fits with --tensor-parallel-size 8$/,
    );
    expect(() => checkMemory(facts(), shape(32, 1), 4 * GIB)).toThrowError(/no tensor parallelism alone makes it fit/);
  });

  test.each([
    [facts(), shape(2), 80],
    [facts(), shape(1, 2), 80],
    [facts({ weightBytes: null }), shape(1), 1],
    [facts(), shape(1, 1, { quantization: 'fp8' }), 80],
    [facts(), shape(1, 1, { cpu_offload_gb: 100 }), 80],
  ])('takes %j %j on %i GiB', (given, how, gib) => {
    expect(() => checkMemory(given, how, gib * GIB)).not.toThrow();
  });
});

describe('readModelFacts', () => {
  let root = '';
  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), 'twinkle-model-facts-'));
  });
  afterAll(() => rmSync(root, { recursive: true }));
  const folder = (name: string, config: unknown, files: Record<string, number | string> = {}): string => {
    const path = join(root, name);
    mkdirSync(path);
    writeFileSync(join(path, 'config.json'), typeof config === 'string' ? config : JSON.stringify(config));
    for (const [file, content] of Object.entries(files)) {
      writeFileSync(join(path, file), typeof content === 'string' ? content : '');
      if (typeof content === 'number') truncateSync(join(path, file), content);
    }
    return path;
  };

  test('of the demo model', () => {
    expect(readModelFacts(DEMO_MODEL)).toEqual({
      attentionHeads: 4,
      keyValueHeads: 2,
      layers: 4,
      weightBytes: expect.any(Number),
    });
  });

  test('the index says which files count; the text part of a multimodal model; float32 is loaded in half', () => {
    const index = JSON.stringify({ weight_map: { a: 'one.safetensors', b: 'two.safetensors', c: 'one.safetensors' } });
    const files = { 'one.safetensors': 600, 'two.safetensors': 400, 'consolidated.safetensors': 1000 };
    const config = {
      vision_config: { num_hidden_layers: 9 },
      text_config: { num_attention_heads: 8, num_hidden_layers: 2 },
    };
    expect(readModelFacts(folder('split', config, { ...files, 'model.safetensors.index.json': index }))).toEqual({
      attentionHeads: 8,
      keyValueHeads: null,
      layers: 2,
      weightBytes: 1000,
    });
    const single = folder('single', { dtype: 'float32', num_attention_heads: 'many' }, { 'model.safetensors': 800 });
    expect(readModelFacts(single)).toMatchObject({ attentionHeads: null, weightBytes: 400 });
  });

  test('what cannot be read says nothing', () => {
    expect(readModelFacts('org/model')).toBeNull();
    expect(readModelFacts(folder('broken', '{'))).toBeNull();
    const missing = JSON.stringify({ weight_map: { a: 'gone.safetensors' } });
    expect(readModelFacts(folder('gone', {}, { 'model.safetensors.index.json': missing }))?.weightBytes).toBeNull();
  });
});
