/** The addon's exports with their errors as {@link TwinkleError}. It adds no behaviour. */
import { isErrorCode, TwinkleError } from '../errors.js';
import type { Native, NativeArena, NativeSegment } from './types.js';

/** What native/napi_util.cc puts on an error. */
interface RawError extends Error {
  readonly code?: unknown;
  readonly errnoName?: string | null;
  readonly syscall?: string | null;
  readonly details?: Readonly<Record<string, number>>;
}

function translate(thrown: unknown): TwinkleError {
  if (!(thrown instanceof Error)) return new TwinkleError('NATIVE', String(thrown), { cause: thrown });
  const raw: RawError = thrown;
  if (!isErrorCode(raw.code)) return new TwinkleError('INTERNAL', raw.message, { cause: thrown });
  return new TwinkleError(raw.code, raw.message, {
    cause: thrown,
    details: { errno: raw.errnoName ?? null, syscall: raw.syscall ?? null, ...raw.details },
  });
}

function guard<Args extends unknown[], Result>(call: (...args: Args) => Result): (...args: Args) => Result {
  return (...args) => {
    try {
      return call(...args);
    } catch (thrown) {
      throw translate(thrown);
    }
  };
}

/** The raw segment behind a wrapped one: arenas are made over raw ones. */
const rawSegments = new WeakMap<NativeSegment, NativeSegment>();

function wrapSegment(raw: NativeSegment): NativeSegment {
  const segment: NativeSegment = {
    name: raw.name,
    size: raw.size,
    get fd() {
      return raw.fd;
    },
    locked: raw.locked,
    buffer: guard(() => raw.buffer()),
    close: guard(() => raw.close()),
  };
  rawSegments.set(segment, raw);
  return segment;
}

function wrapArena(raw: NativeArena): NativeArena {
  return {
    size: raw.size,
    alloc: guard((bytes, holder) => raw.alloc(bytes, holder)),
    retain: guard((offset, holder) => raw.retain(offset, holder)),
    release: guard((offset, holder) => raw.release(offset, holder)),
    releaseHolder: guard((holder) => raw.releaseHolder(holder)),
    stats: guard(() => raw.stats()),
  };
}

/**
 * The exports of twinkle.node as {@link Native}.
 * @param raw what `require` returned; its calls throw plain errors
 */
export function wrapAddon(raw: Native): Native {
  return {
    abi: raw.abi,
    devices: guard(raw.devices),
    cpu: guard(raw.cpu),
    segmentCreate: guard((options) => wrapSegment(raw.segmentCreate(options))),
    segmentOpen: guard((fd, name) => wrapSegment(raw.segmentOpen(fd, name))),
    mapPrivate: guard(raw.mapPrivate),
    arena: guard((segment) => wrapArena(raw.arena(rawSegments.get(segment) ?? segment))),
    memlockLimit: guard(raw.memlockLimit),
    listenSocket: guard(raw.listenSocket),
    ncclUniqueId: guard(raw.ncclUniqueId),
    hcclRootInfo: guard(raw.hcclRootInfo),
    routeTo: guard(raw.routeTo),
    spawn: guard(raw.spawn),
    watch: guard(raw.watch),
    onExit: guard(raw.onExit),
    killGroup: guard(raw.killGroup),
    setSubreaper: guard(raw.setSubreaper),
    reapAdopted: guard(raw.reapAdopted),
    pipe: guard(raw.pipe),
    socketPair: guard(raw.socketPair),
    sendFds: guard(raw.sendFds),
    closeFd: guard(raw.closeFd),
    setAffinity: guard(raw.setAffinity),
    sdNotify: guard(raw.sdNotify),
  };
}
