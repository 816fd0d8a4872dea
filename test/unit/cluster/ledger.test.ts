import { describe, expect, it } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import { gpus, groupOf, helloOf, LedgerKit } from './support.js';

function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    return error instanceof TwinkleError ? error.code : String(error);
  }
  return 'nothing';
}

/** Each state and scheduling state that a group went through. */
function story(kit: LedgerKit, id: string): string[] {
  return kit.events.flatMap((event) =>
    event.e === 'group' && event.id === id ? [`${event.state} ${event.scheduling}`] : [],
  );
}

describe('ledger: groups', () => {
  it('places a group in one call when agents answer at once', () => {
    const kit = new LedgerKit([helloOf('n0'), helloOf('n1')]);
    const id = kit.ledger.createGroup(groupOf({ bundles: gpus(3) }), 'me');
    expect(kit.state(id)).toBe('CREATED FINISHED n0 n0 n1');
    expect(story(kit, id)).toEqual(['PENDING QUEUED', 'PENDING PREPARING', 'CREATED FINISHED']);
    expect(kit.ledger.group(id)).toMatchObject({ owner: 'me', attempts: 1, position: null, reason: null });
    expect(kit.sentTo('n0', 'prepare')).toHaveLength(1);
    expect(kit.sentTo('n0', 'commit')).toHaveLength(1);
  });

  it('writes the group down before it is placed, and the seats before it is CREATED', () => {
    const kit = new LedgerKit([helloOf('n0')]);
    kit.journal.length = 0;
    kit.ledger.createGroup(groupOf(), null);
    expect(kit.journal.map(({ r }) => r)).toEqual(['group', 'seats']);
  });

  it('refuses what is wrong, and names that are taken, and changes nothing by it', () => {
    const kit = new LedgerKit([helloOf('n0')]);
    kit.ledger.createGroup(groupOf({ name: 'a' }), null);
    const before = kit.ledger.version;
    expect(codeOf(() => kit.ledger.createGroup(groupOf({ bundles: [] }), null))).toBe('PLACEMENT_INVALID');
    expect(codeOf(() => kit.ledger.createGroup(groupOf({ bundles: [{ GPU: Number.NaN }] }), null))).toBe(
      'PLACEMENT_INVALID',
    );
    expect(codeOf(() => kit.ledger.createGroup(groupOf({ name: 'a' }), null))).toBe('GROUP_NAME_TAKEN');
    expect(kit.ledger.version).toBe(before);
    expect(kit.state(kit.ledger.createGroup(groupOf({ name: 'a', namespace: 'other' }), null))).toMatch(/^CREATED/);
  });

  it('finds a group by its name while it lives, and gives the name away after it', () => {
    const kit = new LedgerKit([helloOf('n0')]);
    const id = kit.ledger.createGroup(groupOf({ name: 'a' }), null);
    expect(kit.ledger.findGroup('a', 'default')?.id).toBe(id);
    expect(kit.ledger.findGroup('a', 'other')).toBeNull();
    kit.ledger.removeGroup(id);
    expect(kit.ledger.findGroup('a', 'default')).toBeNull();
    expect(kit.ledger.createGroup(groupOf({ name: 'a' }), null)).not.toBe(id);
  });

  it('removes once, whatever the group is doing, and knows removed ones for a while', () => {
    const kit = new LedgerKit([helloOf('n0')]);
    const created = kit.ledger.createGroup(groupOf({ bundles: gpus(2) }), null);
    const waiting = kit.ledger.createGroup(groupOf({ bundles: gpus(2) }), null);
    kit.ledger.removeGroup(waiting);
    kit.ledger.removeGroup(created);
    kit.ledger.removeGroup(created);
    expect(kit.state(waiting)).toBe('REMOVED REMOVED - -');
    expect(kit.state(created)).toBe('REMOVED REMOVED n0 n0');
    expect(kit.journal.filter(({ r }) => r === 'removed')).toHaveLength(2);
    expect(codeOf(() => kit.ledger.removeGroup('nobody'))).toBe('GROUP_NOT_FOUND');
    expect(codeOf(() => kit.ledger.explain('nobody'))).toBe('GROUP_NOT_FOUND');
    for (let i = 0; i < 1000; i++) kit.ledger.removeGroup(kit.ledger.createGroup(groupOf(), null));
    expect(kit.ledger.group(created)).toBeNull();
    expect([...kit.ledger.groups()]).toHaveLength(1000);
  });

  it('takes what an owner leaves, but not what is detached', () => {
    const kit = new LedgerKit([helloOf('n0')]);
    const mine = kit.ledger.createGroup(groupOf(), 'me');
    const detached = kit.ledger.createGroup(groupOf({ lifetime: 'detached' }), 'me');
    const waiting = kit.ledger.createGroup(groupOf(), 'me');
    const others = kit.ledger.createGroup(groupOf(), 'you');
    kit.ledger.ownerGone('me');
    expect([mine, waiting].map((id) => kit.ledger.group(id)?.state)).toEqual(['REMOVED', 'REMOVED']);
    expect(kit.state(detached)).toMatch(/^CREATED/);
    expect(kit.ledger.group(detached)?.owner).toBeNull();
    expect(kit.state(others)).toMatch(/^CREATED/); // woken by what came back
  });
});

