import { describe, expect, it, vi } from 'vitest';
import { createFakeNative } from '../../../src/native/fake.js';
import type { Hello, ToRank } from '../../../src/protocol/frames.js';
import { PROTOCOL_VERSION } from '../../../src/protocol/version.js';
import { RankSession } from '../../../src/supervisor/rank-session.js';
import { MemoryHub } from '../../../src/transport/memory-hub.js';

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

function setUp() {
  const native = createFakeNative();
  const hub = new MemoryHub();
  const events = { hello: vi.fn(), phase: vi.fn(), beat: vi.fn(), ended: vi.fn(), violation: vi.fn() };
  const [, deathWriter] = native.pipe();
  const [pass] = native.socketPair();
  const session = new RankSession(hub, 1, 3, native, deathWriter, pass, events);
  const peer = hub.join(session.identity);
  const frames: ToRank[] = [];
  peer.receive((frame) => frames.push(frame));
  const hello: Hello = {
    t: 'hello',
    protocol: PROTOCOL_VERSION,
    rank: 1,
    epoch: 3,
    pid: 7,
    engine: 'mock',
    python: '3',
  };
  return { session, peer, frames, events, hello };
}

describe('handshake of a rank', () => {
  it('welcomes the rank of this epoch', async () => {
    const { peer, frames, events, hello } = setUp();
    peer.send(hello);
    await tick();
    expect(events.hello).toHaveBeenCalledOnce();
    expect(frames).toEqual([{ t: 'welcome', protocol: PROTOCOL_VERSION, epoch: 3, beat_ms: 1000 }]);
  });

  it.each([
    ['another version', { protocol: PROTOCOL_VERSION + 1 }, 'update the older one'],
    ['an older epoch', { epoch: 2 }, 'epoch 2'],
    ['another rank', { rank: 0 }, 'rank 0'],
  ])('refuses %s and says why to both sides', async (_what, wrong, words) => {
    const { peer, frames, events, hello } = setUp();
    peer.send({ ...hello, ...wrong });
    await tick();
    expect(events.hello).not.toHaveBeenCalled();
    expect(events.violation).toHaveBeenCalledWith(
      expect.objectContaining({ code: 'PROTOCOL', message: expect.stringContaining(words) }),
    );
    expect(frames).toEqual([{ t: 'refuse', reason: expect.stringContaining(words) }]);
  });
});
