/** Reading protobuf messages field by field: what is not known is skipped, what is torn or no message is refused. */
import { BinaryReader, type WireType } from '@bufbuild/protobuf/wire';

/** Reads the value of a field; false: it is not known here. */
type ReadField = (field: number, reader: BinaryReader, wire: WireType) => boolean;

/** The fields up to `end`. */
function readUntil(reader: BinaryReader, end: number, read: ReadField): void {
  if (end > reader.len) throw new RangeError('a message goes beyond its bytes');
  while (reader.pos < end) {
    const [field, wire] = reader.tag();
    if (!read(field, reader, wire)) reader.skip(wire, field);
  }
  if (reader.pos !== end) throw new RangeError('a field goes beyond its message');
}

/** A whole message. Throws RangeError or Error for what is none. */
export function readMessage(bytes: Uint8Array, read: ReadField): void {
  const reader = new BinaryReader(bytes);
  readUntil(reader, reader.len, read);
}

/** The message that a field holds. */
export function readInner(reader: BinaryReader, read: ReadField): void {
  const length = reader.uint32();
  readUntil(reader, reader.pos + length, read);
}

/** Repeated int64, packed or not. */
export function readExtents(reader: BinaryReader, wire: number, into: number[]): void {
  if (wire !== 2) {
    into.push(Number(reader.int64()));
    return;
  }
  const length = reader.uint32();
  const end = reader.pos + length;
  while (reader.pos < end) into.push(Number(reader.int64()));
}

/** A copy in memory of its own, where numbers are aligned. Not `slice`, which of a Buffer copies nothing. */
export const aligned = (bytes: Uint8Array): ArrayBuffer => new Uint8Array(bytes).buffer;
