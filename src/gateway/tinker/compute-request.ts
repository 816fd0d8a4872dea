/** A ForwardBackwardRequest as the ranks take it: the datums' tensors end to end. */
import { TwinkleError } from '../../errors.js';
import {
  decodeForwardBackwardRequest,
  type ForwardBackwardRequest,
  type WireDatum,
} from '../../protocol/tinker/forward-backward-request.js';
import type { TrainInput, TrainWork } from '../../protocol/training.js';
import { checkProvenance } from './provenance.js';
import { denseTensor } from './tensor.js';
import { inRanksWords } from './twinkle-words.js';

const TOKEN_BYTES = 4;

/** @throws `INVALID_REQUEST` for bytes that are no such message */
export function readComputeRequest(body: Uint8Array): ForwardBackwardRequest {
  try {
    return decodeForwardBackwardRequest(body);
  } catch (error) {
    throw new TwinkleError('INVALID_REQUEST', 'the body is no ForwardBackwardRequest: send what the Tinker SDK sends', {
      cause: error,
    });
  }
}

function tokensOf(datum: WireDatum, at: number): Uint8Array {
  const { chunks } = datum;
  const parts = chunks.map((chunk) => {
    if ('tokens' in chunk) return chunk.tokens;
    throw new TwinkleError('UNSUPPORTED_PARAMETER', `datum ${at}: only text can be trained on, not ${chunk.other}`, {
      param: `data[${at}].model_input`,
    });
  });
  const [first] = parts;
  const bytes = parts.length === 1 && first !== undefined ? first : Buffer.concat(parts);
  if (bytes.byteLength > 0 && bytes.byteLength % TOKEN_BYTES === 0) {
    checkProvenance(datum, bytes.byteLength / TOKEN_BYTES, at);
    return bytes;
  }
  const problem = bytes.byteLength === 0 ? 'empty model_input' : 'model_input is no list of int32 tokens';
  throw new TwinkleError('INVALID_REQUEST', `datum ${at}: ${problem}`, { param: `data[${at}].model_input` });
}

function inputOf(name: string, data: readonly WireDatum[]): TrainInput {
  const dense = data.map(({ inputs }, at) => {
    const tensor = inputs.get(name);
    return tensor === undefined ? null : denseTensor(tensor, `data[${at}].loss_fn_inputs.${name}`);
  });
  const dtypes = new Set(dense.flatMap((tensor) => tensor?.dtype ?? []));
  const [dtype = 'float32', other] = dtypes;
  if (other !== undefined) {
    throw new TwinkleError('INVALID_REQUEST', `expected one dtype for \`${name}\` but received ${dtype} and ${other}`, {
      param: `loss_fn_inputs.${name}`,
    });
  }
  return {
    name,
    dtype,
    data: Buffer.concat(dense.flatMap((tensor) => tensor?.bytes ?? [])),
    shapes: dense.map((tensor) => (tensor === null ? null : [...tensor.shape])),
  };
}

/** @throws `INVALID_REQUEST`, `UNSUPPORTED_PARAMETER`: what no loss and no model could make of it; the rest is judged where it is computed */
export function workOf({ config, data, forwardOnly, loss }: ForwardBackwardRequest): Omit<TrainWork, 'run'> {
  if (data.length === 0)
    throw new TwinkleError('INVALID_REQUEST', 'expected at least one datum but received none', { param: 'data' });
  const tokens = data.map(tokensOf);
  const names = new Set(data.flatMap(({ inputs }) => [...inputs.keys()]));
  return inRanksWords({
    loss,
    config: Object.fromEntries(config),
    forward_only: forwardOnly,
    tokens: Buffer.concat(tokens),
    lengths: tokens.map(({ byteLength }) => byteLength / TOKEN_BYTES),
    inputs: [...names].map((name) => inputOf(name, data)),
  });
}
