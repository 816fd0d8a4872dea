/** Arrays of numbers with a shape: what numpy arrays are in Node. Pure. */
import { TwinkleError } from '../errors.js';

/** Element type → numpy's name of it, and the typed array of its elements. `float16` are raw bits: Node 20 has no such array. */
const DTYPES = {
  bool: ['|b1', Uint8Array],
  int8: ['|i1', Int8Array],
  uint8: ['|u1', Uint8Array],
  int16: ['<i2', Int16Array],
  uint16: ['<u2', Uint16Array],
  int32: ['<i4', Int32Array],
  uint32: ['<u4', Uint32Array],
  int64: ['<i8', BigInt64Array],
  uint64: ['<u8', BigUint64Array],
  float16: ['<f2', Uint16Array],
  float32: ['<f4', Float32Array],
  float64: ['<f8', Float64Array],
} as const;

/** Type of an array's elements. */
export type NdArrayDtype = keyof typeof DTYPES;

/** Elements of an {@link NdArray}, in C order. */
export type NdArrayData =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | Float32Array
  | Float64Array;

const KINDS = Object.values(DTYPES).map(([, kind]) => kind);
const BY_NUMPY = new Map<string, NdArrayDtype>(
  Object.entries(DTYPES).map(([dtype, [numpy]]) => [numpy, dtype as NdArrayDtype]),
);

/**
 * An array of numbers with a shape: a numpy array on the other side. One that came from there lies in shared memory where it is large; it may be
 * written to, and what is written stays in this process.
 */
export class NdArray {
  /** Extents; none for a scalar. */
  readonly shape: readonly number[];
  readonly dtype: NdArrayDtype;
  /** The elements, in C order. */
  readonly data: NdArrayData;

  /**
   * @param shape default: one dimension
   * @param dtype default: that of the typed array; `bool` (of a Uint8Array) and `float16` (bits in a Uint16Array) have to be named
   * @throws TwinkleError `INVALID_REQUEST` when they do not fit each other
   */
  constructor(data: NdArrayData, shape: readonly number[] = [data.length], dtype: NdArrayDtype = dtypeOf(data)) {
    const wanted = DTYPES[dtype]?.[1];
    if (wanted === undefined) throw wrong(`one of ${Object.keys(DTYPES).join(', ')}`, 'dtype', String(dtype));
    if (!(data instanceof wanted)) throw wrong(`a ${wanted.name} of ${dtype}`, 'data', data.constructor.name);
    const bad = shape.find((extent) => !Number.isSafeInteger(extent) || extent < 0);
    if (bad !== undefined) throw wrong('whole numbers ≥ 0', 'shape', `[${shape.join(', ')}]`);
    const count = shape.reduce((product, extent) => product * extent, 1);
    if (count !== data.length)
      throw wrong(`${count} elements for shape [${shape.join(', ')}]`, 'data', String(data.length));
    this.data = data;
    this.shape = [...shape];
    this.dtype = dtype;
  }
}

/** Whether it is one of the typed arrays that are arrays of numbers on the other side. `Uint8Array`s are bytes there. */
export function isNumbers(value: unknown): value is NdArrayData {
  return !(value instanceof Uint8Array) && KINDS.some((kind) => value instanceof kind);
}

/** numpy's name of an element type. */
export function numpyName(dtype: NdArrayDtype): string {
  return DTYPES[dtype][0];
}

/**
 * The array of bytes from elsewhere; a number, boolean or bigint where it is a scalar. A view where the bytes are aligned for it, else a copy.
 * @throws TwinkleError `SERIALIZATION` for what is none
 */
export function fromNumpy(
  numpy: string,
  shape: readonly number[],
  bytes: Uint8Array,
): NdArray | number | bigint | boolean {
  const dtype = BY_NUMPY.get(numpy);
  if (dtype === undefined) {
    throw new TwinkleError(
      'SERIALIZATION',
      `expected one of ${[...BY_NUMPY.keys()].join(', ')} for \`dtype\` but received ${numpy}`,
    );
  }
  const kind = DTYPES[dtype][1];
  const size = kind.BYTES_PER_ELEMENT;
  // Not slice(): that of a Buffer is a view.
  const aligned = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes);
  const data = new kind(aligned.buffer as ArrayBuffer, aligned.byteOffset, aligned.byteLength / size);
  const [first] = data;
  if (shape.length > 0 || first === undefined) return new NdArray(data, shape, dtype);
  if (dtype === 'bool') return first !== 0;
  if (dtype === 'float16') return half(Number(first));
  return typeof first === 'bigint' && Number.isSafeInteger(Number(first)) ? Number(first) : first;
}

function dtypeOf(data: NdArrayData): NdArrayDtype {
  const found = Object.entries(DTYPES).find(
    ([dtype, [, kind]]) => data instanceof kind && dtype !== 'bool' && dtype !== 'float16',
  );
  if (found === undefined) throw wrong('a typed array of numbers', 'data', Object.prototype.toString.call(data));
  return found[0] as NdArrayDtype;
}

/** IEEE 754 binary16. */
function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * 2 ** -24 * fraction;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * 2 ** (exponent - 15) * (1 + fraction / 1024);
}

function wrong(expected: string, name: string, received: string): TwinkleError {
  return new TwinkleError('INVALID_REQUEST', `expected ${expected} for \`${name}\` but received ${received}`);
}
