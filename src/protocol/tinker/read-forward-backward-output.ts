/** The protobuf message `tinker_public.ForwardBackwardOutput`, read, as this server writes it: float32 alone. Pure. */
import type { BinaryReader } from '@bufbuild/protobuf/wire';
import { aligned, readExtents, readInner, readMessage } from './wire.js';

/** An output of one datum. */
export interface ReadTensor {
  readonly data: Float32Array;
  readonly shape: readonly number[];
}

export interface ReadOutput {
  /** Of each datum, by name. */
  readonly datums: ReadonlyMap<string, ReadTensor>[];
  readonly metrics: Map<string, number>;
}

const FLOAT_BYTES = 4;

/** All datums of one field of a record. */
function readBatch(reader: BinaryReader): ReadTensor[] {
  let data: Uint8Array = new Uint8Array(0);
  let edges: Uint8Array = data;
  const trailing: number[] = [];
  readInner(reader, (field, _, wire) => {
    if (field === 1) data = reader.bytes();
    else if (field === 2) edges = reader.bytes();
    else if (field === 4) readExtents(reader, wire, trailing);
    else return false;
    return true;
  });
  const width = trailing.reduce((size, extent) => size * extent, FLOAT_BYTES);
  const view = new DataView(edges.buffer, edges.byteOffset, edges.byteLength);
  return Array.from({ length: edges.byteLength / 8 - 1 }, (_, at) => {
    const from = Number(view.getBigInt64(at * 8, true));
    const to = Number(view.getBigInt64(at * 8 + 8, true));
    const values = new Float32Array(aligned(data.subarray(from, to)));
    return { data: values, shape: [width === 0 ? 0 : (to - from) / width, ...trailing] };
  });
}

function readRecord(reader: BinaryReader): Map<string, ReadTensor>[] {
  const datums: Map<string, ReadTensor>[] = [];
  readInner(reader, (field) => {
    if (field !== 2) return false;
    let name = '';
    let batch: ReadTensor[] = [];
    readInner(reader, (inner) => {
      if (inner === 1) name = reader.string();
      else if (inner === 2) batch = readBatch(reader);
      else return false;
      return true;
    });
    batch.forEach((tensor, at) => {
      const datum = datums[at] ?? new Map<string, ReadTensor>();
      datums[at] = datum.set(name, tensor);
    });
    return true;
  });
  return datums;
}

/** Throws Error for bytes that are no such message. */
export function readForwardBackwardOutput(bytes: Uint8Array): ReadOutput {
  const output: ReadOutput = { datums: [], metrics: new Map() };
  readMessage(bytes, (field, reader) => {
    if (field === 2) output.datums.push(...readRecord(reader));
    else if (field === 3) {
      let name = '';
      let value = 0;
      readInner(reader, (inner) => {
        if (inner === 1) name = reader.string();
        else if (inner === 2) value = reader.double();
        else return false;
        return true;
      });
      output.metrics.set(name, value);
    } else return false;
    return true;
  });
  return output;
}
