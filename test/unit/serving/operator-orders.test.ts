/** Operators' commands: what holds, and what a replica that starts meanwhile is told. */
import { describe, expect, it, vi } from 'vitest';
import { OperatorOrders } from '../../../src/serving/operator-orders.js';
import { PreparedGang } from '../../../src/serving/prepared-gang.js';
import { StandingOrders } from '../../../src/serving/standing-orders.js';
import type { Command } from '../../../src/serving/types/control.js';
import { type Play, type Played, PlayedGang, until } from './played-engine.js';

const command = (path: string, query = ''): Command => ({ method: 'POST', path, query, body: '' });
const lines = (commands: readonly Command[]): string[] =>
  commands.map(({ path, query }) => (query === '' ? path : `${path}?${query}`));

/** Given and carried out at once. */
function play(...steps: readonly (readonly [path: string, query?: string, whole?: boolean])[]): StandingOrders {
  const orders = new StandingOrders();
  for (const [path, query, whole] of steps) orders.carriedOut(orders.give(command(path, query)), whole ?? null);
  return orders;
}

describe('standing orders', () => {
  it.each([
    [[], null, []],
    [[['/sleep', 'level=2']], 'sleeping', ['/sleep?level=2']],
    [[['/pause', 'mode=keep']], 'paused', ['/pause?mode=keep']],
    [[['/pause'], ['/resume']], null, []],
    [[['/sleep'], ['/wake_up', '', true]], null, []],
    // A whole wake-up resumes, too.
    [[['/pause'], ['/sleep'], ['/wake_up', '', true]], null, []],
    [[['/sleep'], ['/wake_up', 'tags=weights', false]], 'sleeping', ['/sleep', '/wake_up?tags=weights']],
    [[['/sleep'], ['/wake_up', 'tags=weights', false], ['/wake_up', 'tags=kv_cache', true]], null, []],
    [[['/sleep'], ['/wake_up', 'tags=weights', false], ['/sleep']], 'sleeping', ['/sleep']],
    [[['/sleep'], ['/pause'], ['/resume']], 'sleeping', ['/sleep']],
  ] as const)('%j: %s', (steps, held, missing) => {
    const orders = play(...steps);
    expect(orders.held).toBe(held);
    expect(lines(orders.missing('r', 1))).toEqual(missing);
  });

  it('know when memory is away', () => {
    expect(play(['/sleep']).asleep).toBe(true);
    expect(play(['/sleep', 'level=0']).asleep).toBe(false);
    expect(play(['/sleep', 'mode=wait&level=2']).asleep).toBe(true);
    expect(play(['/sleep'], ['/wake_up', 'tags=weights', false]).asleep).toBe(false);
    expect(play(['/pause']).asleep).toBe(false);
  });

  it('that nobody carried out never were, whatever was said meanwhile', () => {
    const orders = new StandingOrders();
    const sleep = orders.give(command('/sleep'));
    const pause = orders.give(command('/pause'));
    orders.carriedOut(pause, null);
    orders.refused(sleep);
    expect(lines(orders.missing('r', 1))).toEqual(['/pause']);
  });

  it('are taken back from a start that was told and missed the end of it', () => {
    const orders = play(['/sleep']);
    orders.told('r', 1, orders.version);
    expect(orders.missing('r', 1)).toEqual([]);
    orders.carriedOut(orders.give(command('/wake_up')), true);
    expect(lines(orders.missing('r', 1))).toEqual(['/wake_up', '/resume']);
    orders.told('r', 1, orders.version);
    expect(orders.missing('r', 1)).toEqual([]);
    expect(orders.missing('r', 2)).toEqual([]);
  });
});

function setUp(
  engine: Play = ({ path }) => ({ status: 200, body: path === '/wake_up' ? '{"status":"awake"}' : '{}' }),
) {
  const gangs = ['m/0', 'm/1'].map((id) => new PlayedGang(id, engine));
  const orders = new OperatorOrders();
  const opened = vi.fn();
  const problem = vi.fn();
  const prepared = gangs.map((gang) => new PreparedGang(gang, { id: gang.id, upkeep: [orders], opened, problem }));
  const send = (path: string, query = '') =>
    orders.carryOut(
      command(path, query),
      prepared.flatMap(({ replica }) => replica ?? []),
    );
  return { gangs, orders, prepared, opened, problem, send };
}

