/**
 * The whole surface of the native addon: the same names and order as in native/addon.cc, and a fake implements it too.
 * Plain data crosses the bridge; a value that may be absent is `T | null`, so that a missing key is a bug.
 * Every function throws `TwinkleError('NATIVE', …)` with the call, its errno name and what to do, unless said otherwise.
 */

/** Why a vendor library is not in use, or that it is. */
export interface LibraryStatus {
  /** What was tried, e.g. `libnvidia-ml.so.1`. */
  readonly library: string;
  readonly loaded: boolean;
  /** Path it was loaded from, when known. */
  readonly path: string | null;
  /** dlopen's or the vendor's own words; null when loaded. */
  readonly reason: string | null;
}

/** A process that holds memory of a device. */
export interface DeviceProcess {
  readonly pid: number;
  readonly memoryBytes: number | null;
}

/** One accelerator. */
export interface DeviceInfo {
  readonly kind: 'gpu' | 'npu';
  readonly vendor: 'nvidia' | 'ascend' | 'fake';
  /** Index as the vendor counts, before any visibility mask. */
  readonly index: number;
  readonly uuid: string;
  readonly name: string;
  readonly pciBusId: string | null;
  readonly memoryTotalBytes: number;
  readonly memoryUsedBytes: number;
  /** `9.0` on Hopper; null on NPUs. */
  readonly computeCapability: string | null;
  readonly driverVersion: string | null;
  readonly numaNode: number | null;
  /** `ok`, or the vendor's word for what is wrong. */
  readonly health: string;
  readonly processes: readonly DeviceProcess[];
}

/** Relation of two devices, best first: nvlink/hccs, then PCIe distance. */
export interface DeviceLink {
  readonly a: number;
  readonly b: number;
  readonly kind: 'nvlink' | 'hccs' | 'pix' | 'pxb' | 'phb' | 'node' | 'sys' | 'unknown';
  /** Parallel links, for nvlink and hccs; 0 otherwise. */
  readonly lanes: number;
}

/** The CPUs and the memory that this process may use. */
export interface CpuInfo {
  readonly model: string;
  readonly sockets: number;
  readonly physicalCores: number;
  readonly logicalCores: number;
  /** CPUs in this process's affinity mask. */
  readonly allowed: readonly number[];
  readonly numa: readonly { readonly node: number; readonly cpus: readonly number[]; readonly memoryBytes: number }[];
  /** Of the flags that matter to an engine: avx2, avx512f, avx512_bf16, avx512_vnni, amx_tile, amx_bf16, neon, sve, … */
  readonly flags: readonly string[];
  readonly memoryTotalBytes: number;
  readonly memoryAvailableBytes: number;
  /** Limits of the cgroup (v2 or v1); null when none. */
  readonly cgroupMemoryBytes: number | null;
  readonly cgroupCpus: number | null;
}

export interface DeviceReport {
  readonly devices: readonly DeviceInfo[];
  readonly links: readonly DeviceLink[];
  readonly libraries: readonly LibraryStatus[];
}

/** Options of {@link Native.segmentCreate}. */
export interface SegmentOptions {
  /** Shown in /proc/…/maps as `memfd:<name>`. */
  readonly name: string;
  /** Bytes; rounded up to the page size. */
  readonly size: number;
  /** mlock the pages. Throws `MEMLOCK_LIMIT` (with the limit and the need) when RLIMIT_MEMLOCK forbids it. */
  readonly lock: boolean;
  /** Register the pages with a device runtime of this process: cudaHostRegister or ACL. Opens a device context. */
  readonly register: 'none' | 'cuda' | 'acl';
}

/** A shared segment mapped into this process. Closing it twice is allowed. */
export interface NativeSegment {
  readonly name: string;
  readonly size: number;
  /** The memfd, sealed against resizing; owned by the segment. */
  readonly fd: number;
  readonly locked: boolean;
  /** The mapping, without a copy. Throws `SEGMENT_CLOSED` after close. */
  buffer(): ArrayBuffer;
  /** Detaches the buffer, unregisters, unmaps and closes the descriptor. */
  close(): void;
}

/** Arena allocator over a segment: first fit by size class with coalescing; blocks are reference counted by holder. */
export interface NativeArena {
  readonly size: number;
  /**
   * Allocate `bytes` (aligned to 64) for `holder`. Returns the offset; throws `SHM_FULL` with what is free.
   * @param holder any non-negative integer: a rank, a pid
   */
  alloc(bytes: number, holder: number): number;
  /** One more reference by `holder`. */
  retain(offset: number, holder: number): void;
  /** One reference of `holder` less; the block is free when none is left. */
  release(offset: number, holder: number): void;
  /** Drop everything that a dead holder held; returns the number of blocks that became free. */
  releaseHolder(holder: number): number;
  stats(): {
    readonly usedBytes: number;
    readonly freeBytes: number;
    readonly largestFreeBytes: number;
    readonly blocks: number;
  };
}

