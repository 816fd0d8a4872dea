/** Agents that talk with a head of more than reservations, and what keeps a box with its head: real sockets and a real journal, in one process. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { curveKeyPair } from 'zeromq';
import { Agent, type AgentOptions } from '../../src/cluster/agent.js';
import type { AgentTalk } from '../../src/cluster/client-protocol.js';
import { ClusterHead } from '../../src/cluster/cluster-head.js';
import { groupSpec } from '../../src/cluster/group-spec.js';
import { JournaledLedger } from '../../src/cluster/journaled-ledger.js';
import { DEFAULT_TIMERS, type LedgerRecord } from '../../src/cluster/types.js';
import { TwinkleError } from '../../src/errors.js';
import { SILENT } from '../../src/observability/logger.js';
import { AgentLink, type AgentWork } from '../../src/runtime/agent-link.js';
import { openJournal } from '../../src/store/journal.js';
import type { Peer } from '../../src/transport/peer.js';
import { connectPeer } from '../../src/transport/peer-client.js';
import { deferred } from '../../src/util/deferred.js';

const PATIENCE = { timeout: 10_000, interval: 10 };
const SERVER = curveKeyPair();
const JOIN = curveKeyPair();
const CURVE = { serverKey: SERVER.publicKey, ...JOIN };

let folder: string;
let open: AsyncDisposable[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinkle-talk-'));
  open = [];
});
afterEach(async () => {
  for (const each of open.reverse()) await each[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** What the head heard, in order. */
class Talk implements AgentTalk {
  readonly heard: string[] = [];
  readonly peers = new Map<string, Pick<Peer, 'call' | 'cast'>>();
  refusal: Error | null = null;
  states: () => string = () => '';
  welcome(node: string): unknown {
    if (this.refusal !== null) throw this.refusal;
    return { door: `for ${node}` };
  }
  joined(node: string, { talk }: { talk?: unknown }, peer: Pick<Peer, 'call' | 'cast'>): void {
    this.peers.set(node, peer);
    this.heard.push(`joined ${node} ${JSON.stringify(talk)}, ledger ${this.states()}`);
  }
  call(node: string, method: string, params: unknown): unknown {
    if (method === 'work.fail') throw new TwinkleError('GROUP_NOT_FOUND', 'nothing of that name');
    return Promise.resolve({ node, method, params });
  }
  cast(node: string, method: string, params: unknown): void {
    this.heard.push(`${node} ${method} ${JSON.stringify(params)}`);
  }
  left(node: string, why: string): void {
    this.heard.push(`left ${node}: ${why}, ledger ${this.states()}`);
  }
}

interface TestHead extends AsyncDisposable {
  readonly ipc: string;
  readonly tcp: string;
  readonly core: JournaledLedger;
  readonly watched: string[];
  states(): Record<string, string>;
}

async function startHead(talk: Talk, port = '*'): Promise<TestHead> {
  const records: LedgerRecord[] = [];
  const onRecord = (record: unknown): void => void records.push(record as LedgerRecord);
  const journal = await openJournal({ folder, name: 'ledger', sync: 'kernel', onRecord });
  const ipc = `ipc://${join(folder, 'peers')}`;
  const watched: string[] = [];
  const head = new ClusterHead({
    ...{ address: ipc, cluster: 'c', timers: DEFAULT_TIMERS, log: SILENT, talk },
    watch: (session) => {
      watched.push(session);
      return Promise.resolve(); // as if every process of this box were gone
    },
    outside: { address: `tcp://127.0.0.1:${port}`, curve: { ...SERVER, clients: [JOIN.publicKey] } },
  });
  const core = new JournaledLedger({
    ...{ journal, records, timers: DEFAULT_TIMERS },
    newId: () => randomUUID(),
    nowMs: () => performance.now(),
    send: (node, batch) => head.send(node, batch),
    onEvents: (events) => head.tell(events),
    onFailure: () => {},
  });
  const states = (): Record<string, string> =>
    Object.fromEntries([...core.state.nodes()].map(({ spec, state }) => [spec.id, state]));
  talk.states = () => JSON.stringify(states());
  await head.open(core, 'own');
  let closed = false;
  const started: TestHead = {
    ...{ ipc, tcp: head.outside ?? '', core, watched, states },
    [Symbol.asyncDispose]: async () => {
      if (closed) return;
      closed = true;
      await head.close();
      await core.close();
    },
  };
  open.push(started);
  return started;
}

