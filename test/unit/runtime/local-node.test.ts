import { describe, expect, it } from 'vitest';
import { freeDevices, namedDevices } from '../../../src/config/devices.js';
import type { NodeConfig } from '../../../src/config/types.js';
import { createFakeNative } from '../../../src/native/fake.js';
import { fakeDeviceReport } from '../../../src/native/fake-devices.js';
import type { CpuInfo } from '../../../src/native/types.js';
import { localNode, localSpec, usableCpus } from '../../../src/runtime/local-node.js';
import { ClusterState } from '../../../src/scheduler/cluster-state.js';

const IDENTITY = { id: 'n', name: 'box', address: '127.0.0.1', incarnation: 'i', version: '1', pid: 7 };
const GIB = 2 ** 30;

const cpu = (change: Partial<CpuInfo> = {}): CpuInfo => ({ ...createFakeNative().cpu(), ...change });
const nothing: NodeConfig = { cpus: null, devices: [], links: [], leftOut: [] };
const named = (spec: string, list: string): NodeConfig => {
  const kind = spec.startsWith('gpu') ? 'gpu' : 'npu';
  return { ...nothing, ...namedDevices({ kind, list, name: '--gpus', instead: '' }, fakeDeviceReport(spec), {}) };
};

describe('this machine as a node', () => {
  it('has CPUs, memory, and 30 % of it for objects', () => {
    const memory = { memoryTotalBytes: 64 * GIB, cgroupMemoryBytes: null };
    const hello = localNode(IDENTITY, nothing, cpu({ allowed: [0, 1, 2, 3], cgroupCpus: null, ...memory }));
    expect(hello).toEqual({
      ...IDENTITY,
      total: { CPU: 4, memory: 64 * GIB, object_store_memory: Math.floor(64 * GIB * 0.3) },
      labels: {},
      devices: {},
    });
  });

  it.each([
    [[0, 1, 2, 3], null, 4],
    [[0, 1, 2, 3], 2.5, 2],
    [[0, 1], 8, 2],
    [[0], 0.5, 1],
    [[], null, 1],
  ])('CPUs %j with a limit of %s are %i', (allowed, cgroupCpus, expected) => {
    expect(usableCpus(cpu({ allowed, cgroupCpus }))).toBe(expected);
  });

  it('keeps to the limits of its cgroup and to what the user says', () => {
    const { total } = localNode(IDENTITY, { ...nothing, cpus: 3 }, cpu({ cgroupMemoryBytes: 10 }));
    expect(total).toEqual({ CPU: 3, memory: 10, object_store_memory: 3 });
    expect(localNode(IDENTITY, { ...nothing, cpus: 0 }, cpu()).total).not.toHaveProperty('CPU');
  });

  it('offers named devices in the order named, with their NUMA nodes and links by instance', () => {
    const { total, devices } = localNode(IDENTITY, named('gpu:8', '5,1,4'), cpu());
    expect(total.GPU).toBe(3);
    expect(devices.GPU?.ids).toEqual(['GPU-fake-0005', 'GPU-fake-0001', 'GPU-fake-0004']);
    expect(devices.GPU?.numa).toEqual([1, 0, 1]);
    const fast = devices.GPU?.links.filter(({ kind }) => kind === 'nvlink');
    expect(fast?.map(({ a, b, lanes }) => [new Set([a, b]), lanes])).toEqual([[new Set([0, 2]), 18]]);
  });

  it('says the type of its devices as a resource and as a label', () => {
    const report = fakeDeviceReport('gpu:2');
    const h100 = report.devices.map((device) => ({ ...device, name: 'NVIDIA H100 80GB HBM3' }));
    const offer = { ...nothing, ...freeDevices(['gpu'], { ...report, devices: h100 }, {}) };
    const { total, labels } = localNode(IDENTITY, offer, cpu());
    expect(total['accelerator_type:H100']).toBe(1);
    expect(labels).toEqual({ 'ray.io/accelerator-type': 'H100' });
    expect(localNode(IDENTITY, named('gpu:1', '0'), cpu()).labels).toEqual({});
  });

  it('has GPUs and NPUs each with instances from 0', () => {
    const both = [...fakeDeviceReport('gpu:2').devices, ...fakeDeviceReport('npu:1').devices];
    const offer = { ...nothing, ...freeDevices(['npu', 'gpu'], { devices: both, links: [], libraries: [] }, {}) };
    const { total, devices } = localNode(IDENTITY, offer, cpu());
    expect(total).toMatchObject({ GPU: 2, NPU: 1 });
    expect(devices.NPU?.ids).toEqual(['NPU-fake-0000']);
    expect(devices.GPU?.ids).toEqual(['GPU-fake-0000', 'GPU-fake-0001']);
  });

  it('is a node that a scheduler takes', () => {
    const state = new ClusterState();
    state.addNode(localSpec(IDENTITY, named('npu:4', '3,0'), cpu()));
    expect(state.node('n')?.spec.devices.get('NPU')?.ids).toEqual(['NPU-fake-0003', 'NPU-fake-0000']);
  });
});
