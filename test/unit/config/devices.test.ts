import { describe, expect, test } from 'vitest';
import { chooseDevices } from '../../../src/config/devices.js';
import { device, gpus, NOTHING } from './support.js';

const wish = (list: string | null, ranks: number) =>
  ({ kind: 'gpu', list, name: '--gpus', ranks, shape: `tp ${ranks} × pp 1 × dp 1` }) as const;
const indexes = (result: ReturnType<typeof chooseDevices>): number[] => result.devices.map(({ index }) => index);

describe('naming devices', () => {
  test.each([
    ['0-3', [0, 1, 2, 3]],
    ['3,1', [3, 1]],
    ['GPU-2222-aaaa', [2]],
    ['gpu-2222,0', [2, 0]],
  ])('%s', (list, expected) => {
    expect(indexes(chooseDevices(wish(list, expected.length), gpus(4), {}))).toEqual(expected);
  });

  test('what is not there: says what is, and why the vendor libraries are not in use', () => {
    expect(() => chooseDevices(wish('4', 1), gpus(2), {})).toThrowError(
      expect.objectContaining({
        code: 'DEVICE_MISSING',
        exitCode: 4,
        message: expect.stringMatching(/no GPU "4" for `--gpus`: there are gpu 0 \(Fake H100, GPU-0000-aaaa\), gpu 1/),
      }),
    );
    expect(() => chooseDevices(wish('0', 1), NOTHING, {})).toThrowError(
      /there is no GPU here; not in use: libnvidia-ml\.so\.1: no such file/,
    );
  });

  test('a number that does not fit the ranks', () => {
    expect(() => chooseDevices(wish('0-3', 2), gpus(4), {})).toThrowError(
      expect.objectContaining({
        code: 'INFEASIBLE',
        exitCode: 3,
        message: expect.stringContaining('`--gpus` names 4'),
      }),
    );
  });

  test('the same device twice, an ambiguous uuid', () => {
    expect(() => chooseDevices(wish('0,GPU-0000', 2), gpus(2), {})).toThrowError(/names gpu GPU-0000 twice/);
    const twins = { ...NOTHING, devices: [device(0, { uuid: 'GPU-aaaa-1' }), device(1, { uuid: 'GPU-aaaa-2' })] };
    expect(() => chooseDevices(wish('GPU-aaaa', 1), twins, {})).toThrowError(/begins more than one uuid/);
  });

  test('a busy or ill device may be named, with a warning', () => {
    const report = gpus(1, { processes: [{ pid: 5, memoryBytes: null }], health: 'ecc' });
    const { devices, warnings } = chooseDevices(wish('0', 1), report, {});
    expect(devices).toHaveLength(1);
    expect(warnings).toEqual(['gpu 0 is held by pid 5', 'gpu 0 reports ecc']);
  });
});

describe('masks of the environment', () => {
  const first = (env: Record<string, string>, ranks = 1) => indexes(chooseDevices(wish(null, ranks), gpus(4), env));

  test('CUDA_VISIBLE_DEVICES limits and orders', () => {
    expect(first({ CUDA_VISIBLE_DEVICES: '3,1' }, 2)).toEqual([3, 1]);
    expect(first({ CUDA_VISIBLE_DEVICES: 'GPU-2222' })).toEqual([2]);
    expect(() => first({ CUDA_VISIBLE_DEVICES: '' })).toThrowError(/0 of 0/);
    // As in CUDA, the list ends at the first entry that is no device.
    expect(() => first({ CUDA_VISIBLE_DEVICES: '1,-1,2' }, 2)).toThrowError(/1 of 1/);
  });

  test('a device that it hides is said to be hidden', () => {
    expect(() => chooseDevices(wish('0', 1), gpus(4), { CUDA_VISIBLE_DEVICES: '2,3' })).toThrowError(
      /no GPU "0" for `--gpus` \(CUDA_VISIBLE_DEVICES=2,3 hides it\): there are gpu 2/,
    );
  });

  test.each([
    ['all', 4],
    ['void', 4],
    ['', 4],
    ['0,1', 4],
    ['none', 0],
    ['GPU-1111', 1],
  ])('NVIDIA_VISIBLE_DEVICES=%s offers %i', (value, count) => {
    const env = { NVIDIA_VISIBLE_DEVICES: value };
    if (count > 0) expect(first(env, count)).toHaveLength(count);
    expect(() => first(env, count + 1)).toThrowError(new RegExp(`${count} of ${count} are`));
  });

  test('ASCEND_RT_VISIBLE_DEVICES concerns NPUs only', () => {
    const report = gpus(4, { kind: 'npu' });
    const npu = { kind: 'npu', list: null, name: '--npus', ranks: 1, shape: '' } as const;
    expect(indexes(chooseDevices(npu, report, { ASCEND_RT_VISIBLE_DEVICES: '2', CUDA_VISIBLE_DEVICES: '' }))).toEqual([
      2,
    ]);
    expect(first({ ASCEND_RT_VISIBLE_DEVICES: '2' })).toEqual([0]);
  });
});
