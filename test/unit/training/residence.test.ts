import { describe, expect, it } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import { flush, newRun } from './fake-trainer.js';
import { NEW_SESSION, useParking, work } from './parking.js';
import { trained } from './weighing-trainer.js';

const parking = useParking();
const { answer, create, next, parked, pass, paused, state, step, tick, weightOf } = parking;

describe('one run too many', () => {
  it('has the one that was idle longest parked, and every run ends as if it never had been', async () => {
    const [a, b] = [await create(0), await create(1)];
    expect([state(a), state(b)]).toEqual(['parked', 'ready']);
    expect(parking.service.checkpoints.of('t')).toEqual([]);
    const last: string[] = [];
    for (let turn = 0; turn < 3; turn++) {
      for (const run of [a, b]) {
        pass(run);
        last.push(step(run));
        await flush();
      }
    }
    expect(last.map(weightOf)).toEqual([1, 1, 2, 2, 3, 3].map(trained));
    expect([parking.host.trainer.runs.size, parked().length]).toEqual([1, 2]);
  });

  it('leaves those alone that were asked of later', async () => {
    await parking.service.close();
    parking.open({ maxRuns: 2 });
    parking.beginSession();
    const [a, b] = [await create(0), await create(1)];
    pass(a, true);
    await flush();
    const c = await create(2);
    expect([a, b, c].map(state)).toEqual(['ready', 'parked', 'ready']);
  });

  it('waits while none is idle, in the order in which they came', async () => {
    const a = await create(0);
    const gate = parking.host.trainer.hold('train_pass');
    pass(a, true);
    await flush();
    const [second, third] = [1, 2].map((seqId) => parking.service.createRun('t', newRun(parking.session, { seqId })));
    const early = parking.service.compute('t', { run: second?.run ?? '', seqId: 1, work: work(true) });
    await flush();
    const waiting = [second?.requestId ?? '', third?.requestId ?? '', early];
    expect(waiting.map(answer)).toEqual([null, null, null]);
    expect(waiting.map(paused)).toEqual(waiting.map(() => '1 runs of demo are trained now, and none of them is idle'));
    gate.resolve();
    await flush();
    expect(waiting.map(answer)).toEqual([
      { model_id: second?.run, type: 'create_model' },
      { model_id: third?.run, type: 'create_model' },
      'protobuf',
    ]);
    expect(parking.host.trainer.calls).toEqual([
      'create 0',
      'pass 0',
      'save 0',
      'drop 0',
      'create 1',
      'pass 1',
      'save 1',
      'drop 1',
      'create 2',
    ]);
  });

  it('is not what a request waits for that waits for its turn on the devices', async () => {
    const a = await create(0);
    const gate = parking.host.trainer.hold('train_pass');
    const waits = parking.service.compute('t', { run: a, seqId: next(a), work: work(true) });
    await flush();
    expect(paused(waits)).toBeNull();
    Object.assign(parking.host, { paused: (model: string) => `the replicas of ${model} have the devices` });
    expect(paused(waits)).toBe('the replicas of demo have the devices');
    gate.resolve();
    await flush();
    expect(paused(waits)).toBeNull();
  });

  it('waits for the step of a gradient, which would be lost', async () => {
    const a = await create(0);
    pass(a);
    const { requestId } = parking.service.createRun('t', newRun(parking.session, { seqId: 1 }));
    await flush();
    expect([answer(requestId), state(a)]).toEqual([null, 'ready']);
    const done = step(a);
    await flush();
    expect([weightOf(done), state(a)]).toEqual([trained(1), 'parked']);
    expect(answer(requestId)).toMatchObject({ type: 'create_model' });
  });

  it('waits no longer when its session ends', async () => {
    const a = await create(0);
    pass(a);
    const other = parking.service.createSession('t', NEW_SESSION).id;
    parking.service.createRun('t', newRun(other));
    await flush();
    parking.service.finish('t', other);
    step(a);
    await flush();
    expect([state(a), parking.host.trainer.calls.filter((call) => call.startsWith('create'))]).toEqual([
      'ready',
      ['create 0'],
    ]);
  });
});

describe('a request that comes while its run is being parked', () => {
  it('has it parked and loaded again, when another one waits', async () => {
    const a = await create(0);
    const gate = parking.host.trainer.hold('train_save');
    const b = (await create(1)) as string;
    const early = pass(a, true);
    expect(answer(early)).toBeNull();
    gate.resolve();
    await flush();
    expect([answer(early), state(a), state(b)]).toEqual(['protobuf', 'ready', 'parked']);
    expect(parking.host.trainer.calls.slice(1, 5)).toEqual(['save 0', 'drop 0', 'create 1', 'save 1']);
  });

  it('has it stay, when nobody wants its room', async () => {
    const a = await create(0);
    const gate = parking.host.trainer.hold('train_save');
    await tick(600_000);
    const early = pass(a, true);
    gate.resolve();
    await flush();
    expect([answer(early), state(a), parked()]).toEqual(['protobuf', 'ready', []]);
    expect(parking.host.trainer.calls).toEqual(['create 0', 'save 0', 'pass 0']);
  });
});