describe('ledger: who waits', () => {
  it('wakes who waits in the call that gives something back, in order, and lets a small one overtake', () => {
    const kit = new LedgerKit([helloOf('n0')]);
    const first = kit.ledger.createGroup(groupOf(), null);
    const second = kit.ledger.createGroup(groupOf(), null);
    const big = kit.ledger.createGroup(groupOf({ bundles: [{ GPU: 2 }] }), null);
    const small = kit.ledger.createGroup(groupOf(), null);
    const smaller = kit.ledger.createGroup(groupOf({ bundles: [{ GPU: 0.5 }] }), null);
    expect(kit.ledger.group(big)).toMatchObject({ scheduling: 'NO_RESOURCES', position: 0, attempts: 1 });
    expect(kit.ledger.group(smaller)).toMatchObject({ position: 2 });
    kit.ledger.removeGroup(first);
    expect([big, small, smaller].map((id) => kit.state(id))).toEqual([
      'PENDING NO_RESOURCES -',
      'CREATED FINISHED n0',
      'PENDING NO_RESOURCES -',
    ]);
    expect(kit.ledger.group(big)).toMatchObject({ attempts: 2, position: 0 });
    kit.ledger.removeGroup(second);
    kit.ledger.removeGroup(small);
    expect(kit.ledger.group(big)?.state).toBe('PENDING'); // the smaller one has half a device
    kit.ledger.removeGroup(smaller);
    expect(kit.state(big)).toBe('CREATED FINISHED n0');
  });

  it('sets aside what no node can ever hold until a node joins', () => {
    const kit = new LedgerKit([helloOf('n0')]);
    const id = kit.ledger.createGroup(groupOf({ bundles: [{ GPU: 4 }] }), null);
    expect(kit.ledger.group(id)).toMatchObject({ scheduling: 'INFEASIBLE', attempts: 1 });
    expect(kit.ledger.group(id)?.reason).toContain('GPU');
    kit.ledger.removeGroup(kit.ledger.createGroup(groupOf(), null));
    expect(kit.ledger.group(id)?.attempts).toBe(1);
    kit.join(helloOf('n1', { total: { GPU: 4 } }));
    expect(kit.state(id)).toBe('CREATED FINISHED n1');
  });

  it('explains what each node lacks, and who is out for the time being', () => {
    const kit = new LedgerKit([helloOf('n0'), helloOf('n1', { total: { CPU: 2 } }), helloOf('n2')]);
    kit.ledger.drainNode('n2');
    kit.ledger.createGroup(groupOf({ bundles: gpus(2) }), null);
    const id = kit.ledger.createGroup(groupOf(), null);
    expect(kit.ledger.explain(id).map(({ node, kind }) => [node, kind])).toEqual([
      ['n0', 'busy'],
      ['n1', 'infeasible'],
      ['n2', 'not-schedulable'],
    ]);
    expect(kit.ledger.explain(id)[2]?.reason).toContain('drained');
    expect(kit.ledger.group(id)?.scheduling).toBe('NO_RESOURCES');
  });

  it('calls nothing infeasible while a node is only silent', () => {
    const kit = new LedgerKit([helloOf('n0')]);
    kit.agents.clear();
    kit.pass(1600);
    expect([...kit.ledger.nodes()][0]?.state).toBe('suspect');
    const id = kit.ledger.createGroup(groupOf(), null);
    expect(kit.state(id)).toBe('PENDING NO_RESOURCES -');
    kit.pass(1000);
    expect([...kit.ledger.nodes()][0]?.state).toBe('dead');
    expect(kit.state(id)).toBe('PENDING INFEASIBLE -');
  });
});

