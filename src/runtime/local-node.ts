/** This machine as a node: what it offers to placement groups, as Ray's nodes say it. Pure: what the machine has is given. */
import type { NodeHello, Quantities, WireDevices } from '../cluster/types.js';
import { helloToSpec } from '../cluster/wire.js';
import type { NodeConfig } from '../config/types.js';
import type { CpuInfo } from '../native/types.js';
import type { NodeSpec } from '../scheduler/types.js';
import { acceleratorTypeOf } from './accelerator-type.js';

/** Who the node is. */
export type NodeIdentity = Pick<NodeHello, 'id' | 'name' | 'address' | 'incarnation' | 'version' | 'pid'>;

/** Ray's share of the memory for shared objects. */
const OBJECT_STORE_SHARE = 0.3;

const RESOURCE = { gpu: 'GPU', npu: 'NPU' } as const;

/**
 * What an agent on this machine says when it joins, but for what it holds.
 * @param storeBytes memory for shared objects; null: the usual share
 */
export function localNode(
  identity: NodeIdentity,
  offer: Omit<NodeConfig, 'leftOut'>,
  cpu: CpuInfo,
  storeBytes: number | null = null,
): Omit<NodeHello, 'held'> {
  const memory = Math.floor(Math.min(cpu.memoryTotalBytes, cpu.cgroupMemoryBytes ?? Number.POSITIVE_INFINITY));
  const total: Record<string, number> = {
    CPU: offer.cpus ?? usableCpus(cpu),
    memory,
    object_store_memory: storeBytes ?? Math.floor(memory * OBJECT_STORE_SHARE),
  };
  const labels: Record<string, string> = {};
  const devices: Record<string, WireDevices> = {};
  for (const kind of ['gpu', 'npu'] as const) {
    const positions = offer.devices.flatMap((device, at) => (device.kind === kind ? [at] : []));
    const first = offer.devices[positions[0] ?? -1];
    if (first === undefined) continue;
    total[RESOURCE[kind]] = positions.length;
    devices[RESOURCE[kind]] = devicesOf(offer, positions);
    // As in Ray: the first device speaks for all of its kind.
    const type = acceleratorTypeOf(kind, first.name);
    if (type === null) continue;
    total[`accelerator_type:${type}`] = 1;
    labels['ray.io/accelerator-type'] ??= type;
  }
  return { ...identity, total: withoutZeros(total), labels, devices };
}

/** The same as schedulers see it. */
export function localSpec(identity: NodeIdentity, offer: Omit<NodeConfig, 'leftOut'>, cpu: CpuInfo): NodeSpec {
  return helloToSpec(localNode(identity, offer, cpu));
}

/** Whole CPUs that this process may use: its affinity mask, and the cgroup's limit. At least one. */
export function usableCpus(cpu: CpuInfo): number {
  return Math.max(1, Math.floor(Math.min(cpu.allowed.length, cpu.cgroupCpus ?? Number.POSITIVE_INFINITY)));
}

function devicesOf(offer: Omit<NodeConfig, 'leftOut'>, positions: readonly number[]): WireDevices {
  const chosen = positions.flatMap((at) => offer.devices[at] ?? []);
  return {
    ids: chosen.map(({ uuid }) => uuid),
    numa: chosen.map(({ numaNode }) => numaNode),
    links: offer.links.flatMap(({ a, b, kind, lanes }) => {
      const [first, second] = [positions.indexOf(a), positions.indexOf(b)];
      return first < 0 || second < 0 ? [] : [{ a: first, b: second, kind, lanes }];
    }),
  };
}

function withoutZeros(total: Quantities): Quantities {
  return Object.fromEntries(Object.entries(total).filter(([, amount]) => amount > 0));
}
