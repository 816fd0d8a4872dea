import { expect, it } from 'vitest';
import { isModelKey, LAUNCH_KEYS, TRAINING_OF_ALL } from '../../../src/config/option-groups.js';
import { OPTION_KEYS } from '../../../src/config/options.js';

it('options go with a Twinkle Server’s file, or say what it says of each model', () => {
  const others = OPTION_KEYS.filter((key) => !LAUNCH_KEYS.includes(key));
  expect(new Set(others)).toEqual(new Set([...OPTION_KEYS.filter(isModelKey), ...TRAINING_OF_ALL]));
  for (const key of ['port', 'address', 'gpus', 'routing', 'log-level', 'checkpoint-store'] as const)
    expect(LAUNCH_KEYS).toContain(key);
  for (const key of ['model', 'engine', 'placement', 'train-ranks'] as const) expect(others).toContain(key);
});
