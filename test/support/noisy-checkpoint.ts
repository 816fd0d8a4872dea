/** A second checkpoint of the demo model: its tensors with seeded noise, as bytes for a segment or in a folder. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DEMO_MODEL } from '../../src/config/package-root.js';
import { randomFrom } from './random.js';

export interface NoisyTensor {
  readonly name: string;
  readonly dtype: 'bfloat16';
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** The demo model's safetensors, every element times a factor between 0.5 and 1.5. */
function noisyFile(seed: number): { bytes: Buffer; tensors: NoisyTensor[] } {
  const bytes = readFileSync(join(DEMO_MODEL, 'model.safetensors'));
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const { __metadata__, ...entries } = JSON.parse(bytes.toString('utf8', 8, start));
  const next = randomFrom(seed);
  const float = new Float32Array(1);
  const word = new Uint32Array(float.buffer);
  const tensors = Object.entries(entries as Record<string, Entry>).map(([name, { data_offsets, dtype, shape }]) => {
    if (dtype !== 'BF16') throw new Error(`${name} is ${dtype}`);
    const data = bytes.subarray(start + data_offsets[0], start + data_offsets[1]);
    for (let at = 0; at < data.length; at += 2) {
      word[0] = data.readUInt16LE(at) << 16;
      float[0] = (float[0] as number) * (0.5 + next());
      data.writeUInt16LE((word[0] as number) >>> 16, at);
    }
    return { name, dtype: 'bfloat16', shape, data } as const;
  });
  return { bytes, tensors };
}

export function noisyTensors(seed: number): readonly NoisyTensor[] {
  return noisyFile(seed).tensors;
}

/** Write a checkpoint to a folder that does not exist yet. Returns the folder. */
export function writeNoisyCheckpoint(folder: string, seed: number): string {
  cpSync(DEMO_MODEL, folder, { recursive: true });
  writeFileSync(join(folder, 'model.safetensors'), noisyFile(seed).bytes);
  return folder;
}
