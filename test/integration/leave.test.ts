/** How ranks go when they are asked to. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ProcessEnd, RankLauncher } from '../../src/supervisor/launcher.js';
import { GangKit, isAlive, killProcess } from '../support/gang-kit.js';

let kit: GangKit;
beforeEach(async () => {
  kit = await GangKit.make();
});
afterEach(async () => {
  await kit[Symbol.asyncDispose]();
});

/** The launcher, and how each rank that it started has ended. */
function watched(inner: RankLauncher): { launcher: RankLauncher; ends: Promise<ProcessEnd>[] } {
  const ends: Promise<ProcessEnd>[] = [];
  return {
    ends,
    launcher: {
      prepare: () => inner.prepare(),
      launch: async (request) => {
        const running = await inner.launch(request);
        ends.push(running.ended);
        return running;
      },
      [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
    },
  };
}

describe('a gang that is stopped', () => {
  it.each(['direct', 'template'] as const)('lets its ranks end by themselves: exit code 0 (%s)', async (kind) => {
    const { launcher, ends } = watched(kit[kind]());
    const gang = kit.gang({}, { worldSize: 2 }, launcher);
    gang.start();
    await kit.until(gang, 'ready');
    await gang.stop();
    expect((await Promise.all(ends)).map(({ code }) => code)).toEqual([0, 0]);
  });

  it('does not wait for ever for a rank that does not listen', async () => {
    const { launcher, ends } = watched(kit.direct());
    const gang = kit.gang({}, {}, launcher);
    gang.start();
    await kit.until(gang, 'ready');
    const [pid = 0] = gang.pids;
    killProcess(pid, 'SIGSTOP');
    await gang.stop();
    expect(isAlive(pid ?? 0)).toBe(false);
    expect(await ends[0]).toMatchObject({ signal: 9 });
  });
});
