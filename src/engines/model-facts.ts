/** What the files of a model folder say about splitting and size, before any Python runs. Reads names, sizes and config.json only. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Facts of a checkpoint; null: the files do not say. */
export interface ModelFacts {
  readonly attentionHeads: number | null;
  readonly keyValueHeads: number | null;
  readonly layers: number | null;
  /** Bytes that the weights take on a device at least, when nothing converts them. */
  readonly weightBytes: number | null;
}

type Json = Readonly<Record<string, unknown>>;

/** Configurations of the language part inside of those of multimodal models. */
const NESTED = ['text_config', 'llm_config', 'language_config'];

/** Read a folder. Null: it is no folder with a config.json that can be read (a hub id, or the engine's own business). */
export function readModelFacts(folder: string): ModelFacts | null {
  const config = readJson(join(folder, 'config.json'));
  if (config === null) return null;
  const text = NESTED.map((key) => config[key]).find(isObject) ?? config;
  const bytes = safetensorsBytes(folder);
  // Engines load float32 checkpoints in half of that.
  const halved = [text.dtype, text.torch_dtype, config.dtype, config.torch_dtype].includes('float32');
  return {
    attentionHeads: count(text.num_attention_heads ?? text.n_head),
    keyValueHeads: count(text.num_key_value_heads),
    layers: count(text.num_hidden_layers ?? text.n_layer),
    weightBytes: bytes === null ? null : halved ? bytes / 2 : bytes,
  };
}

/** Sum of the files that the index names; without one, of all of them when they are one set. */
function safetensorsBytes(folder: string): number | null {
  const map = readJson(join(folder, 'model.safetensors.index.json'))?.weight_map;
  try {
    const names = isObject(map)
      ? new Set(Object.values(map).map(String))
      : readdirSync(folder).filter((name) => name === 'model.safetensors');
    const sizes = [...names].map((name) => statSync(join(folder, name)).size);
    return sizes.length === 0 ? null : sizes.reduce((sum, size) => sum + size, 0);
  } catch {
    return null;
  }
}

function readJson(path: string): Json | null {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function count(value: unknown): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : null;
}