describe('what can go wrong', () => {
  it('a full disk: the run stays, and who waits waits until there is room', async () => {
    const a = await create(0);
    parking.host.trainer.failures.set('train_save', new TwinkleError('STORAGE_FAILED', 'no space left'));
    const { requestId } = parking.service.createRun('t', newRun(parking.session, { seqId: 1 }));
    await flush();
    expect([state(a), answer(requestId)]).toEqual(['ready', null]);
    const done = pass(a, true);
    await flush();
    expect([answer(done), parking.log.warn.mock.calls.length]).toEqual(['protobuf', 1]);
    parking.host.trainer.failures.clear();
    await tick(0);
    expect([state(a), answer(requestId)]).toEqual([
      'parked',
      { model_id: `${parking.session}:train:1`, type: 'create_model' },
    ]);
  });

  it('a copy that is damaged: the run is lost, with the reason', async () => {
    const a = await create(0);
    await create(1);
    parking.host.trainer.failures.set(
      'train_load',
      new TwinkleError('CHECKPOINT_DAMAGED', 'weights is not what was written'),
    );
    const asked = pass(a);
    await flush();
    expect(answer(asked)).toMatchObject({ error: expect.stringContaining('not what was written'), category: 'server' });
    expect(state(a)).toBe('lost');
    parking.host.trainer.failures.clear();
    expect(await create(2)).toBeTruthy();
    parking.service.finish('t', parking.session);
    await flush();
    expect([parked(), parking.host.trainer.runs.size]).toEqual([[], 0]);
  });

  it('ranks that die while they load it: the request fails, the run is on disk still', async () => {
    const a = await create(0);
    await create(1);
    parking.host.trainer.failures.set('train_load', new TwinkleError('RANK_FAILED', 'rank 0 was killed'));
    const asked = pass(a);
    await flush();
    const error = expect.stringMatching(/could not be loaded now \(rank 0 was killed\): ask again$/);
    expect([answer(asked), state(a)]).toEqual([{ error, category: 'server' }, 'parked']);
    parking.host.restart();
    const again = pass(a);
    await flush();
    expect([answer(again), state(a)]).toEqual(['protobuf', 'ready']);
  });

  it('ranks that die while they take a run: those that follow them take it, but not a third time', async () => {
    const a = await create(0);
    await create(1);
    const heldIn = (method: string): (() => void) => {
      const { trainer } = parking.host;
      const gate = trainer.hold(method);
      return () => {
        trainer.failures.set(method, new TwinkleError('RANK_FAILED', 'rank 0 was killed'));
        parking.host.restart();
        gate.resolve();
      };
    };
    const loading = heldIn('train_load');
    const asked = pass(a, true);
    await flush();
    loading();
    await flush();
    expect([answer(asked), state(a), parking.host.trainer.calls]).toEqual(['protobuf', 'ready', ['load 0', 'pass 0']]);
    const creating = heldIn('train_create');
    const { requestId } = parking.service.createRun('t', newRun(parking.session, { seqId: 2 }));
    await flush();
    creating();
    const successor = parking.host.trainer;
    successor.failures.set('train_create', new TwinkleError('RANK_FAILED', 'rank 0 was killed again'));
    await flush();
    expect(answer(requestId)).toEqual({ error: expect.stringContaining('killed again'), category: 'server' });
    expect(successor.calls).toEqual(['create 2']);
  });

  it('ranks that die: what is on them is lost, what is parked is not', async () => {
    const a = await create(0);
    pass(a);
    step(a);
    await flush();
    const b = await create(1);
    parking.host.restart();
    pass(a);
    const done = step(a);
    await flush();
    expect([weightOf(done), state(a), state(b)]).toEqual([trained(2), 'ready', 'lost']);
  });

  it('ranks that die while it is being parked: it is lost', async () => {
    const a = await create(0);
    parking.host.trainer.failures.set('train_save', new TwinkleError('RANK_FAILED', 'rank 0 was killed'));
    const { requestId } = parking.service.createRun('t', newRun(parking.session, { seqId: 1 }));
    await flush();
    expect([state(a), answer(requestId)]).toEqual(['lost', expect.objectContaining({ type: 'create_model' })]);
  });
});

describe('the end of its session', () => {
  it('takes a parked run’s folder along', async () => {
    await create(0);
    await create(1);
    expect(parked()).toHaveLength(2);
    parking.service.finish('t', parking.session);
    await flush();
    expect([parked(), parking.host.trainer.runs.size]).toEqual([[], 0]);
  });

  it('also of one that is being parked, or loaded', async () => {
    const gates = [parking.host.trainer.hold('train_save')];
    await create(0);
    await create(1);
    parking.service.finish('t', parking.session);
    gates[0]?.resolve();
    await flush();
    expect([parked(), parking.host.trainer.runs.size]).toEqual([[], 0]);

    parking.host.trainer.held.clear();
    parking.beginSession();
    const a = await create(0);
    await create(1);
    const gate = parking.host.trainer.hold('train_load');
    pass(a);
    await flush();
    parking.service.finish('t', parking.session);
    gate.resolve();
    await flush();
    expect([parked(), parking.host.trainer.runs.size]).toEqual([[], 0]);
    parking.beginSession();
    expect(state(await create(0))).toBe('ready');
  });
});

describe('time', () => {
  it('parks a run that nobody asks anything of, and then ends ranks without runs', async () => {
    const a = await create(0);
    await tick(599_999);
    expect(state(a)).toBe('ready');
    await tick(1);
    expect([state(a), parking.host.closed]).toEqual(['parked', []]);
    await tick(599_999);
    expect(parking.host.closed).toEqual([]);
    await tick(1);
    await tick(600_000);
    expect(parking.host.closed).toEqual(['demo']);
    parking.host.restart();
    pass(a);
    const done = step(a);
    await flush();
    expect([weightOf(done), state(a)]).toEqual([trained(1), 'ready']);
  });

  it('leaves a run whose gradient waits where it is', async () => {
    const a = await create(0);
    pass(a);
    await flush();
    await tick(600_000);
    expect(state(a)).toBe('ready');
  });
});
