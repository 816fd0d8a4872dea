import { describe, expect, test } from 'vitest';
import { type DeviceOffer, freeDevices, namedDevices } from '../../../src/config/devices.js';
import { fakeDeviceReport } from '../../../src/native/fake-devices.js';
import { device, gpus, NOTHING } from './support.js';

const gpu = (list: string) => ({ kind: 'gpu', list, name: '--gpus', instead: 'say --cpu' }) as const;
const indexes = (offer: DeviceOffer): number[] => offer.devices.map(({ index }) => index);

describe('named devices', () => {
  test.each([
    ['0-3', [0, 1, 2, 3]],
    ['3,1', [3, 1]],
    ['GPU-2222-aaaa', [2]],
    ['gpu-2222,0', [2, 0]],
  ])('%s: exactly these, in this order', (list, expected) => {
    expect(indexes(namedDevices(gpu(list), gpus(4), {}))).toEqual(expected);
  });

  test('what is not there: says what is, and why the vendor libraries are not in use', () => {
    expect(() => namedDevices(gpu('4'), gpus(2), {})).toThrowError(
      expect.objectContaining({
        code: 'DEVICE_MISSING',
        exitCode: 4,
        message: expect.stringMatching(/no GPU "4" for `--gpus`: there are gpu 0 \(Fake H100, GPU-0000-aaaa\), gpu 1/),
      }),
    );
    expect(() => namedDevices(gpu('0'), NOTHING, {})).toThrowError(
      /there is no GPU here; not in use: libnvidia-ml\.so\.1: no such file/,
    );
  });

  test('the same device twice, an ambiguous uuid', () => {
    expect(() => namedDevices(gpu('0,GPU-0000'), gpus(2), {})).toThrowError(/names gpu GPU-0000 twice/);
    const twins = { ...NOTHING, devices: [device(0, { uuid: 'GPU-aaaa-1' }), device(1, { uuid: 'GPU-aaaa-2' })] };
    expect(() => namedDevices(gpu('GPU-aaaa'), twins, {})).toThrowError(/begins more than one uuid/);
  });

  test('a busy or ill device may be named, with a warning', () => {
    const report = gpus(1, { processes: [{ pid: 5, memoryBytes: null }], health: 'ecc' });
    const { devices, leftOut, warnings } = namedDevices(gpu('0'), report, {});
    expect(devices).toHaveLength(1);
    expect(leftOut).toEqual([]);
    expect(warnings).toEqual(['gpu 0 is held by pid 5', 'gpu 0 reports ecc']);
  });

  test('links follow the devices to their new positions', () => {
    const { links } = namedDevices(gpu('5,1,4'), fakeDeviceReport('gpu:8'), {});
    const between = (a: number, b: number): string | undefined =>
      links.find((link) => (link.a === a && link.b === b) || (link.a === b && link.b === a))?.kind;
    expect(between(0, 2)).toBe('nvlink'); // 5 and 4
    expect(between(0, 1)).toBe('sys'); // 5 and 1
    expect(links).toHaveLength(3);
  });
});

describe('free devices', () => {
  test('those that are held or ill are left out, and it is said why', () => {
    const report = {
      ...NOTHING,
      devices: [
        device(0),
        device(1, { processes: [{ pid: 7, memoryBytes: 1 }] }),
        device(2, { health: 'ecc' }),
        device(3),
      ],
    };
    const offer = freeDevices(['gpu'], report, {});
    expect(indexes(offer)).toEqual([0, 3]);
    expect(offer.leftOut).toEqual(['gpu 1 is held by pid 7', 'gpu 2 reports ecc']);
    expect(offer.warnings).toEqual([]);
  });

  test('none at all: says which libraries are not in use', () => {
    expect(freeDevices(['gpu'], NOTHING, {}).leftOut).toEqual([
      expect.stringContaining('there is no GPU here; not in use: libnvidia-ml.so.1'),
    ]);
  });

  test('GPUs and NPUs of one box keep their own links', () => {
    const [gpuReport, npuReport] = [fakeDeviceReport('gpu:2'), fakeDeviceReport('npu:2')];
    const both = {
      devices: [...gpuReport.devices, ...npuReport.devices],
      links: [...gpuReport.links, ...npuReport.links, { a: 0, b: 1, kind: 'sys', lanes: 0 } as const],
      libraries: [],
    };
    // The last link could be either kind's: it is nobody's.
    expect(freeDevices(['gpu', 'npu'], both, {}).links).toEqual([
      { a: 0, b: 1, kind: 'nvlink', lanes: 18 },
      { a: 2, b: 3, kind: 'hccs', lanes: 7 },
    ]);
  });
});

describe('masks of the environment', () => {
  const free = (env: Record<string, string>): DeviceOffer => freeDevices(['gpu'], gpus(4), env);

  test('CUDA_VISIBLE_DEVICES limits and orders', () => {
    expect(indexes(free({ CUDA_VISIBLE_DEVICES: '3,1' }))).toEqual([3, 1]);
    expect(indexes(free({ CUDA_VISIBLE_DEVICES: 'GPU-2222' }))).toEqual([2]);
    expect(indexes(free({ CUDA_VISIBLE_DEVICES: '' }))).toEqual([]);
    // As in CUDA, the list ends at the first entry that is no device.
    expect(free({ CUDA_VISIBLE_DEVICES: '1,-1,2' })).toMatchObject({
      devices: [{ index: 1 }],
      leftOut: ['CUDA_VISIBLE_DEVICES=1,-1,2 hides devices'],
    });
  });

  test('a device that it hides is said to be hidden', () => {
    expect(() => namedDevices(gpu('0'), gpus(4), { CUDA_VISIBLE_DEVICES: '2,3' })).toThrowError(
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
    expect(free({ NVIDIA_VISIBLE_DEVICES: value }).devices).toHaveLength(count);
  });

  test('ASCEND_RT_VISIBLE_DEVICES concerns NPUs only', () => {
    const report = gpus(4, { kind: 'npu' });
    const env = { ASCEND_RT_VISIBLE_DEVICES: '2', CUDA_VISIBLE_DEVICES: '' };
    expect(indexes(freeDevices(['npu'], report, env))).toEqual([2]);
    expect(indexes(free({ ASCEND_RT_VISIBLE_DEVICES: '2' }))).toEqual([0, 1, 2, 3]);
  });
});
