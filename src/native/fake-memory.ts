/** Segments of the fake addon: memory of this process, reached by fake descriptors. */
import { TwinkleError } from '../errors.js';
import { createFakeArena } from './fake-arena.js';
import type { FakeDescriptors } from './fake-descriptors.js';
import type { Native, NativeSegment } from './types.js';

const PAGE = 4096;

interface Memory {
  readonly buffer: ArrayBuffer;
  users: number;
}

function detach(buffer: ArrayBuffer): void {
  structuredClone(buffer, { transfer: [buffer] });
}

/** The memory part of {@link Native}. Two segments over one descriptor share a buffer, which the last close detaches. */
export function createFakeMemory(
  descriptors: FakeDescriptors,
  memoryBytes: number,
  memlockBytes: number | null,
): Pick<Native, 'segmentCreate' | 'segmentOpen' | 'mapPrivate' | 'arena' | 'memlockLimit'> {
  const memories = new Map<number, Memory>();
  const open = new WeakMap<NativeSegment, () => boolean>();
  let taken = 0;

  const segment = (fd: number, name: string, memory: Memory, locked: boolean): NativeSegment => {
    let closed = false;
    memory.users += 1;
    const size = memory.buffer.byteLength;
    const made: NativeSegment = {
      name,
      size,
      get fd() {
        return closed ? -1 : fd;
      },
      locked,
      buffer() {
        if (closed) throw new TwinkleError('SEGMENT_CLOSED', `segment ${name} is closed; create or open another one`);
        return memory.buffer;
      },
      close() {
        if (closed) return;
        closed = true;
        descriptors.close(fd);
        memory.users -= 1;
        if (memory.users > 0) return;
        taken -= size;
        detach(memory.buffer);
      },
    };
    open.set(made, () => !closed);
    memories.set(fd, memory);
    return made;
  };

  return {
    segmentCreate({ name, size, lock, register }) {
      if (!Number.isSafeInteger(size) || size < 1) {
        throw new TwinkleError(
          'NATIVE',
          `segmentCreate: expected a whole number from 1 for \`size\` but received ${size}`,
        );
      }
      const rounded = Math.ceil(size / PAGE) * PAGE;
      if (taken + rounded > memoryBytes) {
        const details = { needBytes: rounded, availableBytes: memoryBytes - taken };
        throw new TwinkleError('SHM_FULL', `memory is exhausted: a segment needs ${rounded} bytes`, { details });
      }
      if (lock && memlockBytes !== null && rounded > memlockBytes) {
        const details = { needBytes: rounded, limitBytes: memlockBytes };
        throw new TwinkleError(
          'MEMLOCK_LIMIT',
          `${rounded} bytes are to be locked and RLIMIT_MEMLOCK is ${memlockBytes}`,
          { details },
        );
      }
      if (register !== 'none')
        throw new TwinkleError('DEVICE_MISSING', `the fake addon has no ${register} to register pages with`);
      taken += rounded;
      return segment(descriptors.open(), name, { buffer: new ArrayBuffer(rounded), users: 0 }, lock);
    },
    segmentOpen(fd, name) {
      const memory = memories.get(fd);
      if (memory === undefined || memory.users === 0) {
        throw new TwinkleError('NATIVE', `segmentOpen: descriptor ${fd} is no fake segment`, {
          details: { errno: 'EBADF' },
        });
      }
      return segment(descriptors.open(), name, memory, false);
    },
    mapPrivate(fd, offset, size) {
      const memory = memories.get(fd);
      if (memory === undefined || memory.users === 0 || offset + size > memory.buffer.byteLength) {
        throw new TwinkleError('NATIVE', `mapPrivate: descriptor ${fd} is no fake segment of ${offset + size} bytes`, {
          details: { errno: 'EINVAL' },
        });
      }
      return memory.buffer.slice(offset, offset + size);
    },
    arena(over) {
      const isOpen = open.get(over);
      if (isOpen === undefined)
        throw new TwinkleError('NATIVE', 'arena: expected a segment of this addon for `segment`');
      const ensureOpen = () => {
        if (!isOpen()) throw new TwinkleError('SEGMENT_CLOSED', `the arena's segment ${over.name} is closed`);
      };
      ensureOpen();
      return createFakeArena(over.size, ensureOpen);
    },
    memlockLimit: () => ({ softBytes: memlockBytes, hardBytes: memlockBytes }),
  };
}
