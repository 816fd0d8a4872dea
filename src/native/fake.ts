/** {@link Native} without an addon, a device or a process: for tests of what is built on it. */
import { NATIVE_ABI } from './candidates.js';
import { createFakeDescriptors } from './fake-descriptors.js';
import { fakeDeviceReport } from './fake-devices.js';
import { createFakeMemory } from './fake-memory.js';
import { createFakeProcesses, type FakeProcessControl } from './fake-processes.js';
import type { CpuInfo, DeviceReport, Native } from './types.js';

/** What the fake host has. */
export interface FakeNativeOptions {
  /** As `TWINKLE_FAKE_DEVICES`, or a whole report; default: none. */
  readonly devices?: string | DeviceReport;
  /** Over the default: 8 cores of two NUMA nodes, 64 GiB. */
  readonly cpu?: Partial<CpuInfo>;
  /** RLIMIT_MEMLOCK; default null: unlimited. */
  readonly memlockBytes?: number | null;
}

/** A message of {@link Native.sendFds}. */
export interface FakeMessage {
  readonly socket: number;
  readonly data: Uint8Array;
  readonly fds: readonly number[];
}

/** The fake, and what a test sees and does through it. */
export interface FakeNative extends Native {
  readonly processes: FakeProcessControl;
  /** Descriptors that are open: empty at the end of a test that leaks none. */
  readonly openFds: ReadonlySet<number>;
  readonly sent: readonly FakeMessage[];
  /** States given to sdNotify. */
  readonly notified: readonly string[];
  /** Calls of setAffinity. */
  readonly pinned: readonly { readonly pid: number; readonly cpus: readonly number[] }[];
}

const defaultCpu: CpuInfo = {
  model: 'Fake CPU',
  sockets: 1,
  physicalCores: 8,
  logicalCores: 8,
  allowed: [0, 1, 2, 3, 4, 5, 6, 7],
  numa: [
    { node: 0, cpus: [0, 1, 2, 3], memoryBytes: 32 * 2 ** 30 },
    { node: 1, cpus: [4, 5, 6, 7], memoryBytes: 32 * 2 ** 30 },
  ],
  flags: ['avx2', 'avx512f'],
  memoryTotalBytes: 64 * 2 ** 30,
  memoryAvailableBytes: 48 * 2 ** 30,
  cgroupMemoryBytes: null,
  cgroupCpus: null,
};

/** A fake host. Processes end when the test says so; segments are memory of this process. */
export function createFakeNative(options: FakeNativeOptions = {}): FakeNative {
  const wanted = options.devices ?? { devices: [], links: [], libraries: [] };
  const report = typeof wanted === 'string' ? fakeDeviceReport(wanted) : wanted;
  const cpu: CpuInfo = { ...defaultCpu, ...options.cpu };
  const descriptors = createFakeDescriptors();
  const { control, ...processCalls } = createFakeProcesses(descriptors);
  const sent: FakeMessage[] = [];
  const notified: string[] = [];
  const pinned: { pid: number; cpus: readonly number[] }[] = [];
  let nextPort = 40_000;

  return {
    abi: NATIVE_ABI,
    processes: control,
    openFds: descriptors.numbers,
    sent,
    notified,
    pinned,
    devices: () => report,
    cpu: () => cpu,
    ...createFakeMemory(descriptors, cpu.memoryAvailableBytes, options.memlockBytes ?? null),
    listenSocket(host, port) {
      nextPort += 1;
      return { fd: descriptors.open(), host, port: port === 0 ? nextPort : port };
    },
    ncclUniqueId: () => new Uint8Array(128).fill(1),
    hcclRootInfo: () => new Uint8Array(4108).fill(1),
    routeTo: () => ({ interface: 'lo', sourceAddress: '127.0.0.1' }),
    ...processCalls,
    setSubreaper: () => undefined,
    reapAdopted: () => [],
    pipe: () => [descriptors.open(), descriptors.open()],
    socketPair: () => [descriptors.open(), descriptors.open()],
    sendFds(socket, data, fds) {
      for (const fd of [socket, ...fds]) descriptors.check(fd);
      sent.push({ socket, data: data.slice(), fds: [...fds] });
    },
    closeFd: (fd) => descriptors.close(fd),
    setAffinity(pid, cpus) {
      pinned.push({ pid, cpus: [...cpus] });
    },
    sdNotify(state) {
      notified.push(state);
      return true;
    },
  };
}