describe('operator orders', () => {
  it('a replica that starts while the model sleeps sleeps before it takes requests', async () => {
    const { gangs, orders, opened, prepared, send } = setUp();
    await send('/sleep', 'level=1');
    expect(orders.held).toBe('sleeping');
    gangs[1]?.crash();
    gangs[1]?.start();
    expect(prepared[1]?.lead).toBeNull();
    await until(() => opened.mock.calls.length > 0);
    expect(gangs[1]?.asked).toEqual(['POST /sleep?level=1']);
    expect(prepared[1]?.lead).not.toBeNull();
    await send('/wake_up');
    expect(orders.held).toBeNull();
    expect(gangs.map(({ asked }) => asked.at(-1))).toEqual(['POST /wake_up', 'POST /wake_up']);
  });

  it('a wake-up that comes while it is put to sleep reaches it, too', async () => {
    const { gangs, opened, prepared, send } = setUp();
    await send('/sleep');
    gangs[1]?.crash();
    gangs[1]?.start();
    expect(prepared[1]?.lead).toBeNull();
    await until(() => gangs[1]?.asked.length === 1);
    await send('/wake_up');
    await until(() => opened.mock.calls.length > 0);
    expect(gangs[1]?.asked).toEqual(['POST /sleep', 'POST /wake_up', 'POST /resume']);
  });

  it('a replica that starts while an order is not decided waits for the decision, and is not told what all refuse', async () => {
    const { gangs, opened, orders, prepared, send } = setUp();
    let refuse!: (played: Played) => void;
    const refusal = new Promise<Played>((resolve) => {
      refuse = resolve;
    });
    if (gangs[0] !== undefined) gangs[0].play = () => refusal;
    gangs[1]?.crash();
    const sent = send('/pause', 'mode=wait');
    gangs[1]?.start();
    expect(prepared[1]?.lead).toBeNull();
    refuse({ status: 500 });
    await sent;
    await until(() => opened.mock.calls.length > 0);
    expect(orders.held).toBeNull();
    expect(gangs[1]?.asked).toEqual([]);
    expect(prepared[1]?.lead).not.toBeNull();
  });

  it('what all refuse does not hold; what one does, does', async () => {
    let refusing = new Set(['m/0', 'm/1']);
    const gangs: PlayedGang[] = [];
    const { orders, send, gangs: made } = setUp();
    gangs.push(...made);
    for (const gang of gangs) gang.play = () => ({ status: refusing.has(gang.id) ? 500 : 200 });
    await send('/sleep');
    expect(orders.held).toBeNull();
    refusing = new Set(['m/1']);
    expect((await send('/sleep')).map(({ status }) => status)).toEqual([200, 500]);
    expect(orders.held).toBe('sleeping');
  });

  it('what all break under never was: they come back awake, and a model that slept still sleeps', async () => {
    const { gangs, opened, orders, prepared, send } = setUp();
    const breakUnder = async (path: string): Promise<void> => {
      for (const gang of gangs) gang.play = () => null;
      const sent = send(path);
      await until(() => gangs.every(({ asked }) => asked.at(-1) === `POST ${path}`));
      for (const gang of gangs) gang.crash();
      expect((await sent).map(({ error }) => error?.code)).toEqual(['RANK_FAILED', 'RANK_FAILED']);
      for (const gang of gangs) {
        gang.play = () => ({ status: 200, body: '{}' });
        gang.start();
      }
    };
    await breakUnder('/sleep');
    expect(orders.held).toBeNull();
    expect(prepared.map(({ lead }, at) => lead === gangs[at]?.lead)).toEqual([true, true]);
    expect(gangs.map(({ asked }) => asked)).toEqual([[], []]);
    await send('/sleep');
    await breakUnder('/wake_up');
    expect(orders.held).toBe('sleeping');
    expect(prepared.map(({ lead }) => lead)).toEqual([null, null]);
    await until(() => opened.mock.calls.length === 2);
    expect(gangs.map(({ asked }) => asked)).toEqual([['POST /sleep'], ['POST /sleep']]);
  });

  it('what one did holds for one that broke under it', async () => {
    const { gangs, opened, orders, prepared, send } = setUp();
    const [good, bad] = gangs as [PlayedGang, PlayedGang];
    bad.play = () => null;
    const sent = send('/sleep');
    await until(() => bad.asked.length > 0);
    bad.crash();
    expect((await sent).map(({ status }) => status)).toEqual([200, null]);
    expect(orders.held).toBe('sleeping');
    bad.play = good.play;
    bad.start();
    expect(prepared[1]?.lead).toBeNull();
    await until(() => opened.mock.calls.length > 0);
    expect(bad.asked).toEqual(['POST /sleep']);
  });

  it('partly awake is still asleep', async () => {
    const { orders, send } = setUp(({ path, query }) => ({
      status: 200,
      body: path === '/wake_up' ? JSON.stringify({ status: query === 'tags=weights' ? 'sleeping' : 'awake' }) : '{}',
    }));
    await send('/sleep');
    await send('/wake_up', 'tags=weights');
    expect(orders.held).toBe('sleeping');
    await send('/wake_up', 'tags=kv_cache');
    expect(orders.held).toBeNull();
  });

  it('a start that refuses what it is told takes requests all the same', async () => {
    const { gangs, opened, prepared, problem, send } = setUp();
    await send('/pause');
    gangs[1]?.crash();
    if (gangs[1] !== undefined) gangs[1].play = () => ({ status: 500 });
    gangs[1]?.start();
    expect(prepared[1]?.lead).toBeNull();
    await until(() => opened.mock.calls.length > 0);
    expect(prepared[1]?.lead).toBe(gangs[1]?.lead);
    expect(problem).not.toHaveBeenCalled();
  });
});

