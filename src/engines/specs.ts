/** What the runtime must know of an engine before any Python runs. Pure tables. */
import type { EngineName } from '../config/types.js';

export interface EngineSpec {
  /** Ranks are forked from a template that has imported the engine's libraries: pays when the import takes long. */
  readonly warm: boolean;
  /** `one`: a replica is one rank. `any`: tp × pp ranks. */
  readonly ranks: 'one' | 'any';
  /** With several ranks, the engine runs in a process of its own and drives them. */
  readonly drives: boolean;
}

export const ENGINE_SPECS: Readonly<Record<EngineName, EngineSpec>> = {
  vllm: { warm: true, ranks: 'any', drives: true },
  transformers: { warm: true, ranks: 'one', drives: false },
  mock: { warm: false, ranks: 'any', drives: false },
};
