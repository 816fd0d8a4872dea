import { describe, expect, it } from 'vitest';
import type { HttpParams } from '../../../src/protocol/values.js';
import { ReplicaSleep } from '../../../src/serving/replica-sleep.js';
import type { Channel } from '../../../src/transport/channel.js';

/** An engine that writes down what it is asked. Status 0: it does not answer. */
function engine(id: string, asked: string[]) {
  const state = { id, epoch: 1, status: 200 };
  const open = (
    _: string,
    { path, query }: HttpParams,
    sink: { item(part: unknown): void; end(value: null): void },
  ) => {
    asked.push(`${id} ${path}${query === '' ? '' : `?${query}`}`);
    if (state.status !== 0)
      queueMicrotask(() => {
        sink.item({ status: state.status, headers: [], body: Buffer.from('{"error":"no"}') });
        sink.end(null);
      });
    return { abort() {} };
  };
  return Object.assign(state, { lead: { open } as unknown as Channel });
}

function setUp() {
  const asked: string[] = [];
  const engines = [engine('m/0', asked), engine('m/1', asked)];
  const failed: string[] = [];
  const woken: string[] = [];
  const operator = { held: false };
  const sleep = new ReplicaSleep({
    engines: () => engines,
    held: () => operator.held,
    woken: (id) => woken.push(id),
    failed: ({ id }, reason) => failed.push(`${id}: ${reason}`),
    deadlineMs: 50,
  });
  return { asked, engines: engines as [(typeof engines)[0], (typeof engines)[0]], failed, woken, operator, sleep };
}

describe('replicas that sleep for others', () => {
  it('are told once each, and what they held to before is told again', async () => {
    const { asked, failed, sleep, woken } = setUp();
    expect(sleep.awake).toBe(true);
    await sleep.sleep();
    await sleep.sleep();
    expect(sleep.awake).toBe(false);
    await sleep.wake();
    expect([sleep.awake, ...asked]).toEqual([
      true,
      'm/0 /sleep?level=1&mode=keep',
      'm/1 /sleep?level=1&mode=keep',
      'm/0 /wake_up',
      'm/1 /wake_up',
    ]);
    expect([woken, failed]).toEqual([['m/0', 'm/1'], []]);
  });

  it('fail when they refuse, or say nothing', async () => {
    const { engines, failed, sleep } = setUp();
    engines[0].status = 500;
    engines[1].status = 0;
    await sleep.sleep();
    expect(failed).toEqual([
      'm/0: it did not go to sleep: no',
      'm/1: it did not go to sleep: POST /sleep was not answered within 50 ms',
    ]);
  });

  it('that were started again meanwhile are awake, and need not be woken', async () => {
    const { asked, engines, failed, sleep } = setUp();
    await sleep.sleep();
    engines[0].epoch = 2;
    expect(sleep.awake).toBe(true);
    engines[1].status = 503;
    await sleep.wake();
    expect(asked.slice(2)).toEqual(['m/1 /wake_up']);
    expect(failed).toEqual(['m/1: it did not wake up, which needs the memory that it had before: no']);
  });

  it('are left as they are while the operator has them sleep', async () => {
    const { asked, operator, sleep } = setUp();
    operator.held = true;
    await sleep.sleep();
    expect([sleep.awake, asked]).toEqual([false, []]);
    await sleep.wake();
    expect(asked).toEqual([]);
  });
});
