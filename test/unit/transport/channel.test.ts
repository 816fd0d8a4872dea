import { describe, expect, it, vi } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import type { ToRank } from '../../../src/protocol/frames.js';
import type { GenerateEnd, GenerateParams, TokenDelta } from '../../../src/protocol/values.js';
import { Channel } from '../../../src/transport/channel.js';
import { MemoryHub, type MemoryPeer } from '../../../src/transport/memory-hub.js';

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const PARAMS = { request_id: 'r' } as GenerateParams;
const delta = (text: string): TokenDelta => ({ choice: 0, text, token_ids: [1] });

function setUp() {
  const hub = new MemoryHub();
  const events = { phase: vi.fn(), violation: vi.fn() };
  const channel = new Channel(hub.link('1:0'), events);
  const peer: MemoryPeer = hub.join('1:0');
  const frames: ToRank[] = [];
  peer.receive((frame) => frames.push(frame));
  return { channel, peer, frames, events };
}

function recorder() {
  const heard: unknown[] = [];
  return {
    heard,
    sink: {
      item: (item: TokenDelta) => void heard.push(item.text),
      end: (end: GenerateEnd) => void heard.push(end.completion_tokens),
      error: (error: TwinkleError) => void heard.push(error.code),
    },
  };
}

describe('channel', () => {
  it('pairs answers with calls whatever their order', async () => {
    const { channel, peer, frames } = setUp();
    const first = channel.call('echo', 'a');
    const second = channel.call('echo', 'b');
    await tick();
    const [a, b] = frames as { id: number }[];
    peer.send({ t: 'result', id: b?.id ?? 0, value: 'B' });
    peer.send({ t: 'result', id: a?.id ?? 0, value: 'A' });
    expect(await Promise.all([first, second])).toEqual(['A', 'B']);
  });

  it('rejects a call with the code, the parameter and the traceback that the rank sent', async () => {
    const { channel, peer, frames } = setUp();
    const call = channel.call('echo', null);
    await tick();
    peer.send({
      t: 'error',
      id: (frames[0] as { id: number }).id,
      code: 'CONTEXT_LENGTH_EXCEEDED',
      message: 'long',
      param: 'prompt',
      traceback: 'tb',
    });
    await expect(call).rejects.toMatchObject({
      code: 'CONTEXT_LENGTH_EXCEEDED',
      param: 'prompt',
      details: { traceback: 'tb' },
    });
  });

  it('rejects at the deadline and when the signal aborts, and drops the late answer', async () => {
    const { channel, peer, frames } = setUp();
    await expect(channel.call('echo', 1, { deadlineMs: 5 })).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    await tick(); // on a busy machine the timer comes before the frame
    peer.send({ t: 'result', id: (frames[0] as { id: number }).id, value: 1 });
    const controller = new AbortController();
    const call = channel.call('echo', 2, { signal: controller.signal });
    controller.abort();
    await expect(call).rejects.toMatchObject({ code: 'ABORTED' });
    await expect(channel.call('echo', 3, { signal: controller.signal })).rejects.toMatchObject({ code: 'ABORTED' });
  });

  it('delivers items in order, then the end, and nothing after it', async () => {
    const { channel, peer, frames } = setUp();
    const { heard, sink } = recorder();
    const stream = channel.open('generate', PARAMS, sink);
    await tick();
    const { id } = frames[0] as { id: number };
    peer.send({
      t: 'items',
      items: [
        [id, delta('a')],
        [id, delta('b')],
        [999, delta('x')],
      ],
    });
    peer.send({ t: 'end', id, value: { prompt_tokens: 1, completion_tokens: 2, cached_tokens: 0 } });
    peer.send({ t: 'items', items: [[id, delta('late')]] });
    await tick();
    expect(heard).toEqual(['a', 'b', 2]);
    expect(stream.received).toBe(2);
    expect(channel.openStreams).toBe(0);
  });

  it('grants credits as items are taken, none while paused, and what is owed at once afterwards', async () => {
    const { channel, peer, frames } = setUp();
    const stream = channel.open('generate', PARAMS, recorder().sink);
    await tick();
    const open = frames[0] as { id: number; credits: number };
    const send = (count: number): void =>
      peer.send({
        t: 'items',
        items: Array.from({ length: count }, () => [open.id, delta('.')] as [number, TokenDelta]),
      });
    const granted = (): number =>
      frames.flatMap((frame) => (frame.t === 'credit' ? frame.grants : [])).reduce((sum, [, n]) => sum + n, 0);
    send(open.credits / 2);
    await tick();
    await tick();
    expect(granted()).toBe(open.credits / 2);
    stream.pause(true);
    send(open.credits);
    await tick();
    await tick();
    expect(granted()).toBe(open.credits / 2);
    stream.pause(false);
    await tick();
    await tick();
    expect(granted()).toBe(open.credits * 1.5);
  });

  it('sends one abort message for all streams aborted in a tick, and the sinks hear nothing more', async () => {
    const { channel, peer, frames } = setUp();
    const one = recorder();
    const streams = [channel.open('generate', PARAMS, one.sink), channel.open('generate', PARAMS, recorder().sink)];
    for (const stream of streams) {
      stream.abort();
      stream.abort();
    }
    await tick();
    const { id } = frames[0] as { id: number };
    peer.send({ t: 'items', items: [[id, delta('late')]] });
    await tick();
    expect(frames.filter((frame) => frame.t === 'abort')).toEqual([{ t: 'abort', ids: [id, id + 1] }]);
    expect(one.heard).toEqual([]);
  });

  it('ends everything open with one error when the rank is gone, and refuses what comes later with it', async () => {
    const { channel } = setUp();
    const { heard, sink } = recorder();
    channel.open('generate', PARAMS, sink);
    const call = channel.call('echo', 1);
    const reason = new TwinkleError('RANK_FAILED', 'rank 0 was ended by SIGKILL');
    channel.fail(reason);
    channel.fail(new TwinkleError('INTERNAL', 'not this one'));
    await expect(call).rejects.toBe(reason);
    expect(heard).toEqual(['RANK_FAILED']);
    await expect(channel.call('echo', 1)).rejects.toBe(reason);
    expect(() => channel.open('generate', PARAMS, sink)).toThrow(reason);
  });

  it('reports a frame that has no business here', async () => {
    const { peer, events } = setUp();
    peer.send({ t: 'hello', protocol: 1, rank: 0, epoch: 1, pid: 1, engine: 'mock', python: '3' });
    await tick();
    expect(events.violation).toHaveBeenCalledWith(expect.objectContaining({ code: 'PROTOCOL' }));
  });
});
