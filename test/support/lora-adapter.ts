/** PEFT adapters for the demo model, written without Python: random weights, strong enough to change every answer. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DEMO_MODEL } from '../../src/config/package-root.js';
import { randomFrom } from './random.js';

const RANK = 4;

interface Shape {
  readonly hidden_size: number;
  readonly num_attention_heads: number;
  readonly head_dim: number;
  readonly num_hidden_layers: number;
}

/** File name → content. The same seed gives the same adapter. */
export function loraAdapter(seed: number): ReadonlyMap<string, Buffer> {
  const shape = JSON.parse(readFileSync(join(DEMO_MODEL, 'config.json'), 'utf8')) as Shape;
  const random = randomFrom(seed);
  const tensors: [string, [number, number]][] = Array.from({ length: shape.num_hidden_layers }, (_, layer) => {
    const name = `base_model.model.model.layers.${layer}.self_attn.o_proj`;
    return [
      [`${name}.lora_A.weight`, [RANK, shape.num_attention_heads * shape.head_dim]],
      [`${name}.lora_B.weight`, [shape.hidden_size, RANK]],
    ] as [string, [number, number]][];
  }).flat();
  let end = 0;
  const header: Record<string, unknown> = {};
  for (const [name, [rows, columns]] of tensors) {
    header[name] = { dtype: 'F32', shape: [rows, columns], data_offsets: [end, end + rows * columns * 4] };
    end += rows * columns * 4;
  }
  const described = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(described.length));
  // Sums of uniform numbers: close enough to a normal distribution of variance 1.
  const weights = Float32Array.from({ length: end / 4 }, () => (random() + random() + random() - 1.5) * 2);
  const config = {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    r: RANK,
    lora_alpha: RANK,
    target_modules: ['o_proj'],
    bias: 'none',
    base_model_name_or_path: DEMO_MODEL,
  };
  return new Map([
    ['adapter_config.json', Buffer.from(JSON.stringify(config))],
    ['adapter_model.safetensors', Buffer.concat([length, described, Buffer.from(weights.buffer)])],
  ]);
}
