import { describe, expect, it } from 'vitest';
import { Launchers } from '../../../src/actors/launchers.js';
import type { RankLauncher } from '../../../src/supervisor/launcher.js';

function setUp() {
  const made: string[] = [];
  const ended: string[] = [];
  const retired: string[] = [];
  /** Timers that run, by what they do. */
  const timers = new Set<() => void>();
  const launchers = new Launchers({
    launcher: (python): RankLauncher => {
      made.push(python);
      return {
        prepare() {},
        launch: () => Promise.reject(new Error('not played')),
        [Symbol.asyncDispose]: async () => void ended.push(python),
      };
    },
    retired: (python) => void retired.push(python),
    after: (_ms, act) => {
      timers.add(act);
      return () => timers.delete(act);
    },
  });
  const pass = (): void => {
    for (const act of [...timers]) act();
  };
  /** Use one, as a pool does. */
  const use = (python: string): (() => void) => {
    const release = launchers.use(python);
    launchers.of(python);
    return release;
  };
  return { launchers, made, ended, retired, timers, pass, use };
}

describe('launchers', () => {
  it('are made once for each interpreter', () => {
    const { launchers, made } = setUp();
    expect(launchers.of('/a')).toBe(launchers.of('/a'));
    expect(launchers.of('/b')).not.toBe(launchers.of('/a'));
    expect(made).toEqual(['/a', '/b']);
  });

  it('of environments end when nobody has used them for a while, and are made again', () => {
    const { launchers, made, ended, retired, pass, use } = setUp();
    const [first, second] = [use('/env'), use('/env')];
    first();
    first(); // twice is once
    pass();
    expect([ended, retired]).toEqual([[], []]);
    second();
    expect(ended).toEqual([]);
    pass();
    expect([ended, retired, launchers.has('/env')]).toEqual([['/env'], ['/env'], false]);
    use('/env');
    expect(made).toEqual(['/env', '/env']);
  });

  it('that are used again in time stay', () => {
    const { ended, timers, pass, use } = setUp();
    use('/env')();
    use('/env');
    expect(timers.size).toBe(0);
    pass();
    expect(ended).toEqual([]);
  });

  it('of drivers stay, also when they were those of environments before', () => {
    const { launchers, ended, pass, use } = setUp();
    use('/env')();
    launchers.keep('/env');
    pass();
    use('/env')();
    pass();
    expect(ended).toEqual([]);
  });

  it('wait unused in a small number only: the one unused for longest ends first', () => {
    const { ended, use } = setUp();
    const busy = use('/busy');
    for (const python of ['/1', '/2', '/3', '/4']) use(python)();
    expect(ended).toEqual([]);
    use('/1')();
    busy();
    expect(ended).toEqual(['/2']);
  });

  it('end with the pool, and no timer is left', async () => {
    const { launchers, ended, timers, use } = setUp();
    use('/a')();
    use('/b');
    await launchers[Symbol.asyncDispose]();
    expect([ended, timers.size]).toEqual([['/a', '/b'], 0]);
  });
});
