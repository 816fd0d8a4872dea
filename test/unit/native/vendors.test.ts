/** The vendors' libraries as stubs, through the whole addon: real dlopen code, results in JavaScript. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { packageRoot } from '../../../src/native/candidates.js';
import { fakeDeviceReport } from '../../../src/native/fake-devices.js';
import type { DeviceReport } from '../../../src/native/types.js';
import { inChildNode } from './support.js';

const stubs = ['nvml', 'dcmi', 'nccl', 'hccl', 'ascendcl', 'cudart'] as const;
const folder = mkdtempSync(join(tmpdir(), 'twinkle-stubs-'));
const stub = (name: (typeof stubs)[number]) => join(folder, `lib${name}.so`);
const nowhere = {
  TWINKLE_NVML_LIBRARY: '/nowhere/nvml',
  TWINKLE_DCMI_LIBRARY: '/nowhere/dcmi',
  TWINKLE_NPU_SMI: '/nowhere/npu-smi',
  TWINKLE_NCCL_LIBRARY: '/nowhere/nccl',
  TWINKLE_HCCL_LIBRARY: '/nowhere/hccl',
  TWINKLE_ACL_LIBRARY: '/nowhere/acl',
  TWINKLE_CUDART_LIBRARY: '/nowhere/cudart',
  TWINKLE_FAKE_DEVICES: '',
};

beforeAll(() => {
  const root = packageRoot();
  for (const name of stubs) {
    const source = `${root}native/test/stubs/stub_${name}.cc`;
    execFileSync('c++', ['-std=c++20', '-shared', '-fPIC', `-I${root}native`, '-o', stub(name), source]);
  }
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true }));

async function devices(over: NodeJS.ProcessEnv): Promise<DeviceReport> {
  const text = 'console.log(JSON.stringify(addon.devices()))';
  return (await inChildNode(text, { ...nowhere, ...over })) as DeviceReport;
}

/** What a raw call throws in a child: [code, message]. */
async function thrown(call: string, over: NodeJS.ProcessEnv = {}): Promise<[string, string]> {
  const text = `try { ${call}; console.log('null'); } catch (e) { console.log(JSON.stringify([e.code, e.message])); }`;
  return (await inChildNode(text, { ...nowhere, ...over })) as [string, string];
}

describe('devices()', () => {
  it('reports absence with reasons and no error', async () => {
    const report = await devices({});
    expect(report.devices).toEqual([]);
    expect(report.links).toEqual([]);
    expect(report.libraries).toHaveLength(3);
    for (const { loaded, path, reason } of report.libraries) {
      expect([loaded, path]).toEqual([false, null]);
      expect(reason).toContain('nowhere');
    }
  });

  it('reads NVIDIA devices and links', async () => {
    const report = await devices({ TWINKLE_NVML_LIBRARY: stub('nvml'), TWINKLE_STUB_NVML_GPUS: '4' });
    expect(report.devices).toHaveLength(4);
    expect(report.devices[0]).toEqual({
      kind: 'gpu',
      vendor: 'nvidia',
      index: 0,
      uuid: 'GPU-stub-0',
      name: 'Stub H100',
      pciBusId: '0000:1a:00.0',
      memoryTotalBytes: 80 * 2 ** 30,
      // Without the driver’s own reserve, as nvidia-smi.
      memoryUsedBytes: 512 * 2 ** 20,
      computeCapability: '9.0',
      driverVersion: '580.1',
      numaNode: null,
      health: 'ok',
      processes: [{ pid: 4242, memoryBytes: 2 ** 30 }],
    });
    expect(report.links.filter((link) => link.kind === 'nvlink')).toEqual([
      { a: 0, b: 1, kind: 'nvlink', lanes: 4 },
      { a: 2, b: 3, kind: 'nvlink', lanes: 4 },
    ]);
    expect(report.libraries[0]).toEqual({ library: stub('nvml'), loaded: true, path: stub('nvml'), reason: null });
  });

  it('reads Ascend devices', async () => {
    const report = await devices({ TWINKLE_DCMI_LIBRARY: stub('dcmi'), TWINKLE_STUB_DCMI_HEALTH: '2' });
    expect(report.devices.map(({ kind, index, health }) => [kind, index, health])).toEqual([
      ['npu', 0, 'alarm'],
      ['npu', 1, 'ok'],
      ['npu', 2, 'ok'],
      ['npu', 3, 'ok'],
    ]);
    expect(new Set(report.links.map((link) => link.kind))).toEqual(new Set(['hccs']));
  });

  it('keeps the words of a driver that refuses', async () => {
    const report = await devices({ TWINKLE_NVML_LIBRARY: stub('nvml'), TWINKLE_STUB_NVML_FAIL: 'init' });
    expect(report.libraries[0]).toMatchObject({ loaded: false, reason: 'nvmlInit_v2: Driver Not Loaded (9)' });
  });

  it.each(['gpu:8', 'npu:8', 'gpu:4x40', 'gpu:1'])('fakes %s as the fake in TypeScript does', async (spec) => {
    expect(await devices({ TWINKLE_FAKE_DEVICES: spec })).toEqual(fakeDeviceReport(spec));
  });

  it.each(['tpu:8', 'gpu:', 'gpu:0', 'gpu:8x'])('refuses %s', async (spec) => {
    const [code, message] = await thrown('addon.devices()', { TWINKLE_FAKE_DEVICES: spec });
    expect(code).toBe('CONFIG_INVALID');
    expect(message).toContain(`received "${spec}"`);
    expect(() => fakeDeviceReport(spec)).toThrow(message);
  });
});

describe('ids and registration', () => {
  it('come from the libraries', async () => {
    const text = 'console.log(JSON.stringify([[...addon.ncclUniqueId()], addon.hcclRootInfo(1).length]))';
    const [id, length] = (await inChildNode(text, {
      ...nowhere,
      TWINKLE_NCCL_LIBRARY: stub('nccl'),
      TWINKLE_HCCL_LIBRARY: stub('hccl'),
      TWINKLE_ACL_LIBRARY: stub('ascendcl'),
    })) as [number[], number];
    expect(id).toEqual(Array.from({ length: 128 }, (_, index) => index));
    expect(length).toBe(4108);
  });

  it('say why not', async () => {
    expect(await thrown('addon.ncclUniqueId()')).toEqual(['DEVICE_MISSING', expect.stringContaining('/nowhere/nccl')]);
    expect(await thrown('addon.hcclRootInfo(0)')).toEqual(['DEVICE_MISSING', expect.stringContaining('/nowhere/acl')]);
    const failing = { TWINKLE_NCCL_LIBRARY: stub('nccl'), TWINKLE_STUB_NCCL_FAIL: '1' };
    expect((await thrown('addon.ncclUniqueId()', failing))[1]).toContain('answered 2 (unhandled system error)');
  });

  it('register pages with CUDA or ACL only where there is one', async () => {
    const create = (register: string) =>
      `addon.segmentCreate({ name: 'r', size: 4096, lock: false, register: '${register}' }).close()`;
    expect((await thrown(create('cuda')))[0]).toBe('DEVICE_MISSING');
    expect(await thrown(create('cuda'), { TWINKLE_CUDART_LIBRARY: stub('cudart') })).toBeNull();
    expect(await thrown(create('acl'), { TWINKLE_ACL_LIBRARY: stub('ascendcl') })).toBeNull();
  });
});
