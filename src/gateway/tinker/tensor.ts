/** Tensors of the wire as dense bytes whose length fits their shape. */
import { TwinkleError } from '../../errors.js';
import type { WireTensor } from '../../protocol/tinker/forward-backward-request.js';

/** Bytes of an element of the dtypes that the SDK sends. */
const WIDTHS: Readonly<Record<string, number>> = { float32: 4, int64: 8 };
const INDEX_BYTES = 8;
/** Elements of a tensor at most: more cannot be meant, and zeros of a sparse one cost memory. */
const MAX_ELEMENTS = 2 ** 28;

export interface DenseTensor {
  readonly dtype: 'float32' | 'int64';
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** @throws `INVALID_REQUEST` naming `where` */
export function denseTensor({ dense, dtype, shape, sparse }: WireTensor, where: string): DenseTensor {
  const wrong = (text: string): TwinkleError =>
    new TwinkleError('INVALID_REQUEST', `${where}: ${text}`, { param: where });
  const width = WIDTHS[dtype];
  if (width === undefined) throw wrong(`expected dtype float32 or int64 but received ${dtype}`);
  const size = shape.reduce((product, extent) => product * extent, 1);
  if (shape.some((extent) => extent < 0) || !(size <= MAX_ELEMENTS))
    throw wrong(`expected a shape of at most ${MAX_ELEMENTS} elements but received [${shape.join(', ')}]`);
  const known = dtype as DenseTensor['dtype'];
  if (sparse !== null) return { dtype: known, shape, bytes: expand(sparse, shape, width, wrong) };
  const bytes = dense ?? new Uint8Array(0);
  if (bytes.byteLength === size * width) return { dtype: known, shape, bytes };
  throw wrong(`expected ${size * width} bytes for ${dtype}[${shape.join(', ')}] but received ${bytes.byteLength}`);
}

/** CSR of two dimensions. */
function expand(
  { col, crow, values }: NonNullable<WireTensor['sparse']>,
  shape: readonly number[],
  width: number,
  wrong: (text: string) => TwinkleError,
): Uint8Array {
  const [rows = 0, columns = 0] = shape;
  const entries = values.byteLength / width;
  if (shape.length !== 2 || crow.byteLength !== (rows + 1) * INDEX_BYTES || col.byteLength !== entries * INDEX_BYTES)
    throw wrong('expected a CSR tensor of two dimensions, with an index for each value and each row');
  const rowEnds = new DataView(crow.buffer, crow.byteOffset, crow.byteLength);
  const places = new DataView(col.buffer, col.byteOffset, col.byteLength);
  const bytes = new Uint8Array(rows * columns * width);
  let from = 0;
  for (let row = 0; row < rows; row++) {
    const to = Number(rowEnds.getBigInt64((row + 1) * INDEX_BYTES, true));
    if (to < from || to > entries) throw wrong('expected row indices that grow up to the number of values');
    for (let at = from; at < to; at++) {
      const column = Number(places.getBigInt64(at * INDEX_BYTES, true));
      if (column < 0 || column >= columns)
        throw wrong(`expected columns of 0 to ${columns - 1} but received ${column}`);
      bytes.set(values.subarray(at * width, (at + 1) * width), (row * columns + column) * width);
    }
    from = to;
  }
  if (from !== entries) throw wrong('expected row indices that grow up to the number of values');
  return bytes;
}
