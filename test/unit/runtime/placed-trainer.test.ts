import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { TrainedModel } from '../../../src/config/types.js';
import { placedParts } from '../../../src/engines/placed-parts.js';
import { planGroups } from '../../../src/engines/placement.js';
import { SILENT } from '../../../src/observability/logger.js';
import { trainerStatus } from '../../../src/runtime/model-trainer.js';
import { PlacedTrainer } from '../../../src/runtime/placed-trainer.js';
import { type TrainedChange, trainedModel } from '../../support/trained-model.js';
import { turn } from '../supervisor/played-ranks.js';
import { PlayedContext } from './played-context.js';

let context: PlayedContext;
let trainer: PlacedTrainer;
let config: TrainedModel;
beforeEach(() => make());
afterEach(async () => {
  await context.stopped(trainer.stop());
  for (const made of contexts.splice(0)) made[Symbol.dispose]();
});
const contexts: PlayedContext[] = [];

function make(change: TrainedChange = {}, kind: 'own' | 'head' = 'head', sole = false): void {
  context = new PlayedContext(kind, sole);
  contexts.push(context);
  config = trainedModel({ engine: 'transformers', ranks: 2, placement: { accelerator: 'GPU' }, ...change });
  trainer = new PlacedTrainer(config, context.gangs, SILENT, context.news);
}

/** Ask for its group. */
async function place(): Promise<void> {
  const [[plan] = []] = planGroups(placedParts({ models: [], trained: [config] }), null);
  if (plan === undefined) throw new Error('no plan');
  const { source } = context;
  trainer.place(plan, { source, namespace: 'ns', nowMs: () => context.now });
  await turn();
}

/** Its ranks are up on these devices. */
async function up(...seats: readonly string[]): Promise<void> {
  context.cluster.group.create(...(seats.length === 0 ? ['a:0', 'a:1'] : seats));
  await turn();
  await context.ready(trainer.gang);
}
const status = () => trainerStatus(trainer, []);

describe('ranks that train in a group of their own', () => {
  it('wait for their place, say so, and are the trainer when they are up', async () => {
    context.now = 7;
    await place();
    const { group } = context.cluster;
    expect(group.spec).toMatchObject({ name: 'm/train/0', namespace: 'ns', bundles: [{ GPU: 1, CPU: 1 }, { GPU: 1 }] });
    group.set({ scheduling: 'NO_RESOURCES', reason: 'none is free', position: 0 });
    await turn();
    expect(context.news.progress).toHaveBeenLastCalledWith(
      'm/train',
      expect.objectContaining({
        phase: 'placement',
        detail: expect.stringContaining('none is free') as string,
        elapsedMs: 0,
      }),
    );
    expect(trainer.paused()).toBe('the ranks that train m wait for their place');
    expect([trainer.state.at, trainer.failure, context.played.ranks]).toEqual(['idle', null, []]);
    const opened = trainer.open();
    const heard = vi.fn();
    void opened.then(heard);
    group.create('a:0', 'a:1');
    await turn();
    expect(trainer.paused()).toBeNull();
    expect(trainer.state.at).toBe('starting');
    expect(heard).not.toHaveBeenCalled();
    await context.ready(trainer.gang);
    const there = await opened;
    expect([there.gone, trainer.state.at]).toEqual([false, 'ready']);
    // The same for as long as the ranks are.
    expect(await trainer.open()).toBe(there);
    const devices = [0, 1].map((rank) => context.played.rank(rank).request.launch.env.CUDA_VISIBLE_DEVICES);
    expect(devices).toEqual(['GPU-a0', 'GPU-a1']);
    expect(status()).toMatchObject({
      model: 'm',
      state: 'ready',
      reason: null,
      epoch: 1,
      devices: ['GPU-a0', 'GPU-a1'],
    });
  });

  it('are an engine of their own, loaded with what the file says', async () => {
    await context.stopped(trainer.stop());
    make({ maxModelLen: 512, shard: true, model: '/models/m', envVars: { A: 'b', PYTHONPATH: '/mine' } });
    expect(trainer.gang.spec).toMatchObject({
      id: 'm/train',
      engine: 'training',
      worldSize: 2,
      ownEngine: false,
      load: { model: '/models/m', options: { max_model_len: 512, train_shard: true } },
    });
    expect(context.launchers).toEqual(['make transformers /models/m']);
    expect(context.environments).toMatchObject([{ A: 'b', PYTHONPATH: '/workers:/mine' }]);
    expect([trainer.names, trainer.folder]).toEqual([['m'], '/models/m']);
  });

  it('of engine mock have no weights to spread', () => {
    make({ engine: 'mock', shard: true });
    expect(trainer.gang.spec).toMatchObject({ engine: 'mock', load: { model: 'm', options: {} } });
  });

  it('have the limits of their model', () => {
    make({ maxRuns: 3, full: true, maxLifeMs: 9, silenceMs: 8 });
    expect(trainer.limits).toEqual({ maxRuns: 3, full: true, maxLifeMs: 9, silenceMs: 8 });
  });

  it('stay when nobody trains', async () => {
    await place();
    await up();
    const there = await trainer.open();
    trainer.close();
    await turn();
    expect([there.gone, trainer.state.at]).toEqual([false, 'ready']);
  });
});

