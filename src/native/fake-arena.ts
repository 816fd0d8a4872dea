/** The arena of the fake addon: the same answers as native/memory/arena.cc, by the simplest means. */
import { TwinkleError } from '../errors.js';
import type { NativeArena } from './types.js';

const ALIGN = 64;

interface Block {
  readonly size: number;
  readonly references: Map<number, number>;
}

function wrong(message: string): TwinkleError {
  return new TwinkleError('NATIVE', message, { details: { errno: 'EINVAL' } });
}

/**
 * An arena over `size` bytes.
 * @param ensureOpen throws when the segment is closed
 */
export function createFakeArena(size: number, ensureOpen: () => void): NativeArena {
  const usable = Math.floor(size / ALIGN) * ALIGN;
  const blocks = new Map<number, Block>();

  const gaps = (): { offset: number; size: number }[] => {
    const found: { offset: number; size: number }[] = [];
    let end = 0;
    for (const [offset, block] of [...blocks].sort(([a], [b]) => a - b)) {
      if (offset > end) found.push({ offset: end, size: offset - end });
      end = offset + block.size;
    }
    if (end < usable) found.push({ offset: end, size: usable - end });
    return found;
  };
  const stats = () => {
    const usedBytes = [...blocks.values()].reduce((sum, block) => sum + block.size, 0);
    const largestFreeBytes = Math.max(0, ...gaps().map((gap) => gap.size));
    return { usedBytes, freeBytes: usable - usedBytes, largestFreeBytes, blocks: blocks.size };
  };
  const at = (offset: number): Block => {
    const block = blocks.get(offset);
    if (block === undefined) throw wrong(`no block begins at offset ${offset}; it was released or never allocated`);
    return block;
  };

  return {
    size: usable,
    stats,
    alloc(bytes, holder) {
      ensureOpen();
      if (!Number.isSafeInteger(bytes) || bytes < 1)
        throw wrong(`expected at least 1 byte for \`bytes\` but received ${bytes}`);
      const need = Math.ceil(bytes / ALIGN) * ALIGN;
      const gap = gaps().find((candidate) => candidate.size >= need);
      if (gap === undefined) {
        const { freeBytes, largestFreeBytes } = stats();
        throw new TwinkleError('SHM_FULL', `no room for ${bytes} bytes: ${freeBytes} of ${usable} are free`, {
          details: { needBytes: bytes, freeBytes, largestFreeBytes },
        });
      }
      blocks.set(gap.offset, { size: need, references: new Map([[holder, 1]]) });
      return gap.offset;
    },
    retain(offset, holder) {
      ensureOpen();
      const { references } = at(offset);
      references.set(holder, (references.get(holder) ?? 0) + 1);
    },
    release(offset, holder) {
      const { references } = at(offset);
      const count = references.get(holder);
      if (count === undefined) throw wrong(`holder ${holder} has no reference to the block at offset ${offset}`);
      if (count > 1) references.set(holder, count - 1);
      else references.delete(holder);
      if (references.size === 0) blocks.delete(offset);
    },
    releaseHolder(holder) {
      let freed = 0;
      for (const [offset, { references }] of blocks) {
        if (!references.delete(holder) || references.size > 0) continue;
        blocks.delete(offset);
        freed += 1;
      }
      return freed;
    },
  };
}
