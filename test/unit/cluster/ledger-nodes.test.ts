import { describe, expect, it } from 'vitest';
import { gpus, groupOf, helloOf, LedgerKit } from './support.js';

const stateOf = (kit: LedgerKit, id: string): string | undefined =>
  [...kit.ledger.nodes()].find(({ spec }) => spec.id === id)?.state;

describe('ledger: nodes', () => {
  it('renews every heartbeat and calls nobody silent who answers', () => {
    const kit = new LedgerKit([helloOf('n0')]);
    kit.pass(10_000);
    expect(stateOf(kit, 'n0')).toBe('alive');
    expect(kit.sentTo('n0', 'renew').length).toBeGreaterThanOrEqual(20);
    const renewals = kit.sentTo('n0', 'renew');
    expect(renewals[0]).toEqual({ t: 'renew', fencingMs: 1500, graceMs: 60_000, heardMs: null });
    expect(renewals[1]).toMatchObject({ heardMs: 0 }); // at once after its first report
    expect(renewals.at(-1)).toMatchObject({ heardMs: 9500 });
  });

  it('suspects who is silent, buries who stays so, and never prolongs a lease beyond that', () => {
    const kit = new LedgerKit([helloOf('n0')]);
    kit.agents.clear();
    const since = kit.nowMs;
    const ends: number[] = [];
    const states: string[] = [];
    for (let step = 0; step < 60; step++) {
      const before = kit.sent.length;
      kit.pass(50);
      for (const { message } of kit.sent.slice(before))
        if (message.t === 'renew') ends.push((message.heardMs ?? 0) + message.fencingMs);
      const state = stateOf(kit, 'n0') ?? '';
      if (states.at(-1) !== state) states.push(state);
    }
    expect(states).toEqual(['alive', 'suspect', 'dead']);
    expect(Math.max(...ends)).toBe(since + kit.timers.fencingMs);
  });

  it('takes nothing new to a suspect, and all of it again once it is heard', () => {
    const kit = new LedgerKit([helloOf('n0')]);
    const agent = kit.agents.get('n0');
    kit.agents.clear();
    kit.pass(1600);
    const id = kit.ledger.createGroup(groupOf(), null);
    expect(kit.ledger.explain(id)[0]?.reason).toMatch(/silent for \d+ ms/);
    if (agent !== undefined) kit.agents.set('n0', agent);
    kit.say('n0', { t: 'alive', atMs: 0, held: [] });
    expect(stateOf(kit, 'n0')).toBe('alive');
    expect(kit.state(id)).toBe('CREATED FINISHED n0');
  });

  it('does not take its own sleep for the silence of others', () => {
    const kit = new LedgerKit([helloOf('n0')]);
    kit.pass(2000);
    kit.agents.clear(); // its mail is unread
    kit.nowMs += 30_000;
    kit.ledger.tick();
    expect(stateOf(kit, 'n0')).toBe('alive');
    kit.pass(4000);
    expect(stateOf(kit, 'n0')).toBe('dead');
  });

  it('moves only the bundles of a dead node, before all who wait', () => {
    const kit = new LedgerKit([helloOf('n0'), helloOf('n1')]);
    const id = kit.ledger.createGroup(groupOf({ bundles: gpus(3) }), null);
    expect(kit.state(id)).toBe('CREATED FINISHED n0 n0 n1');
    const waiting = kit.ledger.createGroup(groupOf({ bundles: gpus(2) }), null);
    kit.agents.delete('n1');
    kit.ledger.nodeLeft('n1', 'its process ended');
    expect(kit.state(id)).toBe('RESCHEDULING NO_RESOURCES n0 n0 -');
    expect(kit.ledger.group(id)).toMatchObject({ position: 0, reason: expect.any(String) });
    expect(kit.ledger.group(waiting)?.position).toBe(1);
    expect(kit.journal.slice(-2)).toEqual([
      { r: 'lost', id, bundles: [2] },
      { r: 'node-gone', id: 'n1' },
    ]);
    kit.join(helloOf('n2', { total: { GPU: 1 } }));
    expect(kit.state(id)).toBe('CREATED FINISHED n0 n0 n2');
    expect(kit.state(waiting)).toMatch(/^PENDING/);
  });

  it('keeps the strategy for what moves: spread apart, packed together, in its domain', () => {
    const rack = (id: string, name: string) => helloOf(id, { labels: { rack: name } });
    const kit = new LedgerKit([rack('n0', 'a'), rack('n1', 'a'), rack('n2', 'b')]);
    const spread = kit.ledger.createGroup(
      groupOf({ strategy: 'STRICT_SPREAD', bundles: [{ CPU: 1 }, { CPU: 1 }] }),
      null,
    );
    expect(kit.state(spread)).toBe('CREATED FINISHED n0 n1');
    const racked = kit.ledger.createGroup(groupOf({ domainLabel: 'rack', strategy: 'SPREAD', bundles: gpus(2) }), null);
    expect(kit.state(racked)).toBe('CREATED FINISHED n0 n1');
    const packed = kit.ledger.createGroup(groupOf({ strategy: 'STRICT_PACK', bundles: gpus(2) }), null);
    expect(kit.state(packed)).toBe('CREATED FINISHED n2 n2');
    kit.ledger.nodeLeft('n1', 'gone');
    expect(kit.state(spread)).toBe('CREATED FINISHED n0 n2'); // not beside the one that stays
    expect(kit.state(racked)).toBe('CREATED FINISHED n0 n0'); // rack b has no say in it
    kit.ledger.nodeLeft('n2', 'gone');
    expect(kit.state(spread)).toBe('RESCHEDULING INFEASIBLE n0 -');
    expect(kit.state(packed)).toBe('RESCHEDULING NO_RESOURCES - -');
  });

  it('takes another incarnation for another node, with nothing of before on it', () => {
    const kit = new LedgerKit([helloOf('n0')]);
    const id = kit.ledger.createGroup(groupOf({ bundles: gpus(2) }), null);
    kit.join(helloOf('n0', { incarnation: 'n0-2' }));
    expect(kit.state(id)).toBe('CREATED FINISHED n0 n0');
    expect(kit.agents.get('n0')?.table.held()).toHaveLength(1);
    expect(kit.journal.map(({ r }) => r).slice(-4)).toEqual(['lost', 'node-gone', 'node', 'seats']);
    kit.ledger.receive('n0', { incarnation: 'n0-1', messages: [{ t: 'alive', atMs: 0, held: [] }] });
    expect(kit.state(id)).toBe('CREATED FINISHED n0 n0');
  });

  it('takes back a node with what it still holds, and releases what nobody wants', () => {
    const kit = new LedgerKit([helloOf('n0')]);
    const agent = kit.agents.get('n0');
    const id = kit.ledger.createGroup(groupOf({ bundles: gpus(2) }), null);
    kit.agents.clear();
    kit.pass(2600);
    expect(stateOf(kit, 'n0')).toBe('dead');
    expect(kit.state(id)).toBe('RESCHEDULING INFEASIBLE - -');
    expect(agent?.table.held()).toHaveLength(1); // serving: goes on
    // Its release gets lost once: until it is confirmed, the node takes nothing new.
    kit.ledger.nodeHello(helloOf('n0', { held: agent?.table.held() ?? [] }));
    expect(stateOf(kit, 'n0')).toBe('alive');
    expect(kit.state(id)).toMatch(/^RESCHEDULING \w+ - -/);
    expect(kit.sentTo('n0', 'prepare')).toHaveLength(1);
    if (agent !== undefined) kit.agents.set('n0', agent);
    kit.pass(260);
    expect(kit.state(id)).toBe('CREATED FINISHED n0 n0');
    expect(agent?.table.held()).toHaveLength(1);
  });

  it('asks before it believes that a committed reservation is gone, and moves the bundle when it is', () => {
    const kit = new LedgerKit([helloOf('n0')]);
    const id = kit.ledger.createGroup(groupOf({ hold: 'stateful' }), null);
    kit.say('n0', { t: 'alive', atMs: 0, held: [] }); // a report from before the commit
    expect(kit.state(id)).toBe('CREATED FINISHED n0');
    expect(kit.journal.filter(({ r }) => r === 'lost')).toEqual([]);
    const { txn } = kit.sentTo('n0', 'prepare')[0] ?? { txn: '' };
    kit.agents.get('n0')?.table.apply({ epoch: 1, messages: [{ t: 'release', txn }] }, kit.nowMs);
    kit.pass(500);
    expect(kit.journal.filter(({ r }) => r === 'lost')).toEqual([{ r: 'lost', id, bundles: [0] }]);
    expect(kit.state(id)).toBe('CREATED FINISHED n0');
    expect(kit.sentTo('n0', 'prepare')).toHaveLength(2);
  });

  it('gives up what it was preparing on a node that dies', () => {
    const kit = new LedgerKit([helloOf('n0'), helloOf('n1')]);
    kit.agents.delete('n1');
    const id = kit.ledger.createGroup(groupOf({ bundles: gpus(4) }), null);
    expect(kit.state(id)).toMatch(/^PENDING PREPARING/);
    kit.ledger.nodeLeft('n1', 'gone');
    expect(kit.state(id)).toBe('PENDING NO_RESOURCES - - - -');
    expect(kit.agents.get('n0')?.table.held()).toEqual([]);
  });

  it('drains: what is there stays, nothing new comes', () => {
    const kit = new LedgerKit([helloOf('n0')]);
    const id = kit.ledger.createGroup(groupOf(), null);
    kit.ledger.drainNode('n0');
    expect(stateOf(kit, 'n0')).toBe('draining');
    expect(kit.state(id)).toBe('CREATED FINISHED n0');
    const next = kit.ledger.createGroup(groupOf(), null);
    expect(kit.state(next)).toBe('PENDING INFEASIBLE -');
    kit.pass(3000);
    expect(stateOf(kit, 'n0')).toBe('draining');
    kit.join(helloOf('n0', { incarnation: 'n0-2' }));
    expect(kit.state(next)).toBe('CREATED FINISHED n0');
  });

  it('refuses a node that is wrong in itself, and lives on', () => {
    const kit = new LedgerKit();
    expect(() => kit.ledger.nodeHello(helloOf('n0', { total: { GPU: 1.5 } }))).toThrow(/whole number/);
    kit.join(helloOf('n0'));
    expect(stateOf(kit, 'n0')).toBe('alive');
  });

  it('has nothing to wake up for without nodes', () => {
    const kit = new LedgerKit();
    kit.ledger.createGroup(groupOf(), null);
    expect(kit.ledger.nextWakeMs()).toBeNull();
  });
});
