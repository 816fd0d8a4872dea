import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { GroupPlan } from '../../../src/engines/placement.js';
import { type SeatedBundle, seatRanks } from '../../../src/engines/rank-seats.js';

function plan(change: Partial<GroupPlan> & Pick<GroupPlan, 'bundles'>): GroupPlan {
  return {
    name: 'm/0',
    strategy: 'PACK',
    tensorParallel: 1,
    accelerator: 'GPU',
    replicas: [0],
    worldSize: change.bundles.length,
    ...change,
  };
}

const gpus = (count: number) => new Array<{ GPU: number }>(count).fill({ GPU: 1 });
const gpu = (node: string, instance: number, quantity = 1): SeatedBundle => ({
  node,
  devices: [{ resource: 'GPU', instance, uuid: `${node}-${instance}`, quantity }],
});
const shown = (of: GroupPlan, seats: readonly SeatedBundle[]) =>
  seatRanks(of, seats).map((ranks) => ranks.map(({ bundle, node, localRank }) => `${bundle}@${node}:${localRank}`));

describe('the order of ranks', () => {
  it('is the order of bundles on one node', () => {
    expect(shown(plan({ bundles: gpus(3) }), [gpu('a', 2), gpu('a', 0), gpu('a', 1)])).toEqual([
      ['0@a:0', '1@a:1', '2@a:2'],
    ]);
  });

  it('fills a node before the next: tensor-parallel pairs stay together, stages cross', () => {
    const seats = [gpu('b', 0), gpu('a', 0), gpu('b', 1), gpu('a', 1)];
    // The node of bundle 0 comes first though its id does not.
    expect(shown(plan({ bundles: gpus(4), tensorParallel: 2 }), seats)).toEqual([['0@b:0', '2@b:1', '1@a:0', '3@a:1']]);
  });

  it('takes nodes after the first by id', () => {
    expect(shown(plan({ bundles: gpus(3) }), [gpu('c', 0), gpu('b', 0), gpu('a', 0)])).toEqual([
      ['0@c:0', '2@a:0', '1@b:0'],
    ]);
  });

  it('skips bundles without a device, and those beyond the ranks', () => {
    const seats = [{ node: 'a', devices: [] }, gpu('a', 0), gpu('b', 0), gpu('a', 1)];
    const of = plan({ bundles: [{ CPU: 1 }, ...gpus(3)], worldSize: 2 });
    expect(shown(of, seats)).toEqual([['1@a:0', '3@a:1']]);
  });

  it('gives each replica of a gang consecutive bundles, with local ranks of its own', () => {
    const of = plan({ bundles: gpus(4), replicas: [0, 1], worldSize: 2 });
    expect(shown(of, [gpu('b', 0), gpu('a', 0), gpu('b', 1), gpu('a', 1)])).toEqual([
      ['0@b:0', '2@b:1'],
      ['1@a:0', '3@a:1'],
    ]);
  });

  it('names the device, shared or whole; on CPUs none', () => {
    const shared = plan({ bundles: [{ GPU: 0.5 }, { GPU: 0.5 }] });
    const seats = seatRanks(shared, [gpu('a', 0, 0.5), gpu('a', 0, 0.5)]);
    expect(seats[0]?.map(({ device, localRank }) => [device?.uuid, localRank])).toEqual([
      ['a-0', 0],
      ['a-0', 1],
    ]);
    const cpu = plan({ bundles: [{ CPU: 1 }], accelerator: null });
    expect(seatRanks(cpu, [{ node: 'a', devices: [] }])).toEqual([
      [{ bundle: 0, node: 'a', localRank: 0, device: null }],
    ]);
  });

  it('uses each bundle once and numbers ranks of a node from 0 without gaps, wherever they lie', () => {
    const places = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(places, fc.integer({ min: 1, max: 3 }), (nodes, replicas) => {
        const worldSize = Math.floor(nodes.length / replicas);
        fc.pre(worldSize > 0);
        const of = plan({ bundles: gpus(nodes.length), replicas: [...new Array(replicas).keys()], worldSize });
        const all = seatRanks(
          of,
          nodes.map((node, at) => gpu(node, at)),
        );
        const used = all.flatMap((ranks) => ranks.map(({ bundle }) => bundle));
        expect(new Set(used).size).toBe(worldSize * replicas);
        for (const ranks of all) {
          for (const node of ['a', 'b', 'c']) {
            const local = ranks.filter((rank) => rank.node === node).map(({ localRank }) => localRank);
            expect(local).toEqual([...local.keys()]);
          }
        }
      }),
    );
  });
});
