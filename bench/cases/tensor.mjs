/** A tensor's way to a rank: the handle travels, the pages are shared. The peer is the same bytes through the socket. */
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
  });
  for (const size of [1, 64]) {
    const shape = [size * (MiB / 4)];
    const source = new Float32Array(shape[0]).fill(1.5);
    const bytes = new Uint8Array(source.buffer);
    const handed = [];
    const copied = [];
    const empty = [];
    for (let round = 0; round < 30; round++) {
      const tensor = store.allocate('float32', shape);
      tensor.bytes.set(bytes);
      new Float32Array(tensor.bytes.buffer, tensor.bytes.byteOffset, shape[0]).fill(round, shape[0] - 1);
      // Writing so much empties the caches of both processes: the first call pays for that, tensor or not, and is told apart.
      let started = performance.now();
      await lead.call('echo', null);
      empty.push(performance.now() - started);
      started = performance.now();
      const seen = await lead.call('tensor_summary', { tensor: tensor.handle });
      handed.push(performance.now() - started);
      if (seen.first !== 1.5 || seen.last !== round || seen.bytes !== size * MiB)
        throw new Error(`the rank saw ${JSON.stringify(seen)}`);
      if (round < 6) {
        started = performance.now();
        await lead.call('echo', bytes);
        copied.push((performance.now() - started) / 2);
      }
      tensor.release();
    }
    yield {
      what: `tensor of ${size} MiB reaches the rank`,
      unit: 'ms',
      ours: quantile(handed, 0.5),
      peer: quantile(copied, 0.5),
      peerName: 'through the socket, one way',
      lowerIsBetter: true,
      note: `before it, an empty call right after the bytes were written: ${quantile(empty, 0.5).toFixed(2)} ms (cold caches)`,
      ...(size === 64 ? { target: 0.5 } : {}),
    };
  }
  store[Symbol.dispose]();
  await stop();
}
