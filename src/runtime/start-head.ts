/** From what `start --head` was told to a running head: devices of this box, log, timers. Wiring only. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { DEFAULT_TIMERS } from '../cluster/types.js';
import { freeDevices, namedDevices } from '../config/devices.js';
import { makeHomeFolder } from '../config/home-folder.js';
import { packageVersion } from '../config/package-root.js';
import { formatBytes } from '../config/quantity.js';
import type { NodeConfig } from '../config/types.js';
import { TwinkleError } from '../errors.js';
import { fakeDeviceReport } from '../native/fake-devices.js';
import type { Native } from '../native/types.js';
import { fileLogger } from '../observability/logger.js';
import { type ClusterDaemon, startClusterDaemon } from './cluster-daemon.js';
import { localNode } from './local-node.js';

type Env = Readonly<Record<string, string | undefined>>;

export interface HeadRequest {
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
  /** Time that serving replicas go on without a head. */
  readonly graceMs: number;
  readonly logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error';
}

/**
 * Start a head for this box.
 * @throws `DEVICE_MISSING`, `CONFIG_INVALID`, `JOURNAL_DAMAGED`
 */
export async function startStandaloneHead(request: HeadRequest, native: Native, env: Env): Promise<ClusterDaemon> {
  const { home } = request;
  const instance = randomBytes(6).toString('hex');
  const offer = offeredHere(request, native, env);
  const store = storeBytes(request, native);
  const identity = {
    name: hostname(),
    address: '127.0.0.1',
    version: packageVersion(),
    pid: process.pid,
  };
  const folder = makeHomeFolder(home, 'logs', instance);
  const log = fileLogger(request.logLevel, join(folder, 'head.log'));
  for (const reason of offer.leftOut) log.warn({ reason }, 'device_left_out');
  const timers = { ...DEFAULT_TIMERS, graceMs: request.graceMs };
  const node = localNode({ ...identity, id: '', incarnation: '' }, offer, native.cpu(), store);
  try {
    const { devices } = offer;
    const more = { devices, inherited: env, logLevel: request.logLevel, spillParent: request.objectSpillDir };
    const daemon = await startClusterDaemon({ home, node, timers, native, log, instance, ...more });
    return {
      ...daemon,
      [Symbol.asyncDispose]: async () => {
        await daemon[Symbol.asyncDispose]();
        log.close();
      },
    };
  } catch (error) {
    log.close();
    throw error;
  }
}

/** Null: the usual share. Throws `USAGE` for more than the machine has. */
function storeBytes({ objectStoreMemory }: HeadRequest, native: Native): number | null {
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

function offeredHere(request: HeadRequest, native: Native, env: Env): NodeConfig {
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
