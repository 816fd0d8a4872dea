import { describe, expect, it, vi } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import { Peer, type PeerClose, type PeerHandlers, type PeerWire } from '../../../src/transport/peer.js';
import { decodePeerFrame, encodePeerFrame, type Hello, type PeerFrame } from '../../../src/transport/peer-frames.js';

const HELLO: Hello = { t: 'hello', protocol: 1, role: 'agent', session: 's1', pid: 1, pid_start: '9', body: null };
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** One peer whose messages are collected; `hear` is what the other side says. */
function alone(
  handlers: Partial<PeerHandlers> = {},
  lostCode: 'HEAD_UNREACHABLE' | 'CHANNEL_CLOSED' = 'CHANNEL_CLOSED',
) {
  const messages: PeerFrame[][] = [];
  const ended: PeerClose[] = [];
  const wire: PeerWire = {
    post: (_, parts) => void messages.push(parts.map((part) => decodePeerFrame(part))),
    ended: (_, close) => void ended.push(close),
  };
  const peer = new Peer({ hello: HELLO, wire, lostCode });
  peer.serve({ call: () => null, cast() {}, ...handlers });
  const hear = (...frames: PeerFrame[]): void => peer.take(frames.map(encodePeerFrame), 0);
  return { peer, messages, ended, hear };
}

/** Two peers back to back; delivery is a turn later, as over a socket. */
function pair(left: Partial<PeerHandlers>, right: Partial<PeerHandlers>): [Peer, Peer] {
  const quiet: PeerHandlers = { call: () => null, cast() {} };
  const wireTo = (other: () => Peer): PeerWire => ({
    post: (_, parts) => void setImmediate(() => other().take(parts, 0)),
    ended() {},
  });
  const a: Peer = new Peer({ hello: HELLO, wire: wireTo(() => b), lostCode: 'HEAD_UNREACHABLE' });
  const b: Peer = new Peer({ hello: HELLO, wire: wireTo(() => a), lostCode: 'CHANNEL_CLOSED' });
  a.serve({ ...quiet, ...left });
  b.serve({ ...quiet, ...right });
  return [a, b];
}

describe('calls', () => {
  it('go both ways at once, with values and promises of values', async () => {
    const [a, b] = pair(
      { call: (method, params) => [method, params] },
      { call: (_, params) => Promise.resolve({ got: params }) },
    );
    expect(await Promise.all([a.call('x', 1), b.call('y', 2), a.call('z', null)])).toEqual([
      { got: 1 },
      ['y', 2],
      { got: null },
    ]);
  });

  it('fail as the other side failed', async () => {
    const taken = new TwinkleError('GROUP_NAME_TAKEN', 'that name is taken', { details: { id: 'g7' } });
    const [a] = pair(
      {},
      {
        call(method) {
          if (method === 'sync') throw taken;
          if (method === 'async') return Promise.reject(taken);
          if (method === 'unsayable') return { value: 2n ** 70n };
          if (method === 'unsayable error') throw new TwinkleError('INTERNAL', 'x', { details: { value: 2n ** 70n } });
          throw new TypeError('a bug');
        },
      },
    );
    const expected = { code: 'GROUP_NAME_TAKEN', message: 'that name is taken', details: { id: 'g7' } };
    await expect(a.call('sync', null)).rejects.toMatchObject(expected);
    await expect(a.call('async', null)).rejects.toMatchObject(expected);
    await expect(a.call('bug', null)).rejects.toMatchObject({ code: 'INTERNAL', message: 'a bug' });
    await expect(a.call('unsayable', null)).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
    await expect(a.call('unsayable error', null)).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
    await expect(a.call('params', 2n ** 70n)).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
  });

  it('end by their deadline or their signal, and a late answer is dropped', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const { peer, hear, messages } = alone();
      const slow = peer.call('slow', null, { timeoutMs: 50 });
      const leaving = new AbortController();
      const withdrawn = peer.call('other', null, { signal: leaving.signal, timeoutMs: 1000 });
      const early = peer.call('never sent', null, { signal: AbortSignal.abort('why') });
      leaving.abort();
      await expect(withdrawn).rejects.toMatchObject({ code: 'ABORTED' });
      await expect(early).rejects.toMatchObject({ code: 'ABORTED', cause: 'why' });
      const late = expect(slow).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
      vi.advanceTimersByTime(50);
      await late;
      expect(vi.getTimerCount()).toBe(0);
      await new Promise((resolve) => process.nextTick(resolve)); // what is sent leaves once all promises of the turn have run
      expect(messages.flat().map((frame) => (frame.t === 'call' ? frame.method : ''))).toEqual(['slow', 'other']);
      hear({ t: 'result', id: 1, value: 1 }, { t: 'result', id: 99, value: 1 });
      expect(peer.closed).toBeNull();
    } finally {
      vi.useRealTimers();
    }
  });

  it.each(['HEAD_UNREACHABLE', 'CHANNEL_CLOSED'] as const)(
    'that are open fail with %s when it ends, and later ones',
    async (code) => {
      const { peer } = alone({}, code);
      const open = [peer.call('a', 1), peer.call('b', 2)];
      peer.end({ cause: 'gone', reason: 'its connection ended' });
      for (const call of [...open, peer.call('c', 3)]) {
        await expect(call).rejects.toMatchObject({ code, details: { cause: 'gone' } });
      }
    },
  );
});

