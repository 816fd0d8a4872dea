import { expect, it } from 'vitest';
import { wantedFlavour } from '../../../src/runtime/configure.js';

it.each([
  ['vllm', ['GPU'], {}, 'cuda'],
  ['vllm', ['NPU', 'NPU'], {}, 'ascend'],
  ['vllm', ['NPU', 'GPU'], {}, 'cuda'],
  ['vllm', [null], {}, 'cpu'],
  ['transformers', ['NPU'], {}, 'cpu'],
  ['transformers', ['GPU'], {}, 'cuda'],
  // What the fake layer plays runs on the CPU.
  ['vllm', ['NPU'], { TWINKLE_FAKE_DEVICES: 'npu:2' }, 'cpu'],
  ['vllm', ['GPU'], { TWINKLE_FAKE_DEVICES: 'gpu:2' }, 'cpu'],
] as const)('engine %s on %j with %j takes a build for %s', (engine, accelerators, env, flavour) => {
  expect(wantedFlavour(engine, accelerators, env)).toBe(flavour);
});
