/** Tinker's HTTP as a client without the SDK speaks it. */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

/** What came back, byte for byte. */
export interface WireAnswer {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

const PATIENCE_MS = 45_000;

/** @param body bytes are protobuf, anything else is JSON. @throws when nobody answers */
export async function wirePost(url: string, path: string, body: object): Promise<WireAnswer> {
  const bytes = body instanceof Uint8Array;
  const response = await fetch(`${url}/api/v1/${path}`, {
    method: 'POST',
    headers: {
      accept: 'application/x-protobuf, application/json',
      'content-type': bytes ? 'application/x-protobuf' : 'application/json',
    },
    body: bytes ? Buffer.from(body) : JSON.stringify(body),
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  const text = Buffer.from(await response.arrayBuffer()).toString('latin1');
  return { status: response.status, type: response.headers.get('content-type') ?? '', text };
}

export async function wireGet(url: string, path: string): Promise<Record<string, unknown>> {
  const response = await fetch(`${url}/api/v1/${path}`, { signal: AbortSignal.timeout(PATIENCE_MS) });
  return (await response.json()) as Record<string, unknown>;
}

/** A forward_backward of one datum, with cross_entropy. */
export function forwardBackward(run: string, seqId: number): Uint8Array {
  const writer = new BinaryWriter();
  const inner = (field: number, write: () => void): void => {
    writer.tag(field, WireType.LengthDelimited).fork();
    write();
    writer.join();
  };
  writer.tag(1, WireType.LengthDelimited).string(run);
  writer.tag(2, WireType.Varint).int32(seqId);
  inner(3, () => {
    inner(1, () =>
      inner(1, () => writer.tag(1, WireType.LengthDelimited).bytes(new Uint8Array(Int32Array.of(5, 6).buffer))),
    );
    inner(2, () => {
      writer.tag(1, WireType.LengthDelimited).string('target_tokens');
      inner(2, () => {
        writer.tag(1, WireType.LengthDelimited).bytes(new Uint8Array(BigInt64Array.of(6n, 7n).buffer));
        writer.tag(3, WireType.Varint).int32(2);
        writer.tag(4, WireType.Varint).int64(2);
      });
    });
  });
  writer.tag(4, WireType.LengthDelimited).string('cross_entropy');
  return writer.finish();
}

/** A sample of so many tokens. */
export const asample = (sampler: string, seqId: number, tokens: number): object => ({
  num_samples: 1,
  prompt: { chunks: [{ tokens: [1, 2, 3], type: 'encoded_text' }] },
  sampling_params: { max_tokens: tokens, temperature: 0, stop: [] },
  sampling_session_id: sampler,
  seq_id: seqId,
  type: 'sample',
});
