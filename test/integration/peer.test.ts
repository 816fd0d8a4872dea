import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { curveKeyPair, Dealer } from 'zeromq';
import { TwinkleError } from '../../src/errors.js';
import type { Peer, PeerClose, PeerHandlers } from '../../src/transport/peer.js';
import { connectPeer, type PeerConnection, type PeerConnectOptions } from '../../src/transport/peer-client.js';
import { decodePeerFrame, encodePeerFrame, type Hello, type PeerFrame } from '../../src/transport/peer-frames.js';
import { openPeerHub, type PeerHub, type PeerHubOptions } from '../../src/transport/peer-hub.js';
import { Sources } from '../support/child-node.js';

const sources = new Sources('transport/peer-hub', 'transport/peer-client');
afterAll(() => sources[Symbol.dispose]());

let folder: string;
let address: string;
let open: AsyncDisposable[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinkle-peer-'));
  address = `ipc://${join(folder, 'head')}`;
  open = [];
});
afterEach(async () => {
  for (const each of open.reverse()) await each[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const ECHO: PeerHandlers = { call: (_, params) => params, cast() {} };

/** A value that a listener gets, awaited. */
function arrival<T>(): { arrived(value: T): void; next: Promise<T> } {
  let arrived: (value: T) => void = () => {};
  const next = new Promise<T>((resolve) => {
    arrived = resolve;
  });
  return { arrived: (value) => arrived(value), next };
}

async function hub(over: Partial<PeerHubOptions> = {}): Promise<PeerHub> {
  const opened = await openPeerHub({ address, accept: () => 'hi', handlers: () => ECHO, onPeer() {}, ...over });
  open.push(opened);
  return opened;
}

async function client(over: Partial<PeerConnectOptions> = {}): Promise<PeerConnection> {
  const connected = await connectPeer({
    address,
    role: 'agent',
    session: 's',
    body: () => null,
    handlers: ECHO,
    ...over,
  });
  open.push(connected);
  return connected;
}

function closeOf(peer: Peer): Promise<PeerClose> {
  return new Promise((resolve) => peer.onClose(resolve));
}

function stateOf(connection: PeerConnection, wanted: 'connected' | 'disconnected'): Promise<string> {
  return new Promise((resolve) => {
    const stop = connection.onState((state, why) => {
      if (state !== wanted) return;
      stop();
      resolve(why);
    });
  });
}

it('remembers when the head was last heard, also when it is gone: leases run from there', async () => {
  const head = await hub({ pingMs: 20 });
  const connection = await client({ pingMs: 20 });
  const joinedMs = performance.now();
  await expect.poll(() => connection.lastHeardMs, { interval: 10 }).toBeGreaterThan(joinedMs + 100);
  const gone = stateOf(connection, 'disconnected');
  await head.close();
  await gone;
  const heardMs = connection.lastHeardMs;
  expect(heardMs).toBeGreaterThan(joinedMs + 100);
  expect(heardMs).toBeLessThanOrEqual(performance.now());
  await expect(connection.call('any', null)).rejects.toMatchObject({ code: 'HEAD_UNREACHABLE' });
  expect(connection.lastHeardMs).toBe(heardMs);
});

/** A client without our code, as one in another language would be. */
class RawClient implements AsyncDisposable {
  readonly dealer = new Dealer({ linger: 0, sendTimeout: 0, sendHighWaterMark: 0 });

  constructor(endpoint: string) {
    this.dealer.connect(endpoint);
    open.push(this);
  }

  async say(frame: PeerFrame | Buffer): Promise<void> {
    await this.dealer.send(Buffer.isBuffer(frame) ? frame : encodePeerFrame(frame));
  }

  async hear(): Promise<PeerFrame[]> {
    return (await this.dealer.receive()).map((part) => decodePeerFrame(part));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.dealer.close();
  }
}

const HELLO: Hello = { t: 'hello', protocol: 1, role: 'agent', session: 'raw', pid: 1, pid_start: '', body: null };

describe('a connection', () => {
  it('says who is there, and calls and casts both ways', async () => {
    const joined = arrival<Peer>();
    const heard = arrival<unknown[]>();
    const head = await hub({
      accept: (hello) => ({ welcome: hello.body }),
      onPeer: joined.arrived,
      handlers: (peer) => ({
        call: (method, params) => Promise.resolve([peer.session, method, params]),
        cast: (...cast) => heard.arrived(cast),
      }),
    });
    const agent = await client({ session: 'agent-1', body: () => ({ gpus: 8 }) });
    const peer = await joined.next;
    expect(agent.state).toBe('connected');
    expect(agent.welcome).toEqual({ head: expect.any(String), body: { welcome: { gpus: 8 } } });
    expect(peer.hello).toMatchObject({ role: 'agent', session: 'agent-1', pid: process.pid, body: { gpus: 8 } });
    expect([...head.peers.keys()]).toEqual(['agent-1']);
    expect(await agent.call('ask', { n: 1 })).toEqual(['agent-1', 'ask', { n: 1 }]);
    expect(await peer.call('ask', [2])).toEqual([2]);
    agent.cast('tell', { n: 3 });
    expect(await heard.next).toEqual(['tell', { n: 3 }]);
  });

  it('is in its owner’s hands before the first cast comes', async () => {
    let connection: PeerConnection | null = null;
    const seen = arrival<PeerConnection | null>();
    await hub({ onPeer: (peer) => peer.cast('at once', null) });
    connection = await client({ handlers: { call: () => null, cast: () => seen.arrived(connection) } });
    expect(await seen.next).toBe(connection);
  });

  it('keeps the order of thousands of casts and calls, in one tick and in many', async () => {
    const heard: unknown[] = [];
    const take = (_: string, params: unknown): void => void heard.push(params);
    await hub({ handlers: () => ({ call: take, cast: take }) });
    const agent = await client();
    const expected = Array.from({ length: 5000 }, (_, at) => at);
    for (const at of expected) {
      if (at % 100 === 0) void agent.call('n', at);
      else agent.cast('n', at);
      if (at > 2500) await null; // a message of its own
    }
    await agent.call('n', 'end');
    expect(heard).toEqual([...expected, 'end']);
  });

  it('carries megabytes', async () => {
    await hub();
    const agent = await client();
    const long = 'ü'.repeat(4 * 1024 * 1024);
    expect((await agent.call<string>('echo', long)) === long).toBe(true);
  });

  it('of a session that connects again replaces the former', async () => {
    const peers: Peer[] = [];
    const head = await hub({ onPeer: (peer) => peers.push(peer) });
    await client({ session: 'same' });
    const closed = closeOf(peers[0] as Peer);
    const raw = new RawClient(head.endpoint);
    await raw.say({ ...HELLO, session: 'same' });
    expect(await closed).toMatchObject({ cause: 'replaced' });
    expect([...head.peers.values()]).toEqual([peers[1]]);
  });

  it('that the head’s side closes is made again by the client', async () => {
    const peers: Peer[] = [];
    await hub({ onPeer: (peer) => peers.push(peer) });
    const agent = await client();
    const lost = stateOf(agent, 'disconnected');
    const back = stateOf(agent, 'connected');
    peers[0]?.close('we must talk again');
    expect(await lost).toBe('we must talk again');
    await back;
    expect(peers.length).toBe(2);
  });

  it('closed by the client is a bye to the head', async () => {
    const joined = arrival<Peer>();
    const head = await hub({ onPeer: joined.arrived });
    const agent = await client();
    const closed = closeOf(await joined.next);
    const asked = expect(agent.call('echo', 1)).rejects.toMatchObject({ code: 'HEAD_UNREACHABLE' });
    await agent.close('it has done its work');
    await asked;
    expect(await closed).toEqual({ cause: 'bye', reason: 'it has done its work' });
    expect(head.peers.size).toBe(0);
    await agent.close();
    await expect(agent.call('echo', 1)).rejects.toMatchObject({ code: 'HEAD_UNREACHABLE' });
  });
});

describe('joining', () => {
  it('is refused in the head’s words', async () => {
    await hub({
      accept(hello) {
        if (hello.role === 'twice')
          return Promise.reject(new TwinkleError('CONFIG_INVALID', 'that node is here already'));
        throw new Error('a bug of accept');
      },
    });
    await expect(client({ role: 'twice' })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: 'that node is here already',
    });
    await expect(client()).rejects.toMatchObject({ code: 'INTERNAL', message: 'a bug of accept' });
  });

  it('with another version of the protocol is refused, saying what to do', async () => {
    const raw = new RawClient((await hub()).endpoint);
    await raw.say({ ...HELLO, protocol: 99 });
    const [refusal] = await raw.hear();
    expect(refusal).toMatchObject({ t: 'refuse', code: 'PROTOCOL', reason: expect.stringMatching(/99.*same release/) });
  });

  it('waits for the head’s decision, and forgets it when the client has gone meanwhile', async () => {
    const asked = arrival<void>();
    const decided = arrival<string>();
    const sessions: string[] = [];
    const head = await hub({
      accept: (hello) => {
        if (hello.session !== 'raw') return null;
        asked.arrived();
        return decided.next;
      },
      onPeer: (peer) => sessions.push(peer.session),
    });
    const raw = new RawClient(head.endpoint);
    await raw.say(HELLO);
    await asked.next;
    raw.dealer.close();
    // The end of that connection is before the hello of the next: one router, in order of arrival, for a local socket.
    await client({ session: 'next' });
    decided.arrived('welcome');
    await client({ session: 'last' });
    expect(sessions).toEqual(['next', 'last']);
  });

  it('fails in time where nobody listens, and by its signal', async () => {
    const late = client({ timeoutMs: 60 });
    await expect(late).rejects.toMatchObject({ code: 'HEAD_UNREACHABLE' });
    await expect(late).rejects.toThrow(/head`? within 60 ms \(nobody listens there\).*start --head/);
    const leaving = new AbortController();
    const withdrawn = client({ signal: leaving.signal });
    leaving.abort(new Error('no more time'));
    await expect(withdrawn).rejects.toThrow('no more time');
    await expect(client({ signal: AbortSignal.abort(new Error('never')) })).rejects.toThrow('never');
  });

  it('finds a head that begins to listen later', async () => {
    const joining = client();
    await hub();
    expect((await joining).state).toBe('connected');
  });

  it.each(['nonsense', 'tcp://nowhere', 'ipc://'])('refuses the address %s', async (wrong) => {
    await expect(client({ address: wrong })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  it('does not take the address of a head that lives away', async () => {
    await hub();
    await expect(hub()).rejects.toMatchObject({ code: 'PORT_IN_USE' });
    expect(await (await client()).call('echo', 'still here')).toBe('still here');
  });
});

const HEAD = `
import { openPeerHub } from './transport/peer-hub.js';
const [address] = process.argv.slice(1);
const hellos = [];
const hub = await openPeerHub({
  address,
  accept: (hello) => { console.log('hello ' + JSON.stringify(hello.body)); return null; },
  handlers: () => ({ call: (method, params) => method === 'never' ? new Promise(() => {}) : params, cast() {} }),
  onPeer() {},
});
console.log('open');
`;

const AGENT = `
import { connectPeer } from './transport/peer-client.js';
const [address] = process.argv.slice(1);
const connection = await connectPeer({
  address, role: 'agent', session: 'child', body: () => null, pingMs: 50,
  handlers: { call: (_, params) => params, cast: (method) => { if (method === 'end') void connection.close(); } },
});
`;

describe('a head that is killed', () => {
  it('is missed at once, and found again as soon as it is back, with what is held now', async () => {
    const first = sources.start(HEAD, address);
    expect(await first.line()).toBe('open');
    let held = 1;
    const agent = await client({ body: () => ({ held }) });
    expect(await first.line()).toBe('hello {"held":1}');
    const before = agent.welcome.head;
    const lost = stateOf(agent, 'disconnected');
    const asked = expect(agent.call('never', null)).rejects.toMatchObject({ code: 'HEAD_UNREACHABLE' });
    await first.kill();
    await asked;
    await lost;
    expect(agent.state).toBe('disconnected');
    await expect(agent.call('echo', 1)).rejects.toMatchObject({ code: 'HEAD_UNREACHABLE' });
    agent.cast('dropped', 1);

    held = 2;
    const back = stateOf(agent, 'connected');
    const second = sources.start(HEAD, address);
    expect(await second.line()).toBe('open');
    const opened = performance.now();
    await back;
    expect(performance.now() - opened).toBeLessThan(1000); // about 160 ms when nothing else runs
    expect(await second.line()).toBe('hello {"held":2}');
    expect(agent.welcome.head).not.toBe(before);
    expect(await agent.call('echo', 'again')).toBe('again');
    await second.kill();
  });

  it('or stopped for a while, counts as away after the silence, and is joined again', async () => {
    const head = sources.start(HEAD, address);
    expect(await head.line()).toBe('open');
    const agent = await client({ pingMs: 20, silentMs: 200 });
    const lost = stateOf(agent, 'disconnected');
    head.process.kill('SIGSTOP');
    expect(await lost).toMatch(/says nothing/);
    expect(agent.lastHeardMs).toBeLessThan(performance.now());
    const back = stateOf(agent, 'connected');
    head.process.kill('SIGCONT');
    await back;
    expect(await agent.call('echo', 1)).toBe(1);
    await head.kill();
  });
});

describe('an agent', () => {
  it('that is killed is seen at once', async () => {
    const joined = arrival<Peer>();
    const head = await hub({ onPeer: joined.arrived, pingMs: 60_000 });
    const child = sources.start(AGENT, address);
    const peer = await joined.next;
    const asked = peer.call('echo', 1);
    expect(await asked).toBe(1);
    const closed = closeOf(peer);
    child.process.kill('SIGKILL');
    expect(await closed).toMatchObject({ cause: 'gone' });
    expect(head.peers.size).toBe(0);
    await child.ended;
  });

  it('that is stopped is reported once and not closed; when it goes on it is heard again', async () => {
    const joined = arrival<Peer>();
    const silences: Peer[] = [];
    const silent = arrival<void>();
    await hub({
      onPeer: joined.arrived,
      pingMs: 20,
      silentMs: 200,
      onSilent(peer) {
        silences.push(peer);
        silent.arrived();
      },
    });
    const child = sources.start(AGENT, address);
    const peer = await joined.next;
    child.process.kill('SIGSTOP');
    await silent.next;
    const asked = peer.call('echo', 'are you there');
    await new Promise((resolve) => setTimeout(resolve, 100)); // some more silent intervals
    expect(silences).toEqual([peer]);
    expect(peer.closed).toBeNull();
    child.process.kill('SIGCONT');
    expect(await asked).toBe('are you there');
    peer.cast('end', null);
    expect(await child.ended).toEqual([0, null]); // nothing is left that keeps it alive
  });
});

describe('those who break the contract', () => {
  it('are closed alone', async () => {
    const peers = new Map<string, Peer>();
    const head = await hub({ onPeer: (peer) => peers.set(peer.session, peer) });
    const agent = await client();
    const raw = new RawClient(head.endpoint);
    await raw.say(HELLO);
    expect(await raw.hear()).toMatchObject([{ t: 'welcome', body: 'hi' }]);
    await raw.say({ t: 'call', id: 1, method: 'echo', params: 5 });
    expect(await raw.hear()).toEqual([{ t: 'result', id: 1, value: 5 }]);
    await raw.say(Buffer.from('GET / HTTP/1.1'));
    expect(await raw.hear()).toMatchObject([{ t: 'bye' }]);
    expect(peers.get('raw')?.closed).toMatchObject({ cause: 'protocol' });
    expect([...head.peers.keys()]).toEqual(['s']);
    expect(await agent.call('echo', 1)).toBe(1);
    await raw.say({ ...HELLO, body: 'sorry' }); // and may come back
    expect(await raw.hear()).toMatchObject([{ t: 'welcome' }]);
  });

  it('without a welcome are counted and forgotten, however much they send', async () => {
    const head = await hub();
    const agent = await client();
    const raw = new RawClient(head.endpoint);
    const garbage = [
      Buffer.alloc(0),
      Buffer.from([0x87]),
      Buffer.from([0xdd, 0x01, 0xff, 0xff, 0xff]), // a list of 33 million, it says
      encodePeerFrame({ t: 'call', id: 1, method: 'echo', params: 'let me in' }),
      encodePeerFrame({ ...HELLO, session: 7 } as unknown as Hello),
      Buffer.alloc(2000, 0x91),
    ];
    const flood = async (rounds: number): Promise<number> => {
      for (let at = 0; at < rounds; at++) for (const each of garbage) await raw.say(each);
      const { strangers } = head;
      await raw.say({ ...HELLO, protocol: 99 });
      expect(await raw.hear()).toMatchObject([{ t: 'refuse' }]); // it has read all before
      expect(await agent.call('echo', 'still here')).toBe('still here');
      return head.strangers - strangers;
    };
    await flood(2000);
    const before = process.memoryUsage().rss;
    await flood(20_000);
    expect(head.strangers).toBe(22_000 * (garbage.length - 1)); // an empty message says that a connection ended
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1024 * 1024); // of 240 MB that were sent
  });
});

describe('over tcp', () => {
  const server = curveKeyPair();
  const known = curveKeyPair();
  const keys = (pair: { publicKey: string; secretKey: string }) => ({
    curve: { serverKey: server.publicKey, publicKey: pair.publicKey, secretKey: pair.secretKey },
  });

  it('only keys that were given out get in', async () => {
    const head = await hub({ address: 'tcp://127.0.0.1:*', curve: { ...server, clients: [known.publicKey] } });
    address = head.endpoint;
    const agent = await client(keys(known));
    expect(await agent.call('echo', 'sealed')).toBe('sealed');
    const stranger = curveKeyPair();
    const denied = client({ ...keys(stranger), timeoutMs: 1000 });
    await expect(denied).rejects.toMatchObject({ code: 'HEAD_UNREACHABLE' });
    await expect(denied).rejects.toThrow(/key/);
    await expect(client({ timeoutMs: 500 })).rejects.toMatchObject({ code: 'HEAD_UNREACHABLE' });
    head.allow(stranger.publicKey);
    await client({ ...keys(stranger), session: 'admitted' });
    head.revoke(stranger.publicKey);
    await expect(client({ ...keys(stranger), timeoutMs: 500 })).rejects.toMatchObject({ code: 'HEAD_UNREACHABLE' });
    expect(await agent.call('echo', 'still')).toBe('still');
  });

  it('is refused without keys', async () => {
    await expect(hub({ address: 'tcp://127.0.0.1:*' })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await expect(
      client({ address: 'tcp://127.0.0.1:1', curve: { serverKey: 'short', publicKey: 'short', secretKey: 'short' } }),
    ).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});

it('a process that closed everything ends by itself', async () => {
  const child = sources.start(
    `import { openPeerHub } from './transport/peer-hub.js';
     import { connectPeer } from './transport/peer-client.js';
     const [address] = process.argv.slice(1);
     const handlers = { call: (_, params) => params, cast() {} };
     const hub = await openPeerHub({ address, accept: () => null, handlers: () => handlers, onPeer() {} });
     const one = await connectPeer({ address, role: 'a', session: '1', body: () => null, handlers });
     const two = await connectPeer({ address, role: 'a', session: '2', body: () => null, handlers });
     await one.call('echo', 1, { timeoutMs: 60_000 });
     await one.close();
     await hub.close();
     await two.close();
     await connectPeer({ address, role: 'a', session: '3', body: () => null, handlers, timeoutMs: 50 }).catch((error) => console.log(error.code));`,
    address,
  );
  expect(await child.line()).toBe('HEAD_UNREACHABLE');
  expect(await child.ended).toEqual([0, null]);
});