describe('a place that is lost', () => {
  it('ends the ranks, and they start again elsewhere, as another trainer', async () => {
    await place();
    await up();
    const before = await trainer.open();
    const { group } = context.cluster;
    group.set({ state: 'RESCHEDULING', scheduling: 'NO_RESOURCES', reason: 'node a is dead' });
    await turn();
    expect(before.gone).toBe(true);
    await expect(before.call('train_zero', { run: 'r' })).rejects.toMatchObject({ code: 'RANK_FAILED' });
    expect(context.news.failed).toHaveBeenCalledExactlyOnceWith(
      'm/train',
      'placement group m/train/0 lost a place',
      null,
    );
    expect(trainer.paused()).toContain('wait for their place');
    expect(status()).toMatchObject({ state: 'restarting', reason: null });
    // Nobody gives up on it: who asks waits.
    const again = trainer.open();
    await context.end();
    await vi.waitUntil(() => trainer.gang.state.at === 'stopped');
    expect(trainer.failure).toBeNull();
    context.now = 20;
    group.create('b:4', 'b:5');
    await vi.waitUntil(() => trainer.gang.epoch === 2);
    await context.ready(trainer.gang);
    const after = await again;
    expect([after === before, after.gone, before.gone]).toEqual([false, false, true]);
    expect(status()).toMatchObject({ epoch: 2, devices: ['GPU-b4', 'GPU-b5'] });
    expect(context.news.recovered).toHaveBeenCalledExactlyOnceWith('m/train', 0);
  });

  it('for good is a failure, in the words of the one who took it', async () => {
    await place();
    await up();
    const before = await trainer.open();
    context.cluster.group.set({ state: 'REMOVED', scheduling: 'REMOVED' });
    await turn();
    await context.end();
    expect(trainer.failure).toMatchObject({ code: 'GROUP_REMOVED' });
    expect(before.gone).toBe(true);
    await expect(trainer.open()).rejects.toMatchObject({
      code: 'GANG_FAILED',
      message: expect.stringMatching(/^the ranks that train `m` cannot be started: .*was removed/) as string,
    });
    expect(status()).toMatchObject({ state: 'failed', reason: expect.stringContaining('was removed') as string });
  });

  it('that never was is a failure where nobody will make room', async () => {
    make({}, 'own', true);
    await place();
    const waiting = expect(trainer.open()).rejects.toMatchObject({ code: 'GANG_FAILED' });
    context.cluster.group.set({ scheduling: 'NO_RESOURCES', reason: 'none is free' });
    await turn();
    // Those who wait hear it, and so does the head, though no rank has ever run.
    await waiting;
    expect(context.news.change).toHaveBeenCalled();
    expect(trainer.failure).toMatchObject({
      code: 'INFEASIBLE',
      message: expect.stringContaining('m/train/0') as string,
    });
    await expect(trainer.open()).rejects.toMatchObject({ code: 'GANG_FAILED' });
    expect(context.played.ranks).toEqual([]);
  });
});

