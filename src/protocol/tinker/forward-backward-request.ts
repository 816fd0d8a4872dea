/** The protobuf message `tinker_public.ForwardBackwardRequest`, read. Field numbers are the Tinker SDK's (0.38). Pure; bytes stay slices of the body. */
import type { BinaryReader } from '@bufbuild/protobuf/wire';
import { readExtents, readInner, readMessage } from './wire.js';

/** `DType` of the wire. */
const DTYPES = ['unspecified', 'float32', 'int64', 'int32', 'bfloat16'] as const;
export type WireDtype = (typeof DTYPES)[number];

/** A tensor as it came: dense, or as CSR of two dimensions. */
export interface WireTensor {
  dtype: WireDtype;
  shape: number[];
  dense: Uint8Array | null;
  sparse: { values: Uint8Array; crow: Uint8Array; col: Uint8Array } | null;
}

/** A part of a datum's input: token ids (int32), or what it is instead. */
export type WireChunk = { readonly tokens: Uint8Array } | { readonly other: string };

export interface WireDatum {
  readonly chunks: WireChunk[];
  readonly inputs: Map<string, WireTensor>;
  /** How many positions of the input and of the targets it says the provenance of; null: it says nothing. */
  spans: { input: number; targets: number } | null;
}

export interface ForwardBackwardRequest {
  modelId: string;
  seqId: number;
  readonly data: WireDatum[];
  loss: string;
  readonly config: Map<string, number | string>;
  forwardOnly: boolean;
}

const NONE: Uint8Array = new Uint8Array(0);

function readChunk(reader: BinaryReader): WireChunk {
  let chunk: WireChunk = { other: 'empty chunk' };
  readInner(reader, (field) => {
    if (field === 1) {
      let tokens: Uint8Array = NONE;
      readInner(reader, (inner) => {
        if (inner !== 1) return false;
        tokens = reader.bytes();
        return true;
      });
      chunk = { tokens };
      return true;
    }
    chunk = { other: field === 2 ? 'image' : field === 3 ? 'audio' : `chunk ${field}` };
    return false;
  });
  return chunk;
}

function readTensor(reader: BinaryReader): WireTensor {
  const tensor: WireTensor = { dtype: 'unspecified', shape: [], dense: null, sparse: null };
  readInner(reader, (field, _, wire) => {
    if (field === 1) tensor.dense = reader.bytes();
    else if (field === 2) tensor.sparse = readSparse(reader);
    else if (field === 3) tensor.dtype = DTYPES[reader.int32()] ?? 'unspecified';
    else if (field === 4) readExtents(reader, wire, tensor.shape);
    else return false;
    return true;
  });
  return tensor;
}

function readSparse(reader: BinaryReader): NonNullable<WireTensor['sparse']> {
  const sparse: NonNullable<WireTensor['sparse']> = { values: NONE, crow: NONE, col: NONE };
  readInner(reader, (field) => {
    if (field === 1) sparse.values = reader.bytes();
    else if (field === 2) sparse.crow = reader.bytes();
    else if (field === 3) sparse.col = reader.bytes();
    else return false;
    return true;
  });
  return sparse;
}

/** A map's entry: field 1 the key, field 2 the value. */
function readEntry<V>(reader: BinaryReader, missing: V, readValue: (reader: BinaryReader) => V): [string, V] {
  let key = '';
  let value = missing;
  readInner(reader, (field) => {
    if (field === 1) key = reader.string();
    else if (field === 2) value = readValue(reader);
    else return false;
    return true;
  });
  return [key, value];
}

const emptyTensor = (): WireTensor => ({ dtype: 'unspecified', shape: [], dense: null, sparse: null });

/** Of a ProvenanceSpan, be it of a prompt or of sampled tokens; which sequence it names is of no use here. */
function readSpanLength(reader: BinaryReader): number {
  let length = 0;
  readInner(reader, (field) => {
    if (field !== 1 && field !== 2) return false;
    readInner(reader, (inner) => {
      if (inner !== 3) return false;
      length = Number(reader.int64());
      return true;
    });
    return true;
  });
  if (length < 0) throw new RangeError('a span of negative length');
  return length;
}

function readDatum(reader: BinaryReader): WireDatum {
  const datum: WireDatum = { chunks: [], inputs: new Map(), spans: null };
  readInner(reader, (field) => {
    if (field === 1) datum.chunks.push(readChunk(reader));
    else if (field === 2) datum.inputs.set(...readEntry(reader, emptyTensor(), readTensor));
    else if (field === 3 || field === 4) {
      datum.spans ??= { input: 0, targets: 0 };
      datum.spans[field === 3 ? 'input' : 'targets'] += readSpanLength(reader);
    } else return false;
    return true;
  });
  return datum;
}

function readConfigValue(reader: BinaryReader): number | string {
  let value: number | string = 0;
  readInner(reader, (field) => {
    if (field === 1) value = reader.double();
    else if (field === 2) value = reader.string();
    else return false;
    return true;
  });
  return value;
}

/** Throws Error for bytes that are no such message. */
export function decodeForwardBackwardRequest(bytes: Uint8Array): ForwardBackwardRequest {
  const request: ForwardBackwardRequest = {
    modelId: '',
    seqId: 0,
    data: [],
    loss: '',
    config: new Map(),
    forwardOnly: false,
  };
  // Numbers come in both maps, texts in the second alone.
  const typed = new Map<string, number | string>();
  readMessage(bytes, (field, reader) => {
    if (field === 1) request.modelId = reader.string();
    else if (field === 2) request.seqId = reader.int32();
    else if (field === 3) request.data.push(readDatum(reader));
    else if (field === 4) request.loss = reader.string();
    else if (field === 5) request.config.set(...readEntry<number | string>(reader, 0, (inner) => inner.double()));
    else if (field === 6) request.forwardOnly = reader.bool();
    else if (field === 7) typed.set(...readEntry<number | string>(reader, 0, readConfigValue));
    else return false;
    return true;
  });
  for (const [key, value] of typed) request.config.set(key, value);
  return request;
}
