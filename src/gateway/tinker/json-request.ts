/** A forward or forward_backward as SDKs before 0.24 ask for it, in JSON: read into what the protobuf message is read into. */
import { TwinkleError } from '../../errors.js';
import type {
  ForwardBackwardRequest,
  WireChunk,
  WireDatum,
  WireTensor,
} from '../../protocol/tinker/forward-backward-request.js';
import { type Static, Type } from '../../protocol/type.js';
import { TokenId } from '../openai/fields.js';
import { Count, Id, optional, Request } from './fields.js';

const Whole = Type.Integer({ minimum: -Number.MAX_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER });
const Tensor = Type.Object(
  {
    data: Type.Array(Type.Number()),
    dtype: Type.Union([Type.Literal('float32'), Type.Literal('int64')]),
    shape: optional(Type.Array(Whole)),
    sparse_crow_indices: optional(Type.Array(Whole)),
    sparse_col_indices: optional(Type.Array(Whole)),
  },
  { additionalProperties: false },
);
/** Chunks that are not text are refused, whatever they hold. The SDK 0.16 leaves the type of all of them out. */
const Chunk = Type.Object({ type: optional(Type.String()), tokens: optional(Type.Array(TokenId)) });
const Datum = Type.Object(
  {
    model_input: Type.Object({ chunks: Type.Array(Chunk) }, { additionalProperties: false }),
    loss_fn_inputs: Type.Record(Type.String(), Tensor),
  },
  { additionalProperties: false },
);
const Input = Type.Object(
  {
    data: Type.Array(Datum),
    loss_fn: Type.String(),
    loss_fn_config: optional(Type.Record(Type.String(), Type.Number())),
  },
  { additionalProperties: false },
);

/** Where the input stands. */
type Field = 'forward_input' | 'forward_backward_input';

/** The body, whose input stands in `field`. */
export const PassBody = (field: Field) => Request({ model_id: Id, seq_id: Count, [field]: Input });
export interface PassBody extends Partial<Record<Field, Static<typeof Input>>> {
  readonly model_id: string;
  readonly seq_id: number;
}

const bytesOf = ({ buffer }: Int32Array | Float32Array | BigInt64Array): Uint8Array => new Uint8Array(buffer);
const longs = (values: readonly number[]): Uint8Array => bytesOf(BigInt64Array.from(values, BigInt));

function chunkOf({ tokens, type }: Static<typeof Chunk>): WireChunk {
  const isText = type == null ? tokens != null : type === 'encoded_text';
  return isText ? { tokens: bytesOf(Int32Array.from(tokens ?? [])) } : { other: type ?? 'a chunk without tokens' };
}

function tensorOf(tensor: Static<typeof Tensor>, where: string): WireTensor {
  const { data, dtype, sparse_col_indices: col, sparse_crow_indices: crow } = tensor;
  if (dtype === 'int64' && !data.every(Number.isSafeInteger))
    throw new TwinkleError('INVALID_REQUEST', `${where}: expected integers for int64`, { param: where });
  if ((crow == null) !== (col == null))
    throw new TwinkleError(
      'INVALID_REQUEST',
      `${where}: expected sparse_crow_indices and sparse_col_indices together`,
      {
        param: where,
      },
    );
  const values = dtype === 'int64' ? longs(data) : bytesOf(Float32Array.from(data));
  const sparse = crow == null || col == null ? null : { values, crow: longs(crow), col: longs(col) };
  return { dtype, shape: [...(tensor.shape ?? [data.length])], dense: sparse === null ? values : null, sparse };
}

function datumOf({ loss_fn_inputs, model_input }: Static<typeof Datum>, at: number): WireDatum {
  const inputs = Object.entries(loss_fn_inputs).map(([name, tensor]): [string, WireTensor] => [
    name,
    tensorOf(tensor, `data[${at}].loss_fn_inputs.${name}`),
  ]);
  return { chunks: model_input.chunks.map(chunkOf), inputs: new Map(inputs), spans: null };
}

/** @throws `INVALID_REQUEST`: numbers that are none of their dtype */
export function jsonPass(body: PassBody, field: Field): ForwardBackwardRequest {
  const { data, loss_fn, loss_fn_config } = body[field] as Static<typeof Input>;
  return {
    modelId: body.model_id,
    seqId: body.seq_id,
    data: data.map(datumOf),
    loss: loss_fn,
    config: new Map(Object.entries(loss_fn_config ?? {})),
    forwardOnly: field === 'forward_input',
  };
}
