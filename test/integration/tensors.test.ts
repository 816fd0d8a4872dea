import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Gang } from '../../src/supervisor/gang.js';
import { type SegmentPeer, TensorStore } from '../../src/tensor/tensor-store.js';
import { GangKit, killProcess } from '../support/gang-kit.js';

let kit: GangKit;
let gang: Gang;
beforeEach(async () => {
  kit = await GangKit.make();
  gang = kit.gang();
  gang.start();
  await kit.until(gang, 'ready');
});
afterEach(async () => {
  await kit[Symbol.asyncDispose]();
});

function peer(): SegmentPeer {
  const session = gang.session(0);
  if (session === null) throw new Error('no rank 0');
  return {
    rank: 0,
    pass: (name, fd) => session.pass(name, fd),
    call: (method, params) => session.channel.call(method, params),
    gone: session.gone,
  };
}

it('a rank sees the pages of a tensor, and what is written to them later', async () => {
  using store = new TensorStore(kit.native, { name: 'unit', size: 1 << 20, lock: false });
  await store.share(peer());
  const values = Float32Array.from([1.5, 2, -3.25]);
  using tensor = store.put('float32', [3], new Uint8Array(values.buffer));
  const summary = () => gang.lead?.call('tensor_summary', { tensor: tensor.handle });
  expect(await summary()).toEqual({ bytes: 12, first: 1.5, last: -3.25, dtype: 'float32', shape: [3] });
  new DataView(tensor.bytes.buffer, tensor.bytes.byteOffset).setFloat32(0, 9, true);
  expect(await summary()).toMatchObject({ first: 9 });
});

it('what a dead rank held is free again, and a restarted rank gets the segment anew', async () => {
  using store = new TensorStore(kit.native, { name: 'unit', size: 1 << 20, lock: false });
  await store.share(peer());
  const free = store.stats().freeBytes;
  const tensor = store.allocate('uint8', [1000]);
  store.lend(tensor.handle, 0);
  tensor.release();
  expect(store.stats().freeBytes).toBeLessThan(free);
  killProcess(gang.pids[0], 'SIGKILL');
  await kit.until(gang, 'backoff');
  expect(store.stats().freeBytes).toBe(free);
  await kit.until(gang, 'ready');
  using again = store.put('uint8', [1], Uint8Array.of(7));
  await expect(gang.lead?.call('tensor_summary', { tensor: again.handle })).rejects.toMatchObject({
    code: 'SEGMENT_CLOSED',
  });
  await store.share(peer());
  expect(await gang.lead?.call('tensor_summary', { tensor: again.handle })).toMatchObject({ first: 7 });
});

it('a tensor that is held outlives its owner, and a rank lets go of the segment when told', async () => {
  using store = new TensorStore(kit.native, { name: 'unit', size: 1 << 20, lock: false });
  const free = store.stats().freeBytes;
  const tensor = store.allocate('uint8', [1000]);
  const letGo = store.hold(tensor.handle);
  tensor.release();
  expect(store.stats().freeBytes).toBeLessThan(free);
  letGo();
  letGo();
  expect(store.stats().freeBytes).toBe(free);
  expect(() => store.hold(tensor.handle)).toThrow(/no block begins/);
  expect(() => store.hold({ ...tensor.handle, segment: 'other' })).toThrow(/of segment unit/);
  await store.share(peer());
  using one = store.put('uint8', [1], Uint8Array.of(7));
  const summary = () => gang.lead?.call('tensor_summary', { tensor: one.handle });
  expect(await summary()).toMatchObject({ first: 7 });
  await store.unshare(peer());
  await expect(summary()).rejects.toMatchObject({ code: 'SEGMENT_CLOSED' });
});

it('refuses what does not fit, with what is free', () => {
  using store = new TensorStore(kit.native, { name: 'unit', size: 1 << 16, lock: false });
  expect(() => store.allocate('float64', [1 << 20])).toThrow(expect.objectContaining({ code: 'SHM_FULL' }));
  expect(() => store.allocate('complex64', [1])).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }));
  expect(() => store.allocate('float32', [-1])).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }));
  expect(() => store.put('float32', [2], new Uint8Array(7))).toThrow(/expected 8 bytes/);
});