const NODE = {
  id: 'a',
  name: 'a',
  address: '10.0.0.1',
  incarnation: '1',
  version: '0',
  pid: 7,
  total: { CPU: 2 },
  labels: {},
  devices: {},
};

async function agentOf(head: TestHead, over: Partial<AgentOptions> = {}): Promise<Agent> {
  const agent = await Agent.join({
    ...{ address: head.tcp, curve: CURVE, session: '7.7.ab', node: NODE, log: SILENT },
    nowMs: () => performance.now(),
    onFenced: () => {},
    ...over,
  });
  open.push(agent);
  return agent;
}

describe('an agent that talks', () => {
  it('says what it is, is told what the head says, asks and is asked, until it leaves', async () => {
    const talk = new Talk();
    const head = await startHead(talk);
    const casts: unknown[] = [];
    const agent = await agentOf(head, {
      talk: () => ({ port: 4 }),
      handlers: { call: (method, params) => [method, params], cast: (...all) => void casts.push(all) },
    });
    expect(agent.connected).toBe(true);
    expect(agent.welcome).toMatchObject({ cluster: 'c', talk: { door: 'for a' } });
    expect(talk.heard).toEqual(['joined a {"port":4}, ledger {"a":"alive"}']);
    expect(head.core.state.status().node('a')).toMatchObject({ name: 'a', address: '10.0.0.1', pid: 7 });
    expect(await agent.call('work.ask', [1])).toEqual({ node: 'a', method: 'work.ask', params: [1] });
    await expect(agent.call('work.fail', null)).rejects.toMatchObject({ code: 'GROUP_NOT_FOUND' });
    await expect(agent.call('group.remove', null)).rejects.toMatchObject({ code: 'PROTOCOL' });
    agent.cast('work.say', 'x');
    expect(await talk.peers.get('a')?.call('work.do', { x: 1 })).toEqual(['work.do', { x: 1 }]);
    talk.peers.get('a')?.cast('work.hear', 2);
    await expect.poll(() => casts).toEqual([['work.hear', 2]]);
    await agent[Symbol.asyncDispose]();
    await expect
      .poll(() => talk.heard.slice(1), PATIENCE)
      .toEqual(['a work.say "x"', 'left a: it left, ledger {"a":"alive"}']);
    expect(head.states()).toEqual({ a: 'dead' });
    expect(head.watched).toEqual([]);
  });

  it('leaves with its connection, whatever ended it, and its groups move at once', async () => {
    const talk = new Talk();
    const head = await startHead(talk);
    const states: string[] = [];
    const lost = await agentOf(head, { talk: () => null, onState: (state) => states.push(state) });
    await agentOf(head, { talk: () => null, node: { ...NODE, id: 'b' }, session: '7.7.cd' });
    const id = head.core.enter((ledger) => ledger.createGroup(groupSpec({ bundles: [{ CPU: 2 }] }), null));
    await expect.poll(() => head.core.state.group(id)?.state, PATIENCE).toBe('CREATED');
    const before = head.core.state.group(id)?.seats[0]?.node ?? '';
    const sameSession = connectPeer({
      ...{ address: head.tcp, curve: CURVE, role: 'agent', session: before === 'a' ? '7.7.ab' : '7.7.cd' },
      body: () => ({ ...NODE, id: before, incarnation: '2', held: [], talk: 'again', total: {} }),
      handlers: { call: () => null, cast() {} },
    });
    open.push(await sameSession);
    expect(talk.heard.slice(2)).toEqual([
      `left ${before}: its session connected again, ledger ${JSON.stringify({ a: 'alive', b: 'alive' })}`,
      expect.stringMatching(`joined ${before} "again", ledger `),
    ]);
    await expect.poll(() => head.core.state.group(id)?.seats[0]?.node, PATIENCE).not.toBe(before);
    await expect.poll(() => head.core.state.group(id)?.state, PATIENCE).toBe('CREATED');
    // What it was taken for then is no news any more: it stays.
    expect((await sameSession).state).toBe('connected');
    expect(head.states()).toEqual({ a: 'alive', b: 'alive' });
    if (before === 'a') {
      expect(states).toEqual(['disconnected']);
      expect(lost.connected).toBe(false);
    }
  });

  it('may be refused; another cannot be the same node; wrong facts end its connection, not the head', async () => {
    const talk = new Talk();
    const head = await startHead(talk);
    talk.refusal = new TwinkleError('CONFIG_INVALID', 'not today');
    await expect(agentOf(head, { talk: () => null })).rejects.toThrow('not today');
    talk.refusal = null;
    await expect(agentOf(head, { node: { ...NODE, id: 'own' } })).rejects.toThrow('which the head itself is already');
    await agentOf(head, { talk: () => null });
    await expect(agentOf(head, { session: '8.8.ab' })).rejects.toThrow('which an agent (pid');
    const body = { ...NODE, id: 'w', held: [], talk: null };
    const attempt = (wrong: object): Promise<AsyncDisposable> =>
      connectPeer({
        ...{ address: head.tcp, curve: CURVE, role: 'agent', session: randomUUID() },
        body: () => ({ ...body, ...wrong }),
        handlers: { call: () => null, cast() {} },
      });
    await expect(attempt({ id: 4 })).rejects.toMatchObject({ code: 'PROTOCOL' });
    await expect(attempt({ total: null })).rejects.toMatchObject({ code: 'PROTOCOL' });
    open.push(await attempt({ total: { CPU: -1 } }));
    expect(head.states()).toEqual({ a: 'alive' });
    expect(talk.heard).toHaveLength(1);
  });
});

