/**
 * A ForwardBackwardRequest as the Tinker SDK writes it: cross_entropy of datums of so many tokens. Never token 0: it is the padding of random
 * models, whose embedding of zeros has a gradient that grows a thousandfold a layer.
 */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

export function forwardBackward({ run, seqId, datums, tokens, vocabulary }) {
  const writer = new BinaryWriter();
  const inner = (field, write) => {
    writer.tag(field, WireType.LengthDelimited).fork();
    write();
    writer.join();
  };
  const tensor = (name, bytes, dtype) =>
    inner(2, () => {
      writer.tag(1, WireType.LengthDelimited).string(name);
      inner(2, () => {
        writer.tag(1, WireType.LengthDelimited).bytes(bytes);
        writer.tag(3, WireType.Varint).int32(dtype);
        writer.tag(4, WireType.Varint).int64(tokens);
      });
    });
  writer.tag(1, WireType.LengthDelimited).string(run);
  writer.tag(2, WireType.Varint).int32(seqId);
  for (let datum = 0; datum < datums; datum++) {
    const ids = Int32Array.from({ length: tokens + 1 }, (_, at) => 1 + ((datum * 31 + at * 7) % (vocabulary - 1)));
    const targets = BigInt64Array.from(ids.subarray(1), BigInt);
    inner(3, () => {
      inner(1, () =>
        inner(1, () => writer.tag(1, WireType.LengthDelimited).bytes(new Uint8Array(ids.buffer, 0, tokens * 4))),
      );
      tensor('target_tokens', new Uint8Array(targets.buffer), 2);
      tensor('weights', new Uint8Array(new Float32Array(tokens).fill(1).buffer), 1);
    });
  }
  writer.tag(4, WireType.LengthDelimited).string('cross_entropy');
  return Buffer.from(writer.finish());
}
