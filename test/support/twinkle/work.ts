/** Reads the bytes of a work back, for tests. */
import type { TrainWork } from '../../../src/protocol/training.js';

const READERS = {
  int32: (view: DataView, at: number) => view.getInt32(at * 4, true),
  int64: (view: DataView, at: number) => Number(view.getBigInt64(at * 8, true)),
  float32: (view: DataView, at: number) => view.getFloat32(at * 4, true),
};
const WIDTH = { int32: 4, int64: 8, float32: 4 };

function values(data: Uint8Array, dtype: keyof typeof READERS): number[] {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return Array.from({ length: data.byteLength / WIDTH[dtype] }, (_, at) => READERS[dtype](view, at));
}

/** Tokens and inputs as numbers, one row for each datum. */
export function unpack({
  inputs,
  lengths,
  tokens,
}: Pick<TrainWork, 'inputs' | 'lengths' | 'tokens'>): Record<string, number[][]> {
  const rows = (all: number[], sizes: readonly number[]) => sizes.map((size) => all.splice(0, size));
  const named = inputs.map(({ data, dtype, name, shapes }) => {
    const sizes = shapes.map((shape) => (shape ?? []).reduce((size, axis) => size * axis, 1));
    return [name, rows(values(data, dtype as keyof typeof READERS), sizes)];
  });
  return { tokens: rows(values(tokens, 'int32'), lengths), ...Object.fromEntries(named) };
}
