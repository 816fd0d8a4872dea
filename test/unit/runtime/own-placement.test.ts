import { expect, it } from 'vitest';
import { createFakeNative } from '../../../src/native/fake.js';
import { openOwnPlacement } from '../../../src/runtime/own-placement.js';

const NODE = {
  cpus: 3,
  devices: [{ kind: 'gpu', index: 5, uuid: 'GPU-5', name: 'NVIDIA L4', numaNode: 1 }],
  links: [],
  leftOut: ['gpu 0 is held by pid 7'],
} as const;

it('is a cluster of this machine with what it offers, and nobody else in it', async () => {
  const source = openOwnPlacement({ node: NODE, address: null }, createFakeNative().cpu());
  await using cluster = source.cluster;
  expect(source).toMatchObject({ sole: true, nodes: null, leftOut: NODE.leftOut, devices: [{ index: 5 }] });
  const { nodes } = await cluster.snapshot();
  expect(nodes).toMatchObject([
    {
      state: 'alive',
      resources: { CPU: 3, GPU: 1, 'accelerator_type:L4': 1 },
      labels: { 'ray.io/accelerator-type': 'L4' },
      devices: [{ uuid: 'GPU-5', numa: 1, free: 1 }],
    },
  ]);
});

it('is no answer to who asked for the head', () => {
  const open = () => openOwnPlacement({ node: NODE, address: 'auto' }, createFakeNative().cpu());
  expect(open).toThrowError(expect.objectContaining({ code: 'HEAD_UNREACHABLE', exitCode: 7 }));
});
