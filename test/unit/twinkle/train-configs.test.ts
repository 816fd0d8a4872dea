import { expect, it } from 'vitest';
import type { RunInfo } from '../../../src/training/types.js';
import { newState } from '../../../src/twinkle/adapter-state.js';
import { trainConfigs } from '../../../src/twinkle/train-configs.js';
import { newRun } from '../training/fake-trainer.js';

const state = newState({ id: 'a', model: 'demo', accumulation: 2, saveDir: null }, 0);
const run = (changes: Partial<RunInfo>): RunInfo => ({
  ...newRun('s'),
  ...{ id: 'r', folder: '', corrupted: false, lastRequest: 0, next: 1, note: null },
  ...changes,
});

it('of a new adapter', () => {
  const lora = { alpha: 16, dropout: 0.25, targets: ['q_proj'], rslora: true, init: 'default' } as const;
  expect(trainConfigs(state, run({ rank: 4, lora })).split('\n')).toEqual([
    'Adapter config: {"r":4,"lora_alpha":16,"lora_dropout":0.25,"target_modules":["q_proj"],"use_rslora":true}',
    expect.stringMatching(/^Loss: CrossEntropyLoss \{/),
    'Template: none',
    'Processor: none',
    'Optimizer: none',
    'Learning rate: none',
    'Lr scheduler: none',
    'Gradient accumulation steps: 2',
    '',
  ]);
});

it('of all of a model', () => {
  expect(trainConfigs(state, run({ rank: 0 }))).toContain('Adapter config: all parameters of the model\n');
});

it('names the parts where there are no targets', () => {
  expect(trainConfigs(state, run({ mlp: false, unembed: true }))).toContain('"attention, output layer"');
});