it('an agent without talk keeps its node while its connection is lost, and has no work methods', async () => {
  const talk = new Talk();
  const head = await startHead(talk);
  const agent = await agentOf(head);
  await expect(agent.call('work.ask', null)).rejects.toMatchObject({ code: 'PROTOCOL' });
  expect(agent.welcome.talk).toBeUndefined();
  const rival = await connectPeer({
    ...{ address: head.tcp, curve: CURVE, role: 'agent', session: '7.7.ab' },
    body: () => ({ ...NODE, held: [] }),
    handlers: { call: () => null, cast() {} },
  });
  open.push(rival);
  expect(head.states()).toEqual({ a: 'alive' });
  expect(talk.heard).toEqual([]);
});

it('a client of another box is not looked for among the processes of this one', async () => {
  const head = await startHead(new Talk());
  const client = await connectPeer({
    ...{ address: head.tcp, curve: CURVE, role: 'client', session: '1.1.ab' },
    body: () => ({ groups: [] }),
    handlers: { call: () => null, cast() {} },
  });
  open.push(client);
  const spec = groupSpec({ bundles: [{ CPU: 1 }] });
  const { id } = await client.call<{ id: string }>('group.create', { spec });
  expect(head.core.state.group(id)).toMatchObject({ owner: 'far-1.1.ab', state: 'PENDING' });
  expect(head.watched).toEqual([]);
});