describe('ranks that die', () => {
  it('are started again where they were; that is told, and that they are back', async () => {
    make({ ranks: 1 });
    const { supervision } = context.gangs;
    Object.assign(supervision, { crashLoopLimit: 3 });
    trainer = new PlacedTrainer(config, context.gangs, SILENT, context.news);
    await place();
    await up('a:0');
    const before = await trainer.open();
    await context.end(9);
    await vi.waitUntil(() => context.news.failed.mock.calls.length > 0);
    expect(before.gone).toBe(true);
    expect(context.news.failed).toHaveBeenCalledExactlyOnceWith(
      'm/train',
      expect.stringContaining('SIGKILL'),
      expect.stringContaining(context.folder),
    );
    expect([trainer.failure, trainer.paused()]).toEqual([null, null]);
    await vi.waitUntil(() => trainer.gang.epoch === 2 && trainer.gang.state.at === 'starting');
    await turn();
    await context.ready(trainer.gang);
    expect((await trainer.open()).gone).toBe(false);
    expect(context.news.recovered).toHaveBeenCalledExactlyOnceWith('m/train', 0);
    expect(trainer.gang.places[0]?.device?.uuid).toBe('GPU-a0');
  });

  it('too often are given up, and say why', async () => {
    await place();
    await up();
    await context.end(9);
    await vi.waitUntil(() => trainer.state.at === 'failed');
    expect(trainer.failure).toMatchObject({
      code: 'GANG_FAILED',
      message: expect.stringContaining('SIGKILL') as string,
    });
    await expect(trainer.open()).rejects.toThrow('the ranks that train `m` cannot be started');
    expect(status()).toMatchObject({ state: 'failed', reason: expect.stringContaining('SIGKILL') as string });
  });
});

describe('a model that cannot be loaded', () => {
  it('is told as such, and not tried again', async () => {
    make({ ranks: 1 });
    await place();
    context.cluster.group.create('a:0');
    await turn();
    const rank = context.played.rank(0);
    rank.run();
    await turn();
    rank.hello();
    await turn();
    await turn();
    const call = rank.frames.find((frame) => frame.t === 'call') as { id: number };
    rank.send({ t: 'error', id: call.id, code: 'LOAD_FAILED', message: 'no weights', param: null, traceback: null });
    await turn();
    await context.end();
    await vi.waitUntil(() => trainer.state.at === 'failed');
    expect(trainer.failure).toMatchObject({
      code: 'LOAD_FAILED',
      message: 'the ranks that train `m` cannot be started: no weights',
      details: { gang: 'm/train', epoch: 1, kind: 'load', rank: 0, reason: 'no weights' },
    });
    expect(trainer.gang.epoch).toBe(1);
  });
});

describe('the end', () => {
  it('removes the group after the ranks are gone, and starts nothing in a place that comes late', async () => {
    await place();
    await up();
    const stopping = trainer.stop();
    await turn();
    expect(context.cluster.group.removed).toBe(0);
    await context.stopped(stopping);
    expect(context.launchers).toContain('end transformers m');
    expect(context.cluster.group.removed).toBe(0);
    context.cluster.group.create('b:0', 'b:1');
    await turn();
    expect(trainer.gang.epoch).toBe(1);
    await trainer.release();
    expect(context.cluster.group.removed).toBe(1);
    expect(context.news.failed).not.toHaveBeenCalled();
  });

  it('lets nobody wait for a place that will not come', async () => {
    await place();
    const waiting = trainer.open();
    const refused = expect(waiting).rejects.toMatchObject({ code: 'DRAINING' });
    await trainer.stop();
    await refused;
    await expect(trainer.open()).rejects.toMatchObject({ code: 'DRAINING' });
  });

  it('is the same for one that was never placed', async () => {
    await trainer.stop();
    await trainer.release();
    expect(context.cluster.groups).toEqual([]);
  });
});