describe('ledger: two phases', () => {
  it('asks again for what has no answer, and commits until it has heard', () => {
    const kit = new LedgerKit([helloOf('n0')]);
    const agent = kit.agents.get('n0');
    kit.agents.clear();
    const id = kit.ledger.createGroup(groupOf(), null);
    expect(kit.state(id)).toBe('PENDING PREPARING -');
    expect(kit.ledger.explain(id)).toMatchObject([{ node: 'n0', reason: expect.stringContaining('no answer yet') }]);
    kit.pass(260);
    expect(kit.sentTo('n0', 'prepare')).toHaveLength(2);
    const { txn } = kit.sentTo('n0', 'prepare')[0] ?? { txn: '' };
    kit.say('n0', { t: 'prepared', txn }, { t: 'prepared', txn });
    expect(kit.state(id)).toBe('CREATED FINISHED n0');
    kit.pass(510);
    expect(kit.sentTo('n0', 'commit')).toHaveLength(3);
    kit.say('n0', { t: 'committed', txn });
    kit.pass(510);
    expect(kit.sentTo('n0', 'commit')).toHaveLength(3);
    expect(agent).toBeDefined();
  });

  it('takes all or nothing: what one node refuses, all others release', () => {
    const kit = new LedgerKit([helloOf('n0'), helloOf('n1')]);
    // Something that the ledger does not know sits on n1.
    const foreign = { resources: { GPU: 2 }, instances: { GPU: [[0, 1] as const, [1, 1] as const] } };
    kit.agents.get('n1')?.table.apply(
      {
        epoch: 1,
        messages: [
          { t: 'prepare', txn: 'x', group: 'x', hold: 'serving', ttlMs: 5000, pieces: [{ bundle: 0, grant: foreign }] },
        ],
      },
      0,
    );
    const id = kit.ledger.createGroup(groupOf({ bundles: gpus(4) }), null);
    expect(kit.ledger.group(id)?.state).toBe('PENDING');
    expect(kit.agents.get('n0')?.table.held()).toEqual([]);
    kit.pass(600); // n1 reports what it holds; the stranger is released; n1 takes work again
    expect(kit.state(id)).toBe('CREATED FINISHED n0 n0 n1 n1');
    expect(kit.ledger.group(id)?.attempts).toBeGreaterThan(1);
  });

  it('does not ask a node that refused again before it has reported', () => {
    const kit = new LedgerKit([helloOf('n0')]);
    kit.agents.clear();
    const id = kit.ledger.createGroup(groupOf(), null);
    const { txn } = kit.sentTo('n0', 'prepare')[0] ?? { txn: '' };
    kit.say('n0', { t: 'refused', txn, reason: 'GPU 0 is on fire' });
    expect(kit.ledger.group(id)).toMatchObject({ state: 'PENDING', position: 0 });
    expect(kit.sentTo('n0', 'prepare')).toHaveLength(1);
    kit.say('n0', { t: 'alive', atMs: 0, held: [] });
    expect(kit.sentTo('n0', 'prepare')).toHaveLength(1);
    kit.pass(260);
    expect(kit.sentTo('n0', 'prepare')).toHaveLength(2);
  });

  it('gives an attempt up in time, and what it took comes back only when the agent says so', () => {
    const kit = new LedgerKit([helloOf('n0')], { deadMs: 60_000, suspectMs: 50_000 });
    kit.agents.clear();
    const id = kit.ledger.createGroup(groupOf({ bundles: gpus(2) }), null);
    const { txn } = kit.sentTo('n0', 'prepare')[0] ?? { txn: '' };
    kit.pass(2500);
    expect(kit.state(id)).toBe('PENDING NO_RESOURCES - -');
    expect(kit.sentTo('n0', 'release').at(-1)?.txn).toBe(txn);
    kit.say('n0', { t: 'released', txn });
    expect(kit.state(id)).toBe('PENDING PREPARING - -');
  });

  it('gives nothing of a removed group to others before it is released', () => {
    const kit = new LedgerKit([helloOf('n0')]);
    const id = kit.ledger.createGroup(groupOf({ bundles: gpus(2) }), null);
    kit.agents.clear();
    kit.ledger.removeGroup(id);
    const next = kit.ledger.createGroup(groupOf(), null);
    expect(kit.state(id)).toMatch(/^REMOVED/);
    expect(kit.state(next)).toBe('PENDING NO_RESOURCES -');
    const { txn } = kit.sentTo('n0', 'release')[0] ?? { txn: '' };
    kit.say('n0', { t: 'released', txn });
    expect(kit.state(next)).toBe('PENDING PREPARING -');
  });

  it('ignores answers to what is settled, and of agents that were replaced', () => {
    const kit = new LedgerKit([helloOf('n0')]);
    const id = kit.ledger.createGroup(groupOf(), null);
    const { txn } = kit.sentTo('n0', 'prepare')[0] ?? { txn: '' };
    kit.say('n0', { t: 'prepared', txn }, { t: 'refused', txn, reason: 'late' }, { t: 'released', txn });
    kit.ledger.receive('n0', { incarnation: 'another', messages: [{ t: 'lost', txn, reason: 'not ours' }] });
    kit.ledger.receive('nobody', { incarnation: 'x', messages: [{ t: 'released', txn }] });
    expect(kit.state(id)).toBe('CREATED FINISHED n0');
  });
});
