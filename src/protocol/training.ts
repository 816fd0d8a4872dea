/** Values of the calls that train: runs, passes, steps. Tensors are bytes, little endian, datums end to end. */
import { type Static, type TSchema, Type } from './type.js';

const Nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const Int = Type.Integer();
const Str = Type.String();
const Num = Type.Number();
const Flag = Type.Boolean();

export const RunParams = Type.Object({ run: Str }, { $id: 'RunParams', description: 'A run, by its id.' });
export type RunParams = Static<typeof RunParams>;

export const CreateRunParams = Type.Object(
  {
    run: Str,
    rank: Type.Integer({ description: 'of its LoRA; 0: the parameters of the model themselves are trained' }),
    seed: Nullable(Type.Integer({ description: 'of its random matrices, if there are any; null draws one' })),
    train_attn: Flag,
    train_mlp: Flag,
    train_unembed: Flag,
    alpha: Type.Number({ description: 'of its LoRA, whose update is alpha / rank * B A' }),
    dropout: Type.Number({
      description: 'share of the numbers of its LoRA’s input that passes with backward leave out, 0 to less than 1',
    }),
    targets: Nullable(
      Type.Array(Str, {
        description:
          'the last words of names of linear layers, as PEFT’s target_modules; null: as the train_ flags say',
      }),
    ),
    rslora: Type.Boolean({ description: 'the update is alpha / sqrt(rank) * B A' }),
    init: Type.String({ description: 'of A: default | gaussian, as PEFT’s init_lora_weights' }),
  },
  {
    $id: 'CreateRunParams',
    description: 'A new run: a LoRA adapter of the base model, or all of it, and its gradient.',
  },
);
export type CreateRunParams = Static<typeof CreateRunParams>;

export const TrainInput = Type.Object(
  {
    name: Str,
    dtype: Type.String({ description: 'float32 or int64' }),
    data: Type.Unknown({ description: 'bytes: of all datums that have it' }),
    shapes: Type.Array(Nullable(Type.Array(Int)), { description: 'of each datum; null: it has none' }),
  },
  { $id: 'TrainInput', description: 'One input of a loss, of all datums of a work.' },
);
export interface TrainInput {
  name: string;
  dtype: string;
  data: Uint8Array;
  shapes: (number[] | null)[];
}

export const TrainWork = Type.Object(
  {
    run: Str,
    loss: Str,
    config: Type.Record(Str, Type.Unknown(), { description: 'numbers and texts of the loss, by name' }),
    forward_only: Type.Boolean({ description: 'computes the same and leaves the gradient alone' }),
    tokens: Type.Unknown({ description: 'bytes: int32' }),
    lengths: Type.Array(Int, { description: 'tokens of each datum' }),
    inputs: Type.Array(Type.Ref('TrainInput')),
  },
  { $id: 'TrainWork', description: 'One forward or forward_backward of a run.' },
);
export interface TrainWork {
  run: string;
  loss: string;
  config: Record<string, number | string>;
  forward_only: boolean;
  tokens: Uint8Array;
  lengths: number[];
  inputs: TrainInput[];
}

export const TrainPassParams = Type.Object(
  { works: Type.Array(Type.Ref('TrainWork')) },
  { $id: 'TrainPassParams', description: 'Works of any runs, to be computed together.' },
);
export interface TrainPassParams {
  works: TrainWork[];
}

export const TrainFailure = Type.Object(
  {
    message: Str,
    user: Type.Boolean({ description: 'whether the request is at fault rather than the machine' }),
  },
  { $id: 'TrainFailure', description: 'Why a work came to nothing; its run’s gradient is what it was.' },
);
export type TrainFailure = Static<typeof TrainFailure>;

export const TrainOutput = Type.Object(
  { name: Str, data: Type.Unknown({ description: 'bytes: float32' }) },
  { $id: 'TrainOutput', description: 'One output of a loss, of all datums, in the shapes of its outcome.' },
);
export interface TrainOutput {
  name: string;
  data: Uint8Array;
}

export const TrainOutcome = Type.Object(
  {
    failure: Nullable(Type.Ref('TrainFailure')),
    shapes: Type.Array(Type.Array(Int), { description: 'of each datum’s outputs' }),
    outputs: Type.Array(Type.Ref('TrainOutput')),
    metrics: Type.Record(Str, Num, { description: 'by `name:reduction`' }),
  },
  { $id: 'TrainOutcome', description: 'How a work ended.' },
);
export interface TrainOutcome {
  failure: TrainFailure | null;
  shapes: number[][];
  outputs: TrainOutput[];
  metrics: Record<string, number>;
}

export const TrainPassResult = Type.Object(
  { outcomes: Type.Array(Type.Ref('TrainOutcome'), { description: 'of the works, in their order' }) },
  { $id: 'TrainPassResult' },
);
export interface TrainPassResult {
  outcomes: TrainOutcome[];
}

