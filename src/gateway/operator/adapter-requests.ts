/** Bodies of the adapter routes: vLLM's fields, and `model` where several are served. */
import { type Static, Type } from '../../protocol/type.js';
import { optional } from '../openai/fields.js';

const closed = { additionalProperties: false } as const;
const Name = Type.String({ minLength: 1, description: 'What requests name as `model`.' });
const Model = optional(Type.String({ description: 'Base model; may be left out when only one is served.' }));

export const LoadAdapterRequest = Type.Object(
  {
    lora_name: Name,
    lora_path: optional(
      Type.String({
        minLength: 1,
        description: 'Folder or hub id; absent: the folder of that name under the dynamic loading path.',
      }),
    ),
    load_inplace: optional(Type.Boolean({ description: 'Replace the weights of a loaded adapter.' })),
    is_3d_lora_weight: optional(
      Type.Boolean({ description: 'Layout of MoE weights, for engines with mixed layouts.' }),
    ),
    model: Model,
  },
  closed,
);
export type LoadAdapterRequest = Static<typeof LoadAdapterRequest>;

export const UnloadAdapterRequest = Type.Object({ lora_name: Name, model: Model }, closed);
export type UnloadAdapterRequest = Static<typeof UnloadAdapterRequest>;
