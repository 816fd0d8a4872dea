/** The bytes of a work: tokens and inputs of all datums end to end, little endian as the machines that this runs on. Pure. */
import type { TrainInput, TrainWork } from '../../protocol/training.js';
import { IGNORED } from '../feature-fields.js';
import type { InputName } from './wire.js';

const INT64 = 2;

/** Token ids of all datums, and how many each has. */
export function packTokens(rows: readonly (readonly number[])[]): Pick<TrainWork, 'tokens' | 'lengths'> {
  return { tokens: bytesOf(Int32Array.from(rows.flat())), lengths: rows.map((row) => row.length) };
}

/** Labels as int64; where none counts, any token does. */
export function packTargets(rows: readonly (readonly number[])[]): TrainInput {
  const labels = rows.flat();
  // Ids have 31 bits: the upper half is 0.
  const halves = new Int32Array(labels.length * INT64);
  labels.forEach((label, at) => {
    halves[at * INT64] = label === IGNORED ? 0 : label;
  });
  return { name: 'target_tokens', dtype: 'int64', data: bytesOf(halves), shapes: rows.map((row) => [row.length]) };
}

/** Numbers as float32. */
export function packNumbers(name: InputName, rows: readonly (readonly number[])[]): TrainInput {
  return {
    name,
    dtype: 'float32',
    data: bytesOf(Float32Array.from(rows.flat())),
    shapes: rows.map((row) => [row.length]),
  };
}

function bytesOf({ buffer, byteLength, byteOffset }: Int32Array | Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