export const OptimStepParams = Type.Object(
  {
    run: Str,
    learning_rate: Num,
    beta1: Num,
    beta2: Num,
    eps: Num,
    weight_decay: Type.Number({ description: 'decoupled in adamw, added to the gradient in adam and sgd' }),
    grad_clip_norm: Type.Number({ description: 'global norm, of norm_type; 0: none' }),
    kind: Type.Optional(
      Type.String({
        description: 'adamw | adam | sgd, as in torch.optim; absent: adamw. A run that changes it begins anew',
      }),
    ),
    gradient_scale: Type.Optional(
      Type.Number({ description: 'what the gradient is multiplied by before it is clipped; absent: 1' }),
    ),
    norm_type: Type.Optional(Type.Number({ description: 'p of the norm, at least 1; 0: infinity; absent: 2' })),
    momentum: Type.Optional(Type.Number({ description: 'of sgd; absent: 0' })),
    nesterov: Type.Optional(Type.Boolean({ description: 'of sgd; absent: false' })),
    dampening: Type.Optional(Type.Number({ description: 'of sgd; absent: 0' })),
  },
  { $id: 'OptimStepParams', description: 'One step of an optimizer; the gradient is zero afterwards.' },
);
export type OptimStepParams = Static<typeof OptimStepParams>;

export const GradientNormParams = Type.Object(
  {
    run: Str,
    gradient_scale: Type.Number({ description: 'what the norm is multiplied by, as if the gradient were' }),
    norm_type: Type.Number({ description: 'p of the norm, at least 1; 0: infinity' }),
  },
  { $id: 'GradientNormParams', description: 'A run whose gradient’s norm is asked for; the gradient stays.' },
);
export type GradientNormParams = Static<typeof GradientNormParams>;

export const GradientNorm = Type.Object(
  { norm: Type.Number({ description: 'that a step would clip' }) },
  { $id: 'GradientNorm' },
);
export type GradientNorm = Static<typeof GradientNorm>;

export const ClearGradientParams = Type.Object(
  { run: Str },
  { $id: 'ClearGradientParams', description: 'A run whose gradient is to be forgotten; weights and moments stay.' },
);
export type ClearGradientParams = Static<typeof ClearGradientParams>;

export const SaveRunParams = Type.Object(
  {
    run: Str,
    folder: Type.String({ description: 'absolute; made here, in a folder that exists' }),
    optimizer: Type.Boolean({ description: 'with the moments and the step count of the optimizer' }),
    handed_over: Type.Boolean({
      description:
        'for an engine on this machine alone: weights only, in the dtype that the model computes in, without checksums, not synced to the disk',
    }),
  },
  { $id: 'SaveRunParams', description: 'A run to be saved.' },
);
export type SaveRunParams = Static<typeof SaveRunParams>;

export const LoadRunParams = Type.Object(
  {
    run: Str,
    folder: Type.String({ description: 'absolute; as train_save made it' }),
    optimizer: Type.Boolean({ description: 'with the moments and the step count of the optimizer' }),
  },
  { $id: 'LoadRunParams', description: 'A run to be made, or replaced, by what was saved.' },
);
export type LoadRunParams = Static<typeof LoadRunParams>;

export const SavedBytes = Type.Object({ bytes: Int }, { $id: 'SavedBytes', description: 'Size of what was saved.' });
export type SavedBytes = Static<typeof SavedBytes>;

export const TrainMetrics = Type.Object(
  { metrics: Type.Record(Str, Num, { description: 'by `name:reduction`' }) },
  { $id: 'TrainMetrics' },
);
export type TrainMetrics = Static<typeof TrainMetrics>;

export const EncodeParams = Type.Object(
  {
    conversations: Type.Array(Type.Unknown(), {
      description: 'objects with `messages` as OpenAI has them, and `tools`',
    }),
    system: Nullable(Type.String({ description: 'what those begin with that begin with a user' })),
    template_kwargs: Type.Record(Str, Type.Unknown(), { description: 'for the chat template' }),
    max_length: Nullable(Type.Integer({ description: 'tokens of a sequence' })),
    truncation: Type.String({ description: 'what happens to longer ones: raise | left | right' }),
  },
  { $id: 'EncodeParams', description: 'Conversations to be made sequences to train on.' },
);
export type EncodeParams = Static<typeof EncodeParams>;

export const EncodedConversations = Type.Object(
  {
    tokens: Type.Unknown({ description: 'bytes: int32' }),
    labels: Type.Unknown({ description: 'bytes: int32; of each token the next where it is of an answer, else -100' }),
    lengths: Type.Array(Int, { description: 'tokens of each conversation' }),
  },
  { $id: 'EncodedConversations' },
);
export interface EncodedConversations {
  tokens: Uint8Array;
  labels: Uint8Array;
  lengths: number[];
}
