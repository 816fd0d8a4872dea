/**
 * Tensors in one shared segment: allocated here, read by ranks without a copy, freed when nobody holds them any more.
 * A holder is this process (0) or a rank (1 + its number); what a rank held is released when its process is gone.
 */
import { TwinkleError } from '../errors.js';
import type { Native, NativeArena, NativeSegment } from '../native/types.js';
import type { SegmentParams, TensorHandle } from '../protocol/values.js';
import { tensorBytes } from './dtype.js';

/** A rank that can take a segment: supervisor/rank-session.ts and its channel. */
export interface SegmentPeer {
  readonly rank: number;
  /** Send the descriptor ahead of the call. */
  pass(segment: string, fd: number): void;
  call(method: 'attach_segment' | 'detach_segment', params: SegmentParams): Promise<null>;
  /** Resolves when its process is gone. */
  readonly gone: Promise<void>;
}

/** A tensor that this process holds. */
export interface Tensor extends Disposable {
  readonly handle: TensorHandle;
  /** The elements, in the shared pages: C order, little endian. Not to be used after release. */
  readonly bytes: Uint8Array;
  /** This process needs it no more. Idempotent. */
  release(): void;
}

export interface TensorStoreOptions {
  /** Unique among the segments a rank sees. */
  readonly name: string;
  /** Capacity in bytes. */
  readonly size: number;
  /** Page-lock it: what device copies at full speed need. */
  readonly lock: boolean;
}

const SELF = 0;
const holderOf = (rank: number): number => rank + 1;

export class TensorStore implements Disposable {
  readonly #segment: NativeSegment;
  readonly #arena: NativeArena;
  #closed = false;

  /** @throws SHM_FULL, MEMLOCK_LIMIT */
  constructor(native: Native, options: TensorStoreOptions) {
    this.#segment = native.segmentCreate({ ...options, register: 'none' });
    this.#arena = native.arena(this.#segment);
  }

  /** Of the segment. */
  get name(): string {
    return this.#segment.name;
  }

  /** Let a rank read the segment; once per rank and epoch. What it holds at its end is released then. */
  async share(peer: SegmentPeer): Promise<void> {
    const { name, size, fd } = this.#segment;
    void peer.gone.then(() => {
      if (!this.#closed) this.#arena.releaseHolder(holderOf(peer.rank));
    });
    peer.pass(name, fd);
    await peer.call('attach_segment', { segment: name, size });
  }

  /** Have a rank let go of the segment: no tensor of it may be in use there. */
  async unshare(peer: Pick<SegmentPeer, 'call'>): Promise<void> {
    const { name, size } = this.#segment;
    await peer.call('detach_segment', { segment: name, size });
  }

  /**
   * Keep a tensor's memory beside whoever has it. Returns how to let it go; that may be called after the store's end.
   * @throws NATIVE for what was not allocated here, or was freed; INVALID_REQUEST for another segment's
   */
  hold({ offset, segment }: TensorHandle): () => void {
    if (segment !== this.name) {
      throw new TwinkleError(
        'INVALID_REQUEST',
        `expected a tensor of segment ${this.name} but received one of ${segment}`,
      );
    }
    this.#arena.retain(offset, SELF);
    let held = true;
    return () => {
      if (held && !this.#closed) this.#arena.release(offset, SELF);
      held = false;
    };
  }

  /**
   * Room for a tensor; its bytes are what was there before.
   * @throws SHM_FULL with what is free, INVALID_REQUEST for a bad dtype or shape
   */
  allocate(dtype: string, shape: readonly number[]): Tensor {
    const length = tensorBytes(dtype, shape);
    const offset = this.#arena.alloc(Math.max(1, length), SELF);
    const bytes = new Uint8Array(this.#segment.buffer(), offset, length);
    let held = true;
    const release = (): void => {
      if (held) this.#arena.release(offset, SELF);
      held = false;
    };
    const handle: TensorHandle = { segment: this.#segment.name, offset, dtype, shape: [...shape] };
    return { handle, bytes, release, [Symbol.dispose]: release };
  }

  /** A tensor with these bytes. */
  put(dtype: string, shape: readonly number[], data: Uint8Array): Tensor {
    const expected = tensorBytes(dtype, shape);
    if (data.byteLength !== expected) {
      throw new TwinkleError(
        'INVALID_REQUEST',
        `expected ${expected} bytes for ${dtype}[${shape.join(', ')}] but received ${data.byteLength}`,
      );
    }
    const tensor = this.allocate(dtype, shape);
    tensor.bytes.set(data);
    return tensor;
  }

  /** A rank holds the tensor, until {@link giveBack} or its end. */
  lend(handle: TensorHandle, rank: number): void {
    this.#arena.retain(handle.offset, holderOf(rank));
  }

  giveBack(handle: TensorHandle, rank: number): void {
    this.#arena.release(handle.offset, holderOf(rank));
  }

  stats(): ReturnType<NativeArena['stats']> {
    return this.#arena.stats();
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#segment.close();
  }
}