describe('messages', () => {
  it('of one tick travel as one, in order', async () => {
    const { peer, messages } = alone();
    peer.cast('first', 1);
    void peer.call('second', 2).catch(() => {});
    peer.cast('third', 3);
    await turn();
    peer.cast('fourth', 4);
    await turn();
    expect(messages.map((parts) => parts.map((frame) => ('method' in frame ? frame.method : frame.t)))).toEqual([
      ['first', 'second', 'third'],
      ['fourth'],
    ]);
    peer.end({ cause: 'gone', reason: '' });
  });

  it('carry what it was when it was said', async () => {
    const { peer, messages } = alone();
    const params = { state: 'before' };
    peer.cast('m', params);
    params.state = 'after';
    await turn();
    expect(messages[0]?.[0]).toMatchObject({ params: { state: 'before' } });
  });

  it('answers of one message travel as one', async () => {
    const { hear, messages } = alone({ call: (_, params) => params });
    hear(...[1, 2, 3].map((id): PeerFrame => ({ t: 'call', id, method: 'echo', params: id })));
    await turn();
    expect(messages.length).toBe(1);
    expect(messages[0]).toEqual([1, 2, 3].map((id) => ({ t: 'result', id, value: id })));
  });
});

describe('the end', () => {
  it('is told to the other side, and once to those who listen, also later', async () => {
    const { peer, messages, ended } = alone();
    const told: PeerClose[] = [];
    const stop = peer.onClose(() => told.push({ cause: 'closed', reason: 'must not come' }));
    stop();
    peer.onClose((close) => told.push(close));
    peer.cast('last words', 1);
    peer.close('enough');
    peer.close('again');
    const close = { cause: 'closed', reason: 'enough' };
    expect(messages.flat().map((frame) => frame.t)).toEqual(['cast', 'bye']);
    expect([told, ended]).toEqual([[close], [close]]);
    const late = new Promise((resolve) => peer.onClose(resolve));
    expect(await late).toEqual(close);
    peer.cast('too late', 1);
    await turn();
    expect(messages.flat().length).toBe(2);
  });

  it('comes with a bye of the other side, and what follows it is not heard', () => {
    const cast = vi.fn();
    const { peer, hear } = alone({ cast });
    hear({ t: 'cast', method: 'a', params: 1 }, { t: 'bye', reason: 'it left' }, { t: 'cast', method: 'b', params: 2 });
    expect(peer.closed).toEqual({ cause: 'bye', reason: 'it left' });
    expect(cast.mock.calls).toEqual([['a', 1]]);
  });

  it.each<[string, Buffer]>([
    ['bytes that are no msgpack', Buffer.from([0xc1])],
    ['nothing', Buffer.alloc(0)],
    ['a second hello', encodePeerFrame(HELLO)],
    ['a call without an id', encodePeerFrame({ t: 'call', method: 'm' } as unknown as PeerFrame)],
  ])('comes with %s', (_, bytes) => {
    const { peer, messages } = alone();
    peer.take([bytes], 0);
    expect(peer.closed?.cause).toBe('protocol');
    expect(messages.flat().map((frame) => frame.t)).toEqual(['bye']);
  });
});

describe('beats', () => {
  it('a ping is answered', async () => {
    const { hear, messages } = alone();
    hear({ t: 'ping' });
    await turn();
    expect(messages).toEqual([[{ t: 'pong' }]]);
  });

  it('are sent only when nothing else was said or heard, and count silent intervals', async () => {
    const { peer, hear, messages } = alone();
    const tick = async (keep: boolean): Promise<string> => {
      const before = messages.length;
      peer.tick(keep);
      await turn();
      return messages
        .slice(before)
        .flat()
        .map((frame) => frame.t)
        .join();
    };
    peer.cast('m', 1);
    await turn();
    expect(await tick(true)).toBe(''); // said something, and a new peer counts as heard
    hear({ t: 'pong' });
    expect(await tick(true)).toBe('ping'); // heard, but said nothing
    hear({ t: 'pong' });
    expect(await tick(false)).toBe(''); // a hub need not speak
    expect(await tick(false)).toBe('ping');
    expect(await tick(false)).toBe('ping');
    expect(peer.quietTicks).toBe(2);
    const before = performance.now();
    hear({ t: 'pong' });
    expect(peer.quietTicks).toBe(0);
    expect(peer.lastHeardMs).toBeGreaterThanOrEqual(before);
  });
});
