/**
 * Bodies in zstd, decompressed whole, and only when they say how large their content is: by Node off this thread where it can (22.15 and
 * later), else by libzstd in WebAssembly.
 */
import { Transform, type TransformCallback } from 'node:stream';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { TwinkleError } from '../../errors.js';

/** The largest window that a small body may need, as a power of two: what RFC 9659 has every server take. */
const WINDOW_LOG = 23;
const MAGIC = 0xfd2fb528;
/** Bytes of a frame's size in its header, by the two highest bits of the descriptor. */
const SIZE_BYTES = [0, 2, 4, 8] as const;
const DICTIONARY_BYTES = [0, 1, 2, 4] as const;

/** A frame's content, of so many bytes. Throws, or gives less, for what it cannot decode. */
type Decode = (frame: Uint8Array, size: number) => Promise<Uint8Array>;

/** What Node 20's types do not know. */
interface NativeZstd {
  zstdDecompress?(
    frame: Uint8Array,
    options: { maxOutputLength: number; params: Record<number, number> },
    done: (error: Error | null, content: Uint8Array) => void,
  ): void;
  readonly constants: { readonly ZSTD_d_windowLogMax?: number };
}

function nativeDecode({ constants: { ZSTD_d_windowLogMax }, zstdDecompress }: NativeZstd): Decode | null {
  if (zstdDecompress === undefined || ZSTD_d_windowLogMax === undefined) return null;
  const decompress = promisify(zstdDecompress);
  return (frame, size) => {
    const windowLog = Math.min(30, Math.max(WINDOW_LOG, Math.ceil(Math.log2(size + 1))));
    return decompress(frame, { maxOutputLength: Math.max(1, size), params: { [ZSTD_d_windowLogMax]: windowLog } });
  };
}

async function loadWasm(): Promise<Decode> {
  const { ZSTDDecoder } = await import('zstddec');
  const decoder = new ZSTDDecoder();
  await decoder.init();
  return async (frame, size) => decoder.decode(frame, size);
}

/** Loaded with the first body that needs it. */
let wasm: Promise<Decode> | null = null;

const wasmDecode: Decode = async (frame, size) => {
  wasm ??= loadWasm();
  return (await wasm)(frame, size);
};

/** @param limit of the body, compressed and not */
export function zstdDecoder(limit: number, native: NativeZstd = zlib as NativeZstd): Transform {
  return new WholeZstd(limit, nativeDecode(native));
}

const unsound = (cause?: unknown): TwinkleError =>
  new TwinkleError('INVALID_REQUEST', 'The request body is not zstd, or not whole.', { cause });

/** How large the content of a frame is, as its header says. Null: it does not. @throws `INVALID_REQUEST` for what is no frame */
export function contentSize(frame: Buffer): number | null {
  const descriptor = frame.length < 6 || frame.readUInt32LE(0) !== MAGIC ? null : frame.readUInt8(4);
  if (descriptor === null) throw unsound();
  const single = (descriptor & 0x20) !== 0;
  const kind = descriptor >> 6;
  const length = kind === 0 && single ? 1 : (SIZE_BYTES[kind] ?? 0);
  if (length === 0) return null;
  const at = 5 + (single ? 0 : 1) + (DICTIONARY_BYTES[descriptor & 3] ?? 0);
  if (frame.length < at + length) throw unsound();
  if (length === 8) return Number(frame.readBigUInt64LE(at));
  return frame.readUIntLE(at, length) + (length === 2 ? 256 : 0);
}

function sizeOf(frame: Buffer, limit: number): number {
  const size = contentSize(frame);
  if (size === null) {
    throw new TwinkleError(
      'INVALID_REQUEST',
      'The zstd body does not say how large its content is: compress it in one piece, not as a stream.',
    );
  }
  if (size <= limit) return size;
  throw new TwinkleError('BODY_TOO_LARGE', `The body has ${size} bytes, which is over the limit of this server.`);
}

/** Collects the compressed body, which is bounded as any body is, and gives its content in one piece. */
class WholeZstd extends Transform {
  readonly #parts: Buffer[] = [];
  #held = 0;

  constructor(
    private readonly limit: number,
    private readonly native: Decode | null,
  ) {
    super();
  }

  override _transform(part: Buffer, _encoding: unknown, done: TransformCallback): void {
    this.#held += part.length;
    this.#parts.push(part);
    done(this.#held > this.limit ? new TwinkleError('BODY_TOO_LARGE', 'The compressed body is over the limit.') : null);
  }

  override _flush(done: TransformCallback): void {
    this.#content().then((content) => done(null, content), done);
  }

  async #content(): Promise<Uint8Array> {
    const frame = Buffer.concat(this.#parts);
    const size = sizeOf(frame, this.limit);
    const content = await (this.native ?? wasmDecode)(frame, size).catch((error: unknown) => {
      throw unsound(error);
    });
    if (content.length !== size) throw unsound();
    return content;
  }
}
