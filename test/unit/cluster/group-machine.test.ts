import { describe, expect, it } from 'vitest';
import { GroupMachine, requestForMissing } from '../../../src/cluster/group-machine.js';
import type { Attempt } from '../../../src/cluster/ledger-model.js';
import { isLease } from '../../../src/cluster/request-shape.js';
import type { BundleSeat, GroupSpec } from '../../../src/cluster/types.js';
import { gpus, groupOf } from './support.js';

const machine = (spec: Partial<GroupSpec> = {}, sequence = 1): GroupMachine =>
  new GroupMachine({ id: 'g', spec: groupOf(spec), owner: null, createdAt: 0, sequence });
const seat = (node: string): BundleSeat => ({
  node,
  txn: `t-${node}`,
  grant: { resources: new Map(), instances: new Map() },
});
const seats = (...nodes: string[]): Map<number, BundleSeat> =>
  new Map(nodes.map((node, bundle) => [bundle, seat(node)]));
const attempt: Attempt = { claims: [], open: 0, deadlineMs: 0 };

function scattered(spec: Partial<GroupSpec>, lost: number[], nodes: string[]): ReturnType<typeof requestForMissing> {
  const group = machine({ bundles: gpus(nodes.length), ...spec });
  group.seat(seats(...nodes));
  group.lose(lost, 'gone');
  const { request, seats: left } = group;
  if (isLease(request)) throw new Error('a group is no lease');
  return requestForMissing({ request, seats: left }, group.missing(), (node) => new Map([['rack', `rack-of-${node}`]]));
}

describe('group machine', () => {
  it.each([
    [{ selectors: [{ zone: 'in(' }] }, /of `selectors\[0\]`/],
    [{ selectors: [] }, /one per bundle, for `selectors`/],
    [{ selectors: { zone: 'a' } }, /one selector per bundle for `selectors`/],
    [{ domainLabel: '' }, /`domainLabel`: "" is no label name/],
    [{ domainLabel: 'ray.io/node-id', strategy: 'STRICT_SPREAD' }, /several nodes can share for `domainLabel`/],
    [{ domainLabel: 'rack', strategy: 'NEAR' }, /for `strategy` but received "NEAR"/],
    [{ domainLabel: 'rack', strategy: 'SPREAD', softTarget: 'n0' }, /`softTarget` works with STRICT_PACK only/],
    [{ tensorParallel: 3 }, /for `tensorParallel` but received 3/],
  ])('refuses %j by the names that its maker wrote', (spec, words) => {
    const act = (): unknown => machine(spec as Partial<GroupSpec>);
    expect(act).toThrow(words);
    expect(act).toThrow(expect.objectContaining({ code: 'PLACEMENT_INVALID' }));
    expect(act).not.toThrow(/bundleLabelSelector|topologyStrategy/);
  });

  it('goes from waiting over preparing to created, and to the front of the queue after a loss', () => {
    const group = machine({ bundles: gpus(2) }, 7);
    expect([group.state, group.scheduling(null), group.order]).toEqual(['PENDING', 'QUEUED', 7]);
    group.prepare(attempt);
    expect(group.scheduling(null)).toBe('PREPARING');
    group.abandon('n0 refused');
    expect([group.scheduling(null), group.reason(null), group.attempts]).toEqual(['QUEUED', 'n0 refused', 1]);
    group.prepare(attempt);
    group.seat(seats('n0', 'n1'));
    expect([group.state, group.scheduling(null), group.reason(null)]).toEqual(['CREATED', 'FINISHED', null]);
    group.lose([1], 'n1 is gone');
    expect([group.state, group.missing()]).toEqual(['RESCHEDULING', [1]]);
    const other = machine({}, 3);
    expect(group.order).toBeLessThan(other.order);
    group.remove();
    expect(group.view(null)).toMatchObject({ state: 'REMOVED', scheduling: 'REMOVED', reason: null, position: null });
    expect(group.seats.map((held) => held?.node ?? null)).toEqual(['n0', null]);
  });

  it('refuses moves that make no sense', () => {
    const group = machine();
    expect(() => group.abandon('nothing to abandon')).toThrow(/cannot abandon/);
    group.prepare(attempt);
    expect(() => group.prepare(attempt)).toThrow(/cannot prepare/);
    expect(() => group.lose([0], 'while preparing')).toThrow(/cannot lose/);
    group.remove();
    expect(() => group.lose([0], 'too late')).toThrow(/cannot lose/);
    expect(() => group.prepare(attempt)).toThrow(/cannot prepare/);
  });

  it('hands out views that do not change afterwards', () => {
    const group = machine();
    const before = group.view(null);
    group.seat(seats('n0'));
    expect(before).toMatchObject({ state: 'PENDING', seats: [null] });
  });
});

describe('what is asked for after a loss', () => {
  it('is everything when nothing stays', () => {
    const request = scattered({ strategy: 'STRICT_PACK' }, [0, 1], ['n0', 'n0']);
    expect(request).toMatchObject({ strategy: 'STRICT_PACK', occupied: new Set() });
    expect(request.bundles).toHaveLength(2);
  });

  it('keeps selectors with their bundles, the domain of those that stay, and says where they are', () => {
    const selectors = ['a', 'b', 'c'].map((zone) => ({ zone }));
    const request = scattered({ selectors, domainLabel: 'rack' }, [1], ['n0', 'n1', 'n2']);
    expect(request.selectors).toEqual([[{ key: 'zone', not: false, values: ['b'] }]]);
    expect(request.domain).toEqual({ label: 'rack', value: 'rack-of-n0' });
    expect(request.occupied).toEqual(new Set(['n0', 'n2']));
  });

  it('asks for linked devices only where whole tensor-parallel groups were lost', () => {
    const nodes = ['n0', 'n0', 'n1', 'n1', 'n2', 'n2'];
    const missing = (lost: number[]): number => scattered({ tensorParallel: 2 }, lost, nodes).tensorParallel;
    expect(missing([2, 3])).toBe(2);
    expect(missing([0, 1, 4, 5])).toBe(2);
    expect(missing([3])).toBe(1);
    expect(missing([1, 2])).toBe(1);
    expect(missing([0, 2])).toBe(1);
  });
});
