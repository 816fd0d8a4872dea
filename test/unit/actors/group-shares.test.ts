import { describe, expect, it } from 'vitest';
import { GroupShares } from '../../../src/actors/group-shares.js';
import type { BundleStatus } from '../../../src/cluster/api.js';

const gpu = (instance: number, quantity = 1) => ({ resource: 'GPU', instance, uuid: `GPU-${instance}`, quantity });
const bundle = (index: number, resources: Record<string, number>, devices = [gpu(index)]): BundleStatus => ({
  ...{ index, resources, devices, node: 'n' },
});

function opened(...bundles: BundleStatus[]): GroupShares {
  const shares = new GroupShares();
  shares.open('g', bundles);
  return shares;
}

describe('a share of a bundle', () => {
  it('has the devices of its bundle, each given once', () => {
    const shares = opened(bundle(0, { GPU: 2, CPU: 1 }, [gpu(3), gpu(5)]));
    const first = shares.take('g', 0, { GPU: 1 });
    const second = shares.take('g', 0, { GPU: 1, CPU: 1 });
    expect(first?.devices).toEqual([gpu(3)]);
    expect(second?.devices).toEqual([gpu(5)]);
    expect(shares.take('g', 0, { GPU: 1 })).toBeNull();
    if (first !== null) shares.giveBack(first);
    expect(shares.take('g', 0, { GPU: 1 })?.devices).toEqual([gpu(3)]);
  });

  it('of any bundle is of the first that has room', () => {
    const shares = opened(bundle(0, { GPU: 1 }), bundle(1, { GPU: 1 }));
    expect([0, 1].map(() => shares.take('g', -1, { GPU: 1 })?.bundle)).toEqual([0, 1]);
    expect(shares.take('g', -1, { GPU: 1 })).toBeNull();
  });

  it('may be a fraction of a device, also where the bundle has no more of it', () => {
    const shares = opened(bundle(0, { GPU: 0.5 }, [gpu(2, 0.5)]));
    expect(shares.take('g', 0, { GPU: 0.3 })?.devices).toEqual([gpu(2, 0.3)]);
    expect(shares.take('g', 0, { GPU: 0.3 })).toBeNull();
    expect(shares.take('g', 0, { GPU: 0.2 })?.devices).toEqual([gpu(2, 0.2)]);
  });

  it('may be nothing, however much others have', () => {
    const shares = opened(bundle(0, { CPU: 1 }, []));
    shares.take('g', 0, { CPU: 1 });
    expect(shares.take('g', -1, {})).toMatchObject({ bundle: 0, node: 'n', devices: [] });
  });

  it('that no bundle could hold is refused, with what was asked for', () => {
    const shares = opened(bundle(0, { GPU: 1 }), bundle(1, { GPU: 2 }, [gpu(1), gpu(2)]));
    expect(() => shares.take('g', 0, { GPU: 2 })).toThrow(/bundle 0 of 2 that could hold .*GPU/);
    expect(() => shares.take('g', -1, { CPU: 1 })).toThrow(/no bundle that could hold .*CPU/);
    expect(() => shares.take('g', 7, {})).toThrow('bundle 7');
    expect(() => shares.take('other', -1, {})).toThrow('placement group other');
  });

  it('is nobody’s when its group is gone, and giving it back changes nothing', () => {
    const shares = opened(bundle(0, { GPU: 1 }));
    const share = shares.take('g', 0, { GPU: 1 });
    shares.open('g', [bundle(0, { GPU: 1 })]); // told again
    expect(shares.take('g', 0, { GPU: 1 })).toBeNull();
    shares.close('g');
    if (share !== null) shares.giveBack(share);
    expect(() => shares.take('g', 0, { GPU: 1 })).toThrow('placement group g');
  });
});
