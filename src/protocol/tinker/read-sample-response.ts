/** The protobuf message `tinker_public.SampleResponse`, read, as this server writes it. Pure. */
import type { BinaryReader } from '@bufbuild/protobuf/wire';
import type { SampledSequence, SampleResult, TopkLogprobs } from './sample-response.js';
import { aligned, readInner, readMessage } from './wire.js';

const ints = (reader: BinaryReader): Int32Array => new Int32Array(aligned(reader.bytes()));
const floats = (reader: BinaryReader): Float32Array => new Float32Array(aligned(reader.bytes()));

type Writable<T> = { -readonly [K in keyof T]: T[K] };

function readTopk(reader: BinaryReader): TopkLogprobs {
  const topk: Writable<TopkLogprobs> = { tokenIds: new Int32Array(0), logprobs: new Float32Array(0), k: 0, rows: 0 };
  readInner(reader, (field) => {
    if (field === 1) topk.tokenIds = ints(reader);
    else if (field === 2) topk.logprobs = floats(reader);
    else if (field === 3) topk.k = reader.uint32();
    else if (field === 4) topk.rows = reader.uint32();
    else return false;
    return true;
  });
  return topk;
}

function readSequence(reader: BinaryReader): SampledSequence {
  const sequence: Writable<SampledSequence> = {
    stopReason: 'stop',
    tokens: new Int32Array(0),
    logprobs: new Float32Array(0),
    topk: null,
  };
  readInner(reader, (field) => {
    if (field === 1) sequence.stopReason = reader.int32() === 0 ? 'stop' : 'length';
    else if (field === 2) sequence.tokens = ints(reader);
    else if (field === 3) sequence.logprobs = floats(reader);
    else if (field === 4) sequence.topk = readTopk(reader);
    else return false;
    return true;
  });
  return sequence;
}

/** Throws Error for bytes that are no such message. */
export function readSampleResponse(bytes: Uint8Array): SampleResult {
  const sequences: SampledSequence[] = [];
  const result: Writable<SampleResult> = { sequences, promptLogprobs: null, topkPrompt: null, cachedTokens: 0 };
  readMessage(bytes, (field, reader) => {
    if (field === 1) sequences.push(readSequence(reader));
    else if (field === 2) result.promptLogprobs = floats(reader);
    else if (field === 3) result.topkPrompt = readTopk(reader);
    else if (field === 4) result.cachedTokens = reader.int32();
    else return false;
    return true;
  });
  return result;
}