describe('a replica that somebody else woke', () => {
  it('is told again what holds, and nothing where nothing does', async () => {
    const { gangs, orders, prepared } = setUp();
    const open = prepared.flatMap(({ replica }) => replica ?? []);
    orders.woken('m/0');
    expect(orders.settled('m/0', 1)).toBe(true);
    await orders.carryOut(command('/pause', 'mode=keep'), open);
    for (const replica of open) await orders.settle(replica);
    const told = gangs[0]?.asked.length ?? 0;
    orders.woken('m/0');
    expect([orders.settled('m/0', 1), orders.settled('m/1', 1)]).toEqual([false, true]);
    await orders.settle(open[0] as (typeof open)[0]);
    expect(gangs[0]?.asked.slice(told)).toEqual([expect.stringContaining('/pause?mode=keep')]);
  });
});

describe('a prepared gang', () => {
  it('that closes is told all that it missed before it opens again', async () => {
    const gang = new PlayedGang('r', () => null);
    const told: string[] = [];
    let [closed, missing] = [false, false];
    const gate = {
      settled: () => !closed,
      outdated: () => closed,
      settle: async () => {
        await until(() => !closed);
        told.push('open');
      },
    };
    const later = {
      settled: () => !missing,
      settle: async () => {
        await new Promise((resolve) => setImmediate(resolve));
        told.push('missed');
        missing = false;
      },
    };
    const opened = vi.fn();
    const prepared = new PreparedGang(gang, { id: 'r', upkeep: [gate, later], opened, problem: vi.fn() });
    expect(prepared.lead).toBe(gang.lead);
    closed = true;
    expect(prepared.lead).toBeNull();
    missing = true;
    closed = false;
    expect(prepared.lead).toBeNull();
    await until(() => opened.mock.calls.length > 0);
    expect(told).toEqual(['open', 'missed']);
    expect(prepared.lead).toBe(gang.lead);
  });

  it('is the gang itself while nothing is to be told', () => {
    const { gangs, opened, prepared } = setUp();
    expect(prepared[0]?.lead).toBe(gangs[0]?.lead);
    expect(prepared[0]).toMatchObject({ epoch: 1, restarts: 0, group: null, state: { at: 'ready' } });
    expect(opened).not.toHaveBeenCalled();
    gangs[0]?.crash();
    expect(prepared[0]?.lead).toBeNull();
    expect(prepared[0]?.replica).toBeNull();
  });

  it('opens with a word when its upkeep fails, and not when the replica broke', async () => {
    const gang = new PlayedGang('r', () => null);
    let fail: (error: Error) => void = () => {};
    const upkeep = {
      settled: () => false,
      settle: () =>
        new Promise<void>((_resolve, reject) => {
          fail = reject;
        }),
    };
    const [opened, problem] = [vi.fn(), vi.fn()];
    const prepared = new PreparedGang(gang, { id: 'r', upkeep: [upkeep], opened, problem });
    expect(prepared.lead).toBeNull();
    gang.crash();
    fail(new Error('the rank is gone'));
    await new Promise((resolve) => setImmediate(resolve));
    expect([opened.mock.calls, problem.mock.calls]).toEqual([[], []]);
    gang.start();
    expect(prepared.lead).toBeNull();
    fail(new Error('a bug'));
    await until(() => opened.mock.calls.length > 0);
    expect(problem).toHaveBeenCalledWith(new Error('a bug'));
    expect(prepared.lead).toBe(gang.lead);
  });
});
