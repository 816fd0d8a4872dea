import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { encodeForwardBackwardOutput } from '../../../../src/protocol/tinker/forward-backward-output.js';
import { decodeForwardBackwardRequest } from '../../../../src/protocol/tinker/forward-backward-request.js';
import { readForwardBackwardOutput } from '../../../../src/protocol/tinker/read-forward-backward-output.js';
import { readSampleResponse } from '../../../../src/protocol/tinker/read-sample-response.js';
import { encodeSampleResponse } from '../../../../src/protocol/tinker/sample-response.js';

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

it('reads outputs as they were written, whatever their shapes', () => {
  const shapes = fc.array(fc.array(fc.nat(3), { minLength: 1, maxLength: 3 }), { maxLength: 5 });
  fc.assert(
    fc.property(shapes, fc.dictionary(fc.string(), fc.double({ noNaN: true })), (of, metrics) => {
      const sizes = of.map((shape) => shape.reduce((size, extent) => size * extent, 1));
      const total = sizes.reduce((sum, size) => sum + size, 0);
      const values = Float32Array.from({ length: total }, (_, at) => at + 0.5);
      const data = new Uint8Array(values.buffer);
      const fields = ['a', 'b'].map((name) => ({ name, data }));
      const written = encodeForwardBackwardOutput({ shapes: of, fields, metrics });
      const read = readForwardBackwardOutput(written);
      expect(readForwardBackwardOutput(Buffer.from(written))).toEqual(read); // as journals have it
      expect(read.metrics).toEqual(new Map(Object.entries(metrics)));
      let from = 0;
      const expected = of.map((shape, at) => {
        const data = values.slice(from, from + (sizes[at] ?? 0));
        from += data.length;
        const tensor = { data, shape: lengthOf(shape) };
        return new Map([
          ['a', tensor],
          ['b', tensor],
        ]);
      });
      expect(read.datums).toEqual(expected);
    }),
  );
});

/** Of nothing the bytes do not say how long it is. */
const lengthOf = ([length = 0, ...trailing]: number[]): number[] => [trailing.includes(0) ? 0 : length, ...trailing];

it('reads samples as they were written', () => {
  const floats = (length: number) =>
    fc.array(fc.float(), { minLength: length, maxLength: length }).map((all) => Float32Array.from(all));
  const topk = fc
    .tuple(fc.nat(3), fc.nat(3))
    .chain(([k, rows]) =>
      floats(k * rows).map((logprobs) => ({ k, rows, logprobs, tokenIds: new Int32Array(k * rows).fill(9) })),
    );
  const sequence = fc.nat(4).chain((length) =>
    fc.record({
      stopReason: fc.constantFrom('stop' as const, 'length' as const),
      tokens: fc.constant(new Int32Array(length).fill(-1)),
      logprobs: floats(length),
      topk: fc.option(topk),
    }),
  );
  const result = fc.record({
    sequences: fc.array(sequence, { maxLength: 3 }),
    promptLogprobs: fc.option(floats(3)),
    topkPrompt: fc.option(topk),
    cachedTokens: fc.nat(),
  });
  fc.assert(
    fc.property(result, (written) => {
      const bytes = encodeSampleResponse(written);
      expect(readSampleResponse(bytes)).toEqual(written);
      expect(readSampleResponse(Buffer.from(bytes))).toEqual(written); // as journals have it
    }),
  );
});