describe('a box is kept with its head', () => {
  interface Made extends AgentWork {
    readonly number: number;
    ended: boolean;
  }

  it('what runs there ends before it joins again, as another incarnation, also with the next head', async () => {
    const talk = new Talk();
    const first = await startHead(talk);
    const made: Made[] = [];
    const incarnations: string[] = [];
    const gate = deferred<void>();
    const { incarnation: _, ...node } = NODE;
    const link = await AgentLink.open({
      ...{ address: first.tcp, curve: CURVE, session: '7.7.ab', node, log: SILENT, timeoutMs: 5000 },
      work: async () => {
        expect(made.filter(({ ended }) => !ended)).toEqual([]);
        const work: Made = {
          number: made.length,
          ended: false,
          talk: { number: made.length },
          handlers: { call: () => made.length, cast() {} },
          joined: async (agent, welcome) => {
            incarnations.push(String(first.core.state.status().node('a')?.incarnation));
            expect(welcome.talk).toEqual({ door: 'for a' });
            expect(await agent.call('work.ask', null)).toMatchObject({ node: 'a' });
          },
          [Symbol.asyncDispose]: async () => {
            if (work.number === 0) await gate.promise;
            work.ended = true;
          },
        };
        made.push(work);
        return work;
      },
    });
    open.push(link);
    expect(link.reason).toBeNull();
    // The head takes it for dead: it ends what it runs, however long that takes, and comes back.
    first.core.enter((ledger) => ledger.nodeLeft('a', 'a test'));
    await expect.poll(() => link.reason, PATIENCE).toBe('taken for dead: join again');
    expect(made).toHaveLength(1);
    gate.resolve();
    await expect.poll(() => link.reason, PATIENCE).toBeNull();
    expect(made.map(({ ended }) => ended)).toEqual([true, false]);
    expect(new Set(incarnations).size).toBe(2);
    const port = first.tcp.split(':').at(-1) ?? '';
    await first[Symbol.asyncDispose]();
    await expect.poll(() => link.reason, PATIENCE).not.toBeNull();
    const second = await startHead(talk, port);
    await expect.poll(() => link.reason, PATIENCE).toBeNull();
    expect(second.states()).toEqual({ a: 'alive' });
    expect(made.map(({ ended }) => ended)).toEqual([true, true, false]);
    expect(talk.heard.at(-1)).toMatch(/^joined a \{"number":2\}/);
    await link[Symbol.asyncDispose]();
    expect(made.every(({ ended }) => ended)).toBe(true);
    await expect.poll(() => second.states(), PATIENCE).toEqual({ a: 'dead' });
  });

  it('ends while its head is away, and when its work cannot begin', async () => {
    const talk = new Talk();
    const head = await startHead(talk);
    const { incarnation: _, ...node } = NODE;
    const options = { address: head.tcp, curve: CURVE, session: '7.7.ab', node, log: SILENT, timeoutMs: 5000 };
    const ends: string[] = [];
    const broken = (name: string, joined: () => Promise<void>): Promise<AgentLink> =>
      AgentLink.open({
        ...options,
        work: async () => ({
          ...{ talk: null, handlers: { call: () => null, cast() {} }, joined },
          [Symbol.asyncDispose]: async () => void ends.push(name),
        }),
      });
    await expect(broken('thrown', () => Promise.reject(new Error('no Python')))).rejects.toThrow('no Python');
    await expect.poll(() => head.states(), PATIENCE).toEqual({ a: 'dead' });
    const never = broken('stuck', () => new Promise(() => {}));
    await expect.poll(() => head.states(), PATIENCE).toEqual({ a: 'alive' });
    head.core.enter((ledger) => ledger.nodeLeft('a', 'a test'));
    await expect(never).rejects.toMatchObject({ code: 'HEAD_UNREACHABLE' });
    expect(ends).toEqual(['thrown', 'stuck']);
    const link = await AgentLink.open({ ...options, work: null });
    await head[Symbol.asyncDispose]();
    await expect.poll(() => link.reason, PATIENCE).not.toBeNull();
    await link[Symbol.asyncDispose]();
  });
});
