/** The protobuf message `tinker_public.SampleResponse`, written. Field numbers are the Tinker SDK's (0.38). Pure. */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

/** Alternatives of each position: `rows × k`, row-major; empty cells have id 0 and log-probability −99,999. */
export interface TopkLogprobs {
  readonly tokenIds: Int32Array;
  readonly logprobs: Float32Array;
  readonly k: number;
  readonly rows: number;
}

/** One sampled sequence. */
export interface SampledSequence {
  readonly stopReason: 'stop' | 'length';
  readonly tokens: Int32Array;
  /** Natural logarithm of each token's probability. */
  readonly logprobs: Float32Array;
  readonly topk: TopkLogprobs | null;
}

/** What a sample request gained. */
export interface SampleResult {
  readonly sequences: readonly SampledSequence[];
  /** One per prompt token; NaN where there is none, as at the first. */
  readonly promptLogprobs: Float32Array | null;
  readonly topkPrompt: TopkLogprobs | null;
  /** Tokens of the prompt that were found in a cache. */
  readonly cachedTokens: number;
}

/** Log-probability of a cell of {@link TopkLogprobs} without an alternative. */
export const NO_LOGPROB = -99_999;

/** The elements' bytes; little endian, as all machines that this runs on. */
const bytes = (array: Int32Array | Float32Array): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

function writeTopk(writer: BinaryWriter, { k, logprobs, rows, tokenIds }: TopkLogprobs): void {
  writer.tag(1, WireType.LengthDelimited).bytes(bytes(tokenIds));
  writer.tag(2, WireType.LengthDelimited).bytes(bytes(logprobs));
  writer.tag(3, WireType.Varint).uint32(k);
  writer.tag(4, WireType.Varint).uint32(rows);
}

function writeSequence(writer: BinaryWriter, { logprobs, stopReason, tokens, topk }: SampledSequence): void {
  writer.tag(1, WireType.Varint).int32(stopReason === 'stop' ? 0 : 1);
  writer.tag(2, WireType.LengthDelimited).bytes(bytes(tokens));
  writer.tag(3, WireType.LengthDelimited).bytes(bytes(logprobs));
  if (topk === null) return;
  writer.tag(4, WireType.LengthDelimited).fork();
  writeTopk(writer, topk);
  writer.join();
}

/** The message's bytes. */
export function encodeSampleResponse(result: SampleResult): Uint8Array {
  const writer = new BinaryWriter();
  for (const sequence of result.sequences) {
    writer.tag(1, WireType.LengthDelimited).fork();
    writeSequence(writer, sequence);
    writer.join();
  }
  if (result.promptLogprobs !== null) writer.tag(2, WireType.LengthDelimited).bytes(bytes(result.promptLogprobs));
  if (result.topkPrompt !== null) {
    writer.tag(3, WireType.LengthDelimited).fork();
    writeTopk(writer, result.topkPrompt);
    writer.join();
  }
  writer.tag(4, WireType.Varint).int32(result.cachedTokens);
  return writer.finish();
}
