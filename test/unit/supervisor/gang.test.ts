import { mkdirSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import { PlayedGang, turn } from './played-ranks.js';

describe('a gang whose launch fails half-way', () => {
  const broken: [string, (played: PlayedGang) => void][] = [
    ['a log that cannot be opened', (played) => mkdirSync(played.logPath(1))],
    ['no descriptor for a pipe', (played) => exhaust(played, 'pipe')],
    ['no descriptor for a socket', (played) => exhaust(played, 'socketPair')],
    ['no port', (played) => exhaust(played, 'listenSocket', 1)],
  ];

  /** The `nth` call of `method` and later ones throw. */
  function exhaust(played: PlayedGang, method: 'pipe' | 'socketPair' | 'listenSocket', nth = 2): void {
    const real = played.native[method].bind(played.native) as (...args: unknown[]) => unknown;
    let calls = 0;
    Object.assign(played.native, {
      [method]: (...args: unknown[]) => {
        calls += 1;
        if (calls >= nth) throw new TwinkleError('NATIVE', `${method}: EMFILE`);
        return real(...args);
      },
    });
  }

  it.each(broken)('leaves no process, descriptor or link: %s', async (_, breakIt) => {
    using played = new PlayedGang({ worldSize: 2 });
    const { gang, native, ranks } = played;
    breakIt(played);
    gang.start();
    await vi.waitUntil(() => gang.state.at === 'failed');
    expect(ranks).toEqual([]);
    expect([...native.openFds]).toEqual([]);
    expect(gang.state).toMatchObject({ failure: { kind: 'spawn' } });
  });
});

describe('a gang that is stopped while a launch is under way', () => {
  it('is stopped only when the process that the launch makes is gone', async () => {
    using played = new PlayedGang();
    const { gang, native } = played;
    gang.start();
    const over = vi.fn();
    const stopped = gang.stop().then(over);
    await turn();
    expect(played.rank(0).request.cancelled.aborted).toBe(true);
    expect(over).not.toHaveBeenCalled();
    played.rank(0).run();
    await stopped;
    expect(native.processes.spawned.map(({ alive }) => alive)).toEqual([false]);
    expect([...native.openFds]).toEqual([]);
  });

  it('does not start the next epoch before it', async () => {
    using played = new PlayedGang({ worldSize: 2, breaker: { limit: 9, windowMs: 60_000 } });
    const { gang, native } = played;
    gang.start();
    const first = played.rank(0).run();
    await turn();
    native.processes.end(first, { code: 1 });
    await turn();
    expect(gang.state.at).toBe('teardown');
    played.rank(1).run();
    await vi.waitUntil(() => gang.epoch === 2);
    expect(native.processes.spawned.map(({ alive }) => alive)).toEqual([false, false]);
    const stopped = gang.stop();
    played.rank(0).run();
    played.rank(1).run();
    await stopped;
  });
});

describe('places', () => {
  const at = (index: number, localRank: number) =>
    ({ localRank, device: { kind: 'gpu', index, uuid: `GPU-${index}` } }) as const;
  const seen = (played: PlayedGang): string[] =>
    [0, 1].map((rank) => {
      const { env, local_rank } = played.rank(rank).request.launch;
      return `${env.CUDA_VISIBLE_DEVICES}/${env.LOCAL_RANK}/${local_rank}`;
    });

  it('hold for every epoch until the gang is started elsewhere; none is the CPU', async () => {
    using played = new PlayedGang({ worldSize: 2, breaker: { limit: 9, windowMs: 60_000 } });
    const { gang, native } = played;
    const stop = async (): Promise<void> => {
      const stopped = gang.stop();
      await turn();
      for (const { pid, alive } of native.processes.spawned) if (alive) native.processes.end(pid, { code: 0 });
      await stopped;
    };
    gang.start();
    expect(seen(played)).toEqual(['/0/0', '/1/1']);
    await played.ready();
    await stop();

    gang.start([at(3, 0), at(1, 0)]);
    await played.ready();
    expect(seen(played)).toEqual(['GPU-3/0/0', 'GPU-1/0/0']);
    gang.start([at(7, 0), at(8, 1)]); // it runs: nothing moves under it
    expect(gang.places).toEqual([at(3, 0), at(1, 0)]);
    native.processes.end(native.processes.spawned.at(-1)?.pid as number, { signal: 9 });
    await vi.waitUntil(() => gang.epoch === 3);
    expect(seen(played)).toEqual(['GPU-3/0/0', 'GPU-1/0/0']);
    await played.ready();
    await stop();

    gang.start([at(7, 0), at(8, 1)]);
    await played.ready();
    expect(seen(played)).toEqual(['GPU-7/0/0', 'GPU-8/1/1']);
    const call = gang.lead?.call('tokenize', { text: 'x' } as never).catch((error: TwinkleError) => error.message);
    const stopped = gang.stop(new TwinkleError('RANK_FAILED', 'it moves'));
    await turn();
    for (const { pid, alive } of native.processes.spawned) if (alive) native.processes.end(pid, { code: 0 });
    await stopped;
    expect(await call).toBe('it moves');
  });
});

describe('deadlines and signs of life', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('blame the rank that hangs, not the one that waits for it', async () => {
    using played = new PlayedGang({ worldSize: 2 });
    const { gang } = played;
    gang.start();
    for (const rank of [0, 1]) played.rank(rank).run();
    await turn();
    played.rank(0).hello();
    await turn();
    vi.advanceTimersByTime(1001);
    expect(gang.state).toMatchObject({ failure: { kind: 'deadline', rank: 1 } });
    await gang.stop();
  });

  it('blame the rank that works in a phase whose time is up for another that meets it there, and say which phase', async () => {
    using played = new PlayedGang({ worldSize: 2, phaseTimeoutMs: 8000, silenceMs: 60_000 });
    const { gang } = played;
    gang.start();
    await played.joined();
    // Rank 0 is there first, so its time is up first.
    for (const rank of [0, 1]) {
      played.rank(rank).send({ t: 'phase', phase: 'init_device', progress: 0, detail: '' });
      await turn();
      vi.advanceTimersByTime(100);
    }
    played.rank(0).beat({ phase: 'init_device', busy_ms: 7000, waits: 'init_process_group' });
    played.rank(1).beat({ phase: 'init_device', busy_ms: 6900 });
    await turn();
    vi.advanceTimersByTime(7950);
    expect(gang.state).toMatchObject({
      failure: {
        kind: 'deadline',
        rank: 1,
        message: 'rank 1 has been in `init_device` for 6900 ms: it hangs; rank 0 waits for it (init_process_group)',
      },
    });
    await gang.stop();
  });

  it('let a rank that has loaded wait for one that takes longer', async () => {
    using played = new PlayedGang({ worldSize: 2 });
    const { gang } = played;
    gang.start();
    await played.joined();
    played.rank(0).loaded();
    for (let shard = 0; shard < 4; shard++) {
      played.rank(1).send({ t: 'phase', phase: 'weights', progress: shard / 4, detail: '' });
      await turn();
      vi.advanceTimersByTime(900);
    }
    expect(gang.state.at).toBe('starting');
    played.rank(1).loaded();
    await turn();
    expect(gang.state.at).toBe('ready');
    const stopped = gang.stop();
    await turn();
    vi.advanceTimersByTime(3000);
    await stopped;
  });

  it('count from the start of an epoch: a beat during the stop before says nothing of the next', async () => {
    using played = new PlayedGang({ phaseTimeoutMs: 60_000 });
    const { gang } = played;
    gang.start();
    await played.ready();
    expect(gang.state.at).toBe('ready');
    const stopped = gang.stop();
    await turn();
    played.rank(0).beat();
    await turn();
    vi.advanceTimersByTime(3000);
    await stopped;
    played.now += 60_000;
    gang.start();
    played.rank(0).run();
    vi.advanceTimersByTime(1100);
    expect(gang.state.at).toBe('starting');
    await gang.stop();
  });
});
