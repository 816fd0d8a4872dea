import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { encodeForwardBackwardOutput } from '../../../../src/protocol/tinker/forward-backward-output.js';
import { decodeForwardBackwardRequest } from '../../../../src/protocol/tinker/forward-backward-request.js';

/** What the Tinker SDK 0.38 sent for one datum of nine tokens. */
const REQUEST = Buffer.from(
  'CiwzMzkwOWY0ZS0yMDFjLTQ1ZWUtYjI1Yy1hOWQ5ZTRiOWU0MTc6dHJhaW46MBAdGsQBCigKJgokVAEAAAABAADOAAAAbwAAAH4AAAAVAAAAIgAAAAsAAAAJAAAAEmAKDXRhcmdldF90b2tlbnMSTwpIAAEAAAAAAADOAAAAAAAAAG8AAAAAAAAAfgAAAAAAAAAVAAAAAAAAACIAAAAAAAAACwAAAAAAAAAJAAAAAAAAAAoAAAAAAAAAGAIiAQkSNgoHd2VpZ2h0cxIrCiQAAIA/AACAPwAAgD8AAIA/AACAPwAAgD8AAIA/AACAPwAAgD8YASIBCSINY3Jvc3NfZW50cm9weTAB',
  'base64',
);
/** What the reference answered to it. */
const OUTPUT =
  'CgtBcnJheVJlY29yZBKnAQoLQXJyYXlSZWNvcmQSRgoIbG9ncHJvYnMSOgokGcQ3wRjyS8FksmrBei1nwctSPMFnjVa93U29vXoMgsHfbPrAEhAAAAAAAAAAACQAAAAAAAAAGAESTgoQZWxlbWVudHdpc2VfbG9zcxI6CiQZxDdBGPJLQWSyakF6LWdBy1I8QWeNVj3dTb09egyCQd9s+kASEAAAAAAAAAAAJAAAAAAAAAAYARgBGhMKCGxvc3M6c3VtEQAAAIAlVlZA';

it('reads a request of the SDK, its tensors as slices of it', () => {
  const request = decodeForwardBackwardRequest(REQUEST);
  expect(request).toMatchObject({
    modelId: '33909f4e-201c-45ee-b25c-a9d9e4b9e417:train:0',
    seqId: 29,
    loss: 'cross_entropy',
    forwardOnly: true,
  });
  const [datum] = request.data;
  const [chunk] = datum?.chunks ?? [];
  if (datum === undefined || chunk === undefined || !('tokens' in chunk)) throw new Error('no text');
  expect([...new Int32Array(Uint8Array.from(chunk.tokens).buffer)]).toEqual([340, 256, 206, 111, 126, 21, 34, 11, 9]);
  expect(chunk.tokens.buffer).toBe(REQUEST.buffer);
  expect(datum.inputs.get('target_tokens')).toMatchObject({ dtype: 'int64', shape: [9], sparse: null });
  const weights = datum.inputs.get('weights');
  expect([...new Float32Array(Uint8Array.from(weights?.dense ?? []).buffer)]).toEqual(Array(9).fill(1));
});

it('writes an output as the reference did', () => {
  const logprobs = Buffer.from('GcQ3wRjyS8FksmrBei1nwctSPMFnjVa93U29vXoMgsHfbPrA', 'base64');
  const losses = Buffer.from('GcQ3QRjyS0FksmpBei1nQctSPEFnjVY93U29PXoMgkHfbPpA', 'base64');
  const bytes = encodeForwardBackwardOutput({
    shapes: [[9]],
    fields: [
      { name: 'logprobs', data: logprobs },
      { name: 'elementwise_loss', data: losses },
    ],
    metrics: { 'loss:sum': 89.34603881835938 },
  });
  expect(Buffer.from(bytes).toString('base64')).toBe(OUTPUT);
});

it('gives datums of other shapes a record of their own', () => {
  const floats = Float32Array.from({ length: 2 + 1 + 6 + 3 }, (_, at) => at);
  const bytes = Buffer.from(
    encodeForwardBackwardOutput({
      shapes: [[2], [1], [3, 2], [3]],
      fields: [{ name: 'x', data: new Uint8Array(floats.buffer) }],
      metrics: {},
    }),
  );
  const slice = (from: number, to: number): Buffer => Buffer.from(floats.slice(from, to).buffer);
  const offsets = (...all: bigint[]): Buffer => Buffer.from(BigInt64Array.from(all).buffer);
  const parts = [
    [slice(0, 3), offsets(0n, 8n, 12n)],
    [slice(3, 9), offsets(0n, 24n)],
    [slice(9, 12), offsets(0n, 12n)],
  ];
  let from = 0;
  for (const part of parts.flat()) {
    from = bytes.indexOf(part, from);
    expect(from).toBeGreaterThan(0);
  }
});

it('takes texts and numbers of a loss from both maps', () => {
  const writer = new BinaryWriter();
  const entry = (field: number, key: string, value: () => void): void => {
    writer.tag(field, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.LengthDelimited).string(key);
    value();
    writer.join();
  };
  entry(5, 'beta', () => writer.tag(2, WireType.Bit64).double(0.5));
  entry(5, 'zero', () => {});
  entry(7, 'loss_id', () => {
    writer.tag(2, WireType.LengthDelimited).fork();
    writer.tag(2, WireType.LengthDelimited).string('abc');
    writer.join();
  });
  writer.tag(99, WireType.LengthDelimited).string('of a later SDK');
  const { config } = decodeForwardBackwardRequest(writer.finish());
  expect(Object.fromEntries(config)).toEqual({ beta: 0.5, zero: 0, loss_id: 'abc' });
});

it('refuses what is torn, and never reads beyond it', () => {
  for (let length = 0; length < REQUEST.length; length++) {
    const torn = REQUEST.subarray(0, length);
    try {
      decodeForwardBackwardRequest(torn);
    } catch (error) {
      expect(error).toBeInstanceOf(Error);
    }
  }
  expect(() => decodeForwardBackwardRequest(REQUEST.subarray(0, 100))).toThrow();
});

it('ends with a message or an Error for any bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(REQUEST.length - 1), (noise, at) => {
      const bytes = Buffer.concat([REQUEST.subarray(0, at), noise, REQUEST.subarray(at)]);
      try {
        decodeForwardBackwardRequest(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
      }
    }),
  );
});
