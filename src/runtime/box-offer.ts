/** What a box brings to its cluster, a head's box or an agent's: as its user asked, from what is there. */
import { freeDevices, namedDevices } from '../config/devices.js';
import { formatBytes } from '../config/quantity.js';
import type { NodeConfig } from '../config/types.js';
import { TwinkleError } from '../errors.js';
import { fakeDeviceReport } from '../native/fake-devices.js';
import type { Native } from '../native/types.js';

type Env = Readonly<Record<string, string | undefined>>;

/** What `start` is told of its box, with `--head` and without. */
export interface BoxRequest {
  readonly home: string;
  /** Exactly these; null: all that are free. */
  readonly gpus: string | null;
  readonly npus: string | null;
  /** Null: what the machine has. */
  readonly numCpus: number | null;
  /** The first so many of the GPUs; null: all. */
  readonly numGpus: number | null;
  /** Bytes of shared memory for objects; null: 30 % of the machine's. */
  readonly objectStoreMemory: number | null;
  /** Folder for objects that it has no room for; null: in the home. */
  readonly objectSpillDir: string | null;
  readonly logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error';
}

/** Null: the usual share. Throws `USAGE` for more than the machine has. */
export function storeBytes({ objectStoreMemory }: BoxRequest, native: Native): number | null {
  const { memoryTotalBytes, cgroupMemoryBytes } = native.cpu();
  const most = Math.min(memoryTotalBytes, cgroupMemoryBytes ?? memoryTotalBytes);
  if (objectStoreMemory === null || objectStoreMemory <= most) return objectStoreMemory;
  throw new TwinkleError(
    'USAGE',
    `expected at most the memory of this machine, ${formatBytes(most)}, for \`--object-store-memory\` but received ${formatBytes(objectStoreMemory)}`,
  );
}

/** How the flag is called, and what may be said instead of it. */
function flagOf(kind: 'gpu' | 'npu'): { readonly name: string; readonly instead: string } {
  return { name: `--${kind}s`, instead: `leave \`--${kind}s\` out to offer what is here` };
}

/**
 * Devices and CPUs that this box offers.
 * @throws `DEVICE_MISSING`, `CONFIG_INVALID`, `USAGE`
 */
export function offeredHere(request: BoxRequest, native: Native, env: Env): NodeConfig {
  // The addon reads the process's own environment; a program may have given another.
  const report = env.TWINKLE_FAKE_DEVICES ? fakeDeviceReport(env.TWINKLE_FAKE_DEVICES) : native.devices();
  const { gpus, npus, numCpus, numGpus } = request;
  if (gpus !== null && npus !== null) {
    throw new TwinkleError('USAGE', 'expected one of `--gpus` and `--npus` but both are given');
  }
  if (gpus !== null && numGpus !== null) {
    throw new TwinkleError('USAGE', 'expected one of `--gpus` and `--num-gpus` but both are given');
  }
  const named = gpus ?? npus;
  const kind = gpus === null ? ('npu' as const) : ('gpu' as const);
  const found =
    named === null
      ? freeDevices(['gpu', 'npu'], report, env, true)
      : namedDevices({ kind, list: named, ...flagOf(kind) }, report, env);
  const cpus = numCpus;
  if (numGpus === null) return { ...found, cpus };
  const wanted = found.devices.filter((device) => device.kind === 'gpu').slice(0, numGpus);
  if (wanted.length < numGpus) {
    throw new TwinkleError(
      'DEVICE_MISSING',
      `expected ${numGpus} GPUs for \`--num-gpus\` but ${wanted.length} are here${found.leftOut.map((why) => `; ${why}`).join('')}`,
    );
  }
  const others = found.devices.filter((device) => device.kind !== 'gpu');
  const devices = [...wanted, ...others];
  const moved = new Map(devices.map((device, at) => [found.devices.indexOf(device), at]));
  const links = found.links.flatMap((link) => {
    const [a, b] = [moved.get(link.a), moved.get(link.b)];
    return a === undefined || b === undefined ? [] : [{ ...link, a, b }];
  });
  return { ...found, devices, links, cpus };
}
