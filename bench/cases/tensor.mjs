/** A tensor's way to a rank: the handle travels, the pages are shared. The peer is a call that carries nothing. */
import { TensorStore } from '../../dist/tensor/tensor-store.js';
import { startGang } from '../lib/gang.mjs';
import { quantile } from '../lib/load.mjs';

const MiB = 2 ** 20;

export async function* rows() {
  const { gang, native, stop } = await startGang();
  const store = new TensorStore(native, { name: 'bench', size: 160 * MiB, lock: false });
  const { lead } = gang;
  const session = gang.session(0);
  await store.share({
    rank: 0,
    pass: (name, fd) => session.pass(name, fd),
    call: (method, params) => lead.call(method, params),
    gone: session.gone,
  });
  for (const size of [1, 64]) {
    const shape = [size * (MiB / 4)];
    const source = new Float32Array(shape[0]).fill(1.5);
    const bytes = new Uint8Array(source.buffer);
    const handed = [];
    const copied = [];
    const empty = [];
    const first = [];
    const firstEmpty = [];
    const time = async (into, call) => {
      const started = performance.now();
      const answer = await call();
      into.push(performance.now() - started);
      return answer;
    };
    for (let round = 0; round < 20; round++) {
      const tensor = store.allocate('float32', shape);
      const mark = new Float32Array(tensor.bytes.buffer, tensor.bytes.byteOffset, shape[0]);
      const write = () => {
        tensor.bytes.set(bytes);
        mark.fill(round, shape[0] - 1);
      };
      const hand = () => lead.call('tensor_summary', { tensor: tensor.handle });
      // Writing so much leaves caches cold and processors asleep: what follows pays for that, tensor or not, so it is told apart.
      write();
      await time(firstEmpty, () => lead.call('echo', null));
      write();
      await time(first, hand);
      for (let again = 0; again < 20; again++) {
        await time(empty, () => lead.call('echo', null));
        const seen = await time(handed, hand);
        if (seen.first !== 1.5 || seen.last !== round || seen.bytes !== size * MiB)
          throw new Error(`the rank saw ${JSON.stringify(seen)}`);
      }
      if (round < 5) await time(copied, () => lead.call('echo', bytes));
      tensor.release();
    }
    yield {
      what: `tensor of ${size} MiB reaches the rank`,
      unit: 'ms',
      ours: quantile(handed, 0.5),
      peer: quantile(empty, 0.5),
      peerName: 'an empty call, in turn with it',
      lowerIsBetter: true,
      note:
        `through the socket ${(quantile(copied, 0.5) / 2).toFixed(1)} ms one way; right after its bytes were written ` +
        `${quantile(first, 0.5).toFixed(2)} ms, where an empty call takes ${quantile(firstEmpty, 0.5).toFixed(2)} ms`,
      ...(size === 64 ? { target: 0.5 } : {}),
    };
  }
  store[Symbol.dispose]();
  await stop();
}
