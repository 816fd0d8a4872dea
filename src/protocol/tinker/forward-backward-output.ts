/** The protobuf message `tinker_public.ForwardBackwardOutput`, written. Field numbers are the Tinker SDK's (0.38). Pure. */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

/** One output of all datums: float32, datums end to end. */
export interface OutputField {
  readonly name: string;
  readonly data: Uint8Array;
}

export interface ForwardBackwardOutput {
  /** Of each datum, the same for all its fields: `[N]` or `[N, K]`. */
  readonly shapes: readonly (readonly number[])[];
  readonly fields: readonly OutputField[];
  /** By `name:reduction`. */
  readonly metrics: Readonly<Record<string, number>>;
}

const FLOAT32 = 1;
const FLOAT_BYTES = 4;
const TYPE = 'ArrayRecord';

/** Datums side by side whose outputs have the same shape but for the length: one record holds them. */
interface Stretch {
  readonly trailing: readonly number[];
  /** Where each datum begins, and the last one ends, in bytes of a field. */
  readonly edges: number[];
}

function stretches(shapes: ForwardBackwardOutput['shapes']): Stretch[] {
  const all: Stretch[] = [];
  let at = 0;
  for (const [length = 0, ...trailing] of shapes) {
    const last = all.at(-1);
    const stretch = last !== undefined && String(last.trailing) === String(trailing) ? last : { trailing, edges: [at] };
    if (stretch !== last) all.push(stretch);
    at += trailing.reduce((size, extent) => size * extent, length) * FLOAT_BYTES;
    stretch.edges.push(at);
  }
  return all;
}

function writeTensor(writer: BinaryWriter, { data }: OutputField, { edges, trailing }: Stretch): void {
  const [from = 0] = edges;
  const offsets = BigInt64Array.from(edges, (edge) => BigInt(edge - from));
  writer.tag(1, WireType.LengthDelimited).bytes(data.subarray(from, edges.at(-1)));
  writer.tag(2, WireType.LengthDelimited).bytes(new Uint8Array(offsets.buffer));
  writer.tag(3, WireType.Varint).int32(FLOAT32);
  for (const extent of trailing) writer.tag(4, WireType.Varint).int64(extent);
}

function writeRecord(writer: BinaryWriter, fields: readonly OutputField[], stretch: Stretch): void {
  writer.tag(1, WireType.LengthDelimited).string(TYPE);
  for (const field of fields) {
    writer.tag(2, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.LengthDelimited).string(field.name);
    writer.tag(2, WireType.LengthDelimited).fork();
    writeTensor(writer, field, stretch);
    writer.join();
    writer.join();
  }
  writer.tag(3, WireType.Varint).int64(stretch.edges.length - 1);
}

/** The message's bytes. */
export function encodeForwardBackwardOutput({ fields, metrics, shapes }: ForwardBackwardOutput): Uint8Array {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.LengthDelimited).string(TYPE);
  for (const stretch of stretches(shapes)) {
    writer.tag(2, WireType.LengthDelimited).fork();
    writeRecord(writer, fields, stretch);
    writer.join();
  }
  for (const [name, value] of Object.entries(metrics)) {
    writer.tag(3, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.LengthDelimited).string(name);
    writer.tag(2, WireType.Bit64).double(value);
    writer.join();
  }
  return writer.finish();
}
