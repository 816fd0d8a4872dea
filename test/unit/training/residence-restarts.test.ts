import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import { flush, newRun } from './fake-trainer.js';
import { useParking } from './parking.js';
import { trained } from './weighing-trainer.js';

const parking = useParking();
const { answer, create, parked, pass, paused, restart, state, step, tick, weightOf } = parking;

describe('a gradient that no step uses', () => {
  const dropped = (run: string) => ({
    error: expect.stringMatching(new RegExp(`^the gradient of run .${run}. was dropped: .* not done`)),
    category: 'user',
  });
  const waits = async (): Promise<string> => {
    const { requestId } = parking.service.createRun('t', newRun(parking.session, { seqId: 1 }));
    await flush();
    return requestId;
  };

  it('is dropped when its run was idle for too long while another waits, and the next request says so, once', async () => {
    const a = await create(0);
    pass(a);
    step(a);
    pass(a);
    await flush();
    const requestId = await waits();
    await tick(599_999);
    expect([answer(requestId), state(a)]).toEqual([null, 'ready']);
    await tick(1);
    expect([answer(requestId), state(a)]).toEqual([expect.objectContaining({ type: 'create_model' }), 'parked']);
    expect(parking.log.warn).toHaveBeenCalledWith({ run: a }, 'training_gradient_dropped');
    const told = step(a);
    const then = pass(a);
    const done = step(a);
    await flush();
    expect([answer(told), answer(then)]).toEqual([dropped(a), 'protobuf']);
    expect([weightOf(done), state(a)]).toEqual([trained(2), 'ready']);
    // What went into the gradient that is gone is no part of a step.
    expect(parking.service.watch.run(a)).toMatchObject({ steps: 2, loss: trained(1) });
  });

  it('stays while nobody waits, or its client comes in time', async () => {
    const a = await create(0);
    pass(a);
    await flush();
    await tick(600_000);
    expect(state(a)).toBe('ready');
    const requestId = await waits();
    const gate = parking.host.trainer.hold('train_save');
    await tick(0);
    expect(state(a)).toBe('parked'); // on its way
    const done = step(a);
    gate.resolve();
    await flush();
    expect([weightOf(done), answer(requestId)]).toEqual([
      trained(1),
      { model_id: `${parking.session}:train:1`, type: 'create_model' },
    ]);
  });

  it('stays when its run cannot be parked', async () => {
    const a = await create(0);
    pass(a);
    await flush();
    await waits();
    parking.host.trainer.failures.set('train_save', new TwinkleError('STORAGE_FAILED', 'no space left'));
    await tick(600_000);
    const done = step(a);
    await flush();
    expect(weightOf(done)).toBe(trained(1));
  });

  it('is told of by the next server, too, and by its own until a client heard it', async () => {
    const a = await create(0);
    pass(a);
    await flush();
    await waits();
    await tick(600_000);
    expect(state(a)).toBe('parked');
    await restart({ maxRuns: 1, maxLifeMs: 3_600_000 });
    // Brought back by its end that fails, heard of by no client, and parked again.
    vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 7_200_000);
    parking.host.trainer.failures.set('train_save', new TwinkleError('STORAGE_FAILED', 'no space left'));
    await tick(0);
    vi.mocked(Date.now).mockRestore();
    parking.host.trainer.failures.clear();
    expect(parking.host.trainer.calls).toEqual(['load 0', 'save 0']);
    await tick(600_000);
    expect(state(a)).toBe('parked');
    await restart();
    const told = pass(a);
    pass(a);
    const done = step(a);
    await flush();
    expect([answer(told), weightOf(done)]).toEqual([dropped(a), trained(1)]);
  });
});

describe('a server that was killed', () => {
  it('has parked runs still, and loses what was on the ranks', async () => {
    const a = await create(0);
    pass(a);
    step(a);
    await flush();
    const b = await create(1);
    await restart();
    expect([state(a), state(b)]).toEqual(['parked', 'lost']);
    pass(a);
    const done = step(a);
    await flush();
    expect([weightOf(done), state(a), parking.service.run('t', a).corrupted]).toEqual([trained(2), 'ready', false]);
    await restart();
    expect(state(a)).toBe('lost');
  });

  it('fails what waited for a parked run, and goes on behind it', async () => {
    const a = await create(0);
    const b = await create(1);
    pass(b);
    await flush();
    const waits = pass(a);
    await flush();
    expect(paused(waits)).toContain('none of them is idle');
    await restart();
    const error = expect.stringContaining(`request 1 of run \`${a}\` was not done: ask again`);
    expect(answer(waits)).toEqual({ error, category: 'server' });
    pass(a);
    const done = step(a);
    await flush();
    expect(weightOf(done)).toBe(trained(1));
  });

  it('knows what had not been done when its run was parked', async () => {
    const a = await create(0);
    const gate = parking.host.trainer.hold('train_save');
    await create(1);
    const early = pass(a);
    gate.resolve();
    parking.host.trainer.hold('train_create');
    await flush();
    expect(state(a)).toBe('parked');
    await restart();
    expect(answer(early)).toMatchObject({ error: expect.stringContaining('was not done') });
    pass(a);
    const done = step(a);
    await flush();
    expect(weightOf(done)).toBe(trained(1));
  });

  it('shows how a parked run trained, and goes on with its curve', async () => {
    const begun = Date.now();
    const a = await create(0);
    await parking.service.written(); // the journal has the run as it is now
    vi.spyOn(Date, 'now').mockReturnValue(begun + 60_000);
    for (let at = 0; at < 3; at++) {
      pass(a);
      step(a);
    }
    await flush();
    const before = parking.service.watch.run(a);
    expect(before).toMatchObject({ steps: 3, datums: 3, loss: trained(2), lastRequest: begun + 60_000 });
    expect(before?.created).toBeLessThan(begun + 60_000);
    await create(1);
    vi.mocked(Date.now).mockReturnValue(begun + 120_000);
    await restart();
    vi.mocked(Date.now).mockRestore();
    expect(parking.service.watch.run(a)).toEqual({ ...before, state: 'parked' });
    pass(a);
    step(a);
    await flush();
    const after = parking.service.watch.run(a);
    expect(after).toMatchObject({ steps: 4, step: 4, datums: 4, loss: trained(3) });
    expect(after?.curve).toEqual([...(before?.curve ?? []), { step: 4, loss: trained(3), lossPerToken: null }]);
  });

  it('removes what no run has', async () => {
    await create(0);
    await create(1);
    expect(parked()).toHaveLength(2);
    await parking.service.written();
    await parking.service.close();
    rmSync(join(parking.root, 'journal'), { recursive: true });
    parking.open();
    await parking.service.restore();
    parking.service.checkpoints.of('t');
    vi.advanceTimersByTime(10_000);
    expect(parked()).toEqual([]);
  });
});
