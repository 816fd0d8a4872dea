import { describe, expect, it } from 'vitest';
import { type Reporter, TaskReports } from '../../../src/actors/task-reports.js';
import type { CallFacts } from '../../../src/protocol/work.js';

/** A client that keeps the tokens it is told. */
class Client implements Reporter {
  readonly tokens: number[] = [];
  readonly hello: Reporter['hello'];
  onTell = (): void => {};

  constructor(
    readonly id: number,
    kind = 'worker',
  ) {
    this.hello = { pid: 1000 + id, kind };
  }

  tell(method: string, params: unknown): void {
    expect(method).toBe('report');
    this.tokens.push((params as { token: number }).token);
    this.onTell();
  }

  get token(): number {
    return this.tokens.at(-1) as number;
  }
}

function call(id: string, overrides: Partial<CallFacts> = {}): CallFacts {
  return { id, name: 'f', kind: 'task', state: 'RUNNING', worker: 7, since: 5, ...overrides };
}

function setUp(...clients: Client[]) {
  const timers = new Set<() => void>();
  const waits: number[] = [];
  const reports = new TaskReports({
    clients: () => clients,
    after: (ms, act) => {
      waits.push(ms);
      timers.add(act);
      return () => timers.delete(act);
    },
  });
  const late = (): void => {
    for (const act of [...timers]) act();
  };
  return { reports, timers, waits, late };
}

describe('a round of reports', () => {
  it('ends with the last answer, in the order of the clients and of their calls', async () => {
    const [driver, worker] = [new Client(1, 'driver'), new Client(2)];
    const { reports, timers, waits } = setUp(driver, worker);
    const round = reports.collect();
    reports.heard(2, { token: worker.token, calls: [call('2.0', { state: 'WAITING', worker: null })] });
    expect(timers.size).toBe(1);
    reports.heard(1, { token: driver.token, calls: [call('1.5'), call('1.4')], more: 9 });
    expect(await round).toEqual({
      tasks: [
        { ...call('1.5'), callerPid: 1001 },
        { ...call('1.4'), callerPid: 1001 },
        { ...call('2.0', { state: 'WAITING', worker: null }), callerPid: 1002 },
      ],
      silent: [],
      untold: [{ pid: 1001, calls: 9 }],
    });
    expect([waits, timers.size]).toEqual([[1000], 0]);
  });

  it('goes on without those that are silent, and names them', async () => {
    const [driver, worker] = [new Client(1, 'driver'), new Client(2)];
    const { reports, late } = setUp(driver, worker);
    const round = reports.collect();
    reports.heard(2, { token: worker.token, calls: [call('2.0')] });
    late();
    expect(await round).toMatchObject({ tasks: [{ id: '2.0' }], silent: [{ pid: 1001, kind: 'driver' }] });
    reports.heard(1, { token: driver.token, calls: [call('1.0')] });
  });

  it('does not wait for one that ends, and forgets nothing that it said before', async () => {
    const [first, second, third] = [new Client(1), new Client(2), new Client(3)];
    const { reports } = setUp(first, second, third);
    const round = reports.collect();
    reports.heard(1, { token: first.token, calls: [call('1.0')] });
    reports.gone(1);
    reports.gone(2);
    reports.heard(3, { token: third.token, calls: [] });
    expect(await round).toEqual({ tasks: [{ ...call('1.0'), callerPid: 1001 }], silent: [], untold: [] });
  });

  it('ends where a client ends while it is asked', async () => {
    const client = new Client(1);
    const { reports, timers } = setUp(client);
    client.onTell = () => reports.gone(1);
    expect(await reports.collect()).toEqual({ tasks: [], silent: [], untold: [] });
    expect(timers.size).toBe(0);
  });

  it('ends at once where nobody has joined', async () => {
    const { reports, timers } = setUp();
    expect(await reports.collect()).toEqual({ tasks: [], silent: [], untold: [] });
    expect(timers.size).toBe(0);
  });

  it('has its own answers: two rounds at a time are not mixed', async () => {
    const client = new Client(1);
    const { reports } = setUp(client);
    const [first, second] = [reports.collect(), reports.collect()];
    const [early, later] = client.tokens as [number, number];
    reports.heard(1, { token: later, calls: [call('later')] });
    reports.heard(1, { token: early, calls: [call('early')] });
    expect((await first).tasks.map(({ id }) => id)).toEqual(['early']);
    expect((await second).tasks.map(({ id }) => id)).toEqual(['later']);
  });

  it('takes one answer of a client, and none of strangers', async () => {
    const one = new Client(1);
    const { reports, late } = setUp(one, new Client(2));
    const round = reports.collect();
    reports.heard(9, { token: one.token, calls: [call('9.0')] });
    reports.heard(1, { token: one.token + 1, calls: [call('other round')] });
    reports.heard(1, { token: one.token, calls: [call('1.0')] });
    reports.heard(1, { token: one.token, calls: [call('again')] });
    late();
    expect(await round).toMatchObject({ tasks: [{ id: '1.0' }], silent: [{ pid: 1002 }] });
  });
});
