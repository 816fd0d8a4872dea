import { describe, expect, it } from 'vitest';
import { groupStatus, snapshotOf } from '../../../src/cluster/status-view.js';
import { gpus, groupOf, helloOf, LedgerKit } from './support.js';

describe('snapshot', () => {
  it('shows all that live, and the 50 groups that were removed last, with what they had', () => {
    const kit = new LedgerKit([helloOf('n0')]);
    const { ledger } = kit;
    const old = ledger.createGroup(groupOf({ bundles: gpus(2) }), null);
    const young = Array.from({ length: 60 }, () => ledger.createGroup(groupOf(), null));
    for (const id of young) ledger.removeGroup(id);
    ledger.removeGroup(old); // the oldest, and the news
    const living = [ledger.createGroup(groupOf(), null), ledger.createGroup(groupOf({ bundles: gpus(3) }), null)];
    const { groups } = snapshotOf(ledger, 'c');
    expect(groups.map(({ id }) => id)).toEqual([...living, ...young.slice(-49), old]);
    expect(groups).toEqual(groups.map(({ id }) => groupStatus(ledger, id)));
    expect(groups.at(-1)?.bundles.map(({ node, devices }) => [node, devices.map(({ uuid }) => uuid)])).toEqual([
      ['n0', ['GPU:0']],
      ['n0', ['GPU:1']],
    ]);
    expect([...ledger.groups()]).toHaveLength(63);
  });

  it('is as quick with a long past as with a short one: it looks at no group that it does not show', () => {
    const kit = new LedgerKit([helloOf('n0')]);
    const { ledger } = kit;
    for (let round = 0; round < 300; round++) ledger.removeGroup(ledger.createGroup(groupOf(), null));
    let views = 0;
    const counting = {
      epoch: ledger.epoch,
      version: ledger.version,
      nodes: () => ledger.nodes(),
      status: () => ledger.status(),
      *groups(removed?: number) {
        for (const view of ledger.groups(removed)) {
          views += 1;
          yield view;
        }
      },
    };
    expect(snapshotOf(counting, 'c')).toEqual(snapshotOf(ledger, 'c'));
    expect(views).toBe(50);
  });
});
