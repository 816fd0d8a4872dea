/** Devices that do not exist, for tests in process: the same report as native/device/fake.cc gives for `TWINKLE_FAKE_DEVICES`. */
import { TwinkleError } from '../errors.js';
import type { DeviceInfo, DeviceLink, DeviceReport } from './types.js';

const ISLAND = 4;

/**
 * A report of fake devices: fast links in islands of four, one NUMA node an island.
 * @param spec `gpu:8`, `npu:8` or `gpu:4x40` for 40 GiB each
 * @throws TwinkleError `CONFIG_INVALID` for anything else
 */
export function fakeDeviceReport(spec: string): DeviceReport {
  const match = /^(gpu|npu):(\d+)(?:x(\d+))?$/.exec(spec);
  const gpu = match?.[1] === 'gpu';
  const count = Number(match?.[2]);
  const gib = Number(match?.[3] ?? (gpu ? 80 : 64));
  if (match === null || count < 1 || count > 64 || gib < 1 || gib > 4096) {
    throw new TwinkleError(
      'CONFIG_INVALID',
      `expected gpu:N, npu:N or gpu:NxGIB (N from 1 to 64) for \`TWINKLE_FAKE_DEVICES\` but received "${spec}"; set it right or unset it`,
    );
  }
  const devices: DeviceInfo[] = [];
  const links: DeviceLink[] = [];
  for (let index = 0; index < count; index += 1) {
    const bus = (index + 1).toString(16).padStart(2, '0');
    devices.push({
      kind: gpu ? 'gpu' : 'npu',
      vendor: 'fake',
      index,
      uuid: `${gpu ? 'GPU' : 'NPU'}-fake-${String(index).padStart(4, '0')}`,
      name: gpu ? 'Fake GPU' : 'Fake NPU',
      pciBusId: `0000:${bus}:00.0`,
      memoryTotalBytes: gib * 2 ** 30,
      memoryUsedBytes: 0,
      computeCapability: gpu ? '9.0' : null,
      driverVersion: 'fake',
      numaNode: Math.floor(index / ISLAND),
      health: 'ok',
      processes: [],
    });
    for (let other = 0; other < index; other += 1) {
      const together = Math.floor(other / ISLAND) === Math.floor(index / ISLAND);
      if (together) links.push({ a: other, b: index, kind: gpu ? 'nvlink' : 'hccs', lanes: gpu ? 18 : 7 });
      else links.push({ a: other, b: index, kind: 'sys', lanes: 0 });
    }
  }
  return {
    devices,
    links,
    libraries: [{ library: `TWINKLE_FAKE_DEVICES=${spec}`, loaded: true, path: null, reason: null }],
  };
}