/** Options of {@link Native.spawn}. */
export interface SpawnOptions {
  readonly file: string;
  readonly args: readonly string[];
  /** The whole environment, `KEY=value`. */
  readonly env: readonly string[];
  readonly cwd: string | null;
  /** [descriptor in the child, descriptor here]; everything else is closed in the child. 0, 1 and 2 are /dev/null unless given. */
  readonly fds: readonly (readonly [child: number, parent: number])[];
  /** SIGKILL when the spawning thread ends. Only for a process whose main thread lives as long as it does: the CLI. */
  readonly parentDeathSignal: boolean;
  /** CPUs to run on; null: inherited. */
  readonly cpus: readonly number[] | null;
}

/** How a process ended. */
export interface ProcessExit {
  readonly pid: number;
  /** Exit code; null when a signal ended it, or when it was not our child and nobody can know. */
  readonly code: number | null;
  readonly signal: number | null;
  /** False when the process was watched, not ours: code and signal are unknown. */
  readonly child: boolean;
  readonly maxRssKb: number;
  readonly userMs: number;
  readonly systemMs: number;
}

/** A listening socket that no event loop of this process has seen. */
export interface BoundSocket {
  readonly fd: number;
  readonly host: string;
  readonly port: number;
}

/** A route of this host towards a peer. */
export interface Route {
  readonly interface: string;
  readonly sourceAddress: string;
}

export interface Native {
  /** ABI of the addon's surface; the loader refuses another one. */
  readonly abi: number;

  // ---- device ----
  /** NVIDIA, Ascend, or what `TWINKLE_FAKE_DEVICES` (`gpu:8`, `npu:8`) says; never throws for an absent vendor. */
  devices(): DeviceReport;
  cpu(): CpuInfo;

  // ---- memory ----
  segmentCreate(options: SegmentOptions): NativeSegment;
  /** Map a memfd that another process made with MFD_ALLOW_SEALING; takes the descriptor over when it does not throw. */
  segmentOpen(fd: number, name: string): NativeSegment;
  /**
   * A part of a sealed memfd as memory of this process: nothing is copied until it is written to, and what is written stays here. Unmapped when
   * the collector finds that nobody has it. The descriptor stays the caller's.
   */
  mapPrivate(fd: number, offset: number, size: number): ArrayBuffer;
  arena(segment: NativeSegment): NativeArena;
  memlockLimit(): { readonly softBytes: number | null; readonly hardBytes: number | null };

  // ---- rendezvous ----
  /** Bind and listen; port 0 takes a free one. The descriptor is close-on-exec and blocking. */
  listenSocket(host: string, port: number, backlog: number): BoundSocket;
  /** 128 bytes from libnccl (`TWINKLE_NCCL_LIBRARY` names another path). Throws `DEVICE_MISSING` with the reason. */
  ncclUniqueId(): Uint8Array;
  /** Root info from libhccl (`TWINKLE_HCCL_LIBRARY`); needs an ACL device set first. */
  hcclRootInfo(device: number): Uint8Array;
  /** Interface and source address that the kernel would use towards `host` (an address, not a name). */
  routeTo(host: string): Route;

  // ---- process ----
  /** fork + exec into a new process group. Returns the pid; its end arrives at {@link onExit}. */
  spawn(options: SpawnOptions): number;
  /** Watch a process that is not our child; its end arrives at {@link onExit}. Throws when it is already gone. */
  watch(pid: number): void;
  /** The one listener for ends of spawned and watched processes; null removes it. Does not keep the event loop alive. */
  onExit(listener: ((exit: ProcessExit) => void) | null): void;
  /** kill(-group, signal); false when no such group is left. */
  killGroup(group: number, signal: number): boolean;
  /** Adopt orphaned grandchildren (PR_SET_CHILD_SUBREAPER). Only for the CLI's process. */
  setSubreaper(on: boolean): void;
  /** Reap zombies that were adopted from the given process groups; returns their pids. */
  reapAdopted(groups: readonly number[]): number[];
  /** [read end, write end], close-on-exec. */
  pipe(): readonly [number, number];
  /** A connected pair of AF_UNIX stream sockets, close-on-exec. */
  socketPair(): readonly [number, number];
  /** Send bytes and descriptors (SCM_RIGHTS) in one message. Throws `NATIVE` with EAGAIN when the peer does not read. */
  sendFds(socket: number, data: Uint8Array, fds: readonly number[]): void;
  closeFd(fd: number): void;
  /** Pin a process (0: this one) to CPUs. */
  setAffinity(pid: number, cpus: readonly number[]): void;
  /** sd_notify(3): false when NOTIFY_SOCKET is not set. */
  sdNotify(state: string): boolean;
}
