import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { TwinkleConfig } from '../../../src/config/twinkle/types.js';
import type { ServeConfig } from '../../../src/config/types.js';
import { SILENT } from '../../../src/observability/logger.js';
import { HeadModels } from '../../../src/runtime/head-models.js';
import { ModelBuckets } from '../../../src/runtime/model-buckets.js';
import { modelConfig } from '../../support/model-config.js';
import { trainedModel } from '../../support/trained-model.js';
import { compile } from '../config/support.js';
import { turn } from '../supervisor/played-ranks.js';
import { PlayedContext } from './played-context.js';
import type { ScriptedGroup } from './scripted-cluster.js';

/** Nobody below looks into it. */
const twinkle = { applications: [] } as unknown as TwinkleConfig;
const GPU = { accelerator: 'GPU' } as const;
const SERVED = modelConfig({ model: 'm', engine: 'transformers', placement: GPU });
const TRAINED = trainedModel({ name: 'm', engine: 'transformers', placement: GPU });
const ALONE = trainedModel({ name: 'alone', engine: 'transformers', placement: GPU });

let context: PlayedContext;
let models: HeadModels;
beforeEach(() => {
  context = new PlayedContext('own', true);
});
afterEach(async () => {
  await context.stopped(models.stop());
  context[Symbol.dispose]();
});

/** A head with these, their groups asked for. */
async function head(change: Partial<ServeConfig>): Promise<void> {
  const { config: plain } = await compile();
  const config = { ...plain, twinkle, ...change };
  models = new HeadModels({
    config,
    models: config.models,
    buckets: new ModelBuckets(context.folder, 'i', SILENT),
    log: SILENT,
    news: context.news,
    context: () => context.gangs,
    nowMs: () => 0,
  });
  await models.place(context.source);
  await turn();
}

function group(name: string): ScriptedGroup {
  const found = context.cluster.groups.find(({ spec }) => spec.name === name);
  if (found === undefined) throw new Error(`no group ${name}`);
  return found;
}

/** The group has its place, and its ranks are up. */
async function up(name: string, seat: string): Promise<void> {
  group(name).create(seat);
  await turn();
  const id = name.replace(/(\/train)\/0$/, '$1'); // of the only replica of what is served it is the group's
  await context.ready({ spec: { id, worldSize: 1 } });
}
const state = (wasReady = false) => [models.phase(wasReady), models.fatal(wasReady)?.code ?? null];

describe('what is served and what is trained', () => {
  it('ask for groups in one namespace, and are ready together', async () => {
    await head({ models: [SERVED], trained: [TRAINED, ALONE] });
    expect(context.cluster.groups.map(({ spec }) => spec.name)).toEqual(['m/0', 'm/train/0', 'alone/train/0']);
    expect(new Set(context.cluster.groups.map(({ spec }) => spec.namespace)).size).toBe(1);
    await up('m/0', 'n:0');
    expect(state()).toEqual(['starting', null]);
    await up('m/train/0', 'n:1');
    expect(state()).toEqual(['starting', null]);
    await up('alone/train/0', 'n:2');
    expect(state()).toEqual(['ready', null]);
    expect(models.trainers.status([])).toMatchObject([
      { model: 'm', state: 'ready', devices: ['GPU-n1'] },
      { model: 'alone', state: 'ready', devices: ['GPU-n2'] },
    ]);
    expect(models.trainers.trainedOnly()).toEqual([{ name: 'alone', maxModelLen: 64 }]);
  });

  it('are trained only as the file says: what it samples from alone is not', async () => {
    await head({ models: [SERVED], trained: [ALONE] });
    expect([models.trainers.trains('m'), models.trainers.trains('alone')]).toEqual([false, true]);
    await context.stopped(models.stop());
    // Without such a file whatever can be is trained.
    await head({ models: [SERVED], trained: [], twinkle: null });
    expect(models.trainers.trains('m')).toBe(true);
  });
});

describe('ranks that train and cannot', () => {
  it('end the start, and later only degrade what is served', async () => {
    await head({ models: [SERVED], trained: [TRAINED] });
    await up('m/0', 'n:0');
    group('m/train/0').set({ scheduling: 'NO_RESOURCES', reason: 'none is free' });
    await turn();
    expect(state()).toEqual(['starting', 'INFEASIBLE']);
    expect(models.fatal(false)?.message).toContain('m/train/0');
    expect(state(true)).toEqual(['degraded', null]);
    expect(models.fleet.phase(true)).toBe('ready');
  });

  it('that die too often do not take with them what serves', async () => {
    await head({ models: [SERVED], trained: [TRAINED] });
    await up('m/0', 'n:0');
    await up('m/train/0', 'n:1');
    const { processes } = context.played.native;
    processes.end(processes.spawned.at(-1)?.pid ?? 0, { signal: 9 });
    await vi.waitUntil(() => models.trainers.status([])[0]?.state === 'failed');
    expect(state(true)).toEqual(['degraded', null]);
    expect(context.news.failed).toHaveBeenCalledWith('m/train', expect.stringContaining('SIGKILL'), expect.anything());
    expect(context.news.change).toHaveBeenCalled();
  });

  it('end a head that serves nothing, once none is left', async () => {
    const other = trainedModel({ ...ALONE, name: 'other' });
    await head({ models: [], trained: [ALONE, other] });
    await up('alone/train/0', 'n:0');
    await up('other/train/0', 'n:1');
    expect(state()).toEqual(['ready', null]);
    group('alone/train/0').set({ state: 'REMOVED', scheduling: 'REMOVED' });
    await turn();
    expect(state(true)).toEqual(['degraded', null]);
    group('other/train/0').set({ state: 'REMOVED', scheduling: 'REMOVED' });
    await turn();
    expect(state(true)).toEqual(['degraded', 'GROUP_REMOVED']);
  });
});

it('a model that cannot be served is as fatal as ever', async () => {
  await head({ models: [SERVED], trained: [TRAINED] });
  await up('m/train/0', 'n:1');
  group('m/0').set({ scheduling: 'NO_RESOURCES', reason: 'none is free' });
  await turn();
  expect(state(true)).toEqual(['failed', 'INFEASIBLE']);
});

it('all ranks end, and only then all groups are removed', async () => {
  await head({ models: [SERVED], trained: [TRAINED] });
  await up('m/0', 'n:0');
  await up('m/train/0', 'n:1');
  await context.stopped(models.stop());
  expect(context.cluster.groups.map(({ removed }) => removed)).toEqual([0, 0]);
  expect(context.played.native.processes.spawned.map(({ alive }) => alive)).toEqual([false, false]);
  await models.release();
  expect(context.cluster.groups.map(({ removed }) => removed)).toEqual([1, 1]);
});
