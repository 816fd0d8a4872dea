import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { TrainedModel } from '../../../src/config/types.js';
import { SILENT } from '../../../src/observability/logger.js';
import { PlacedTrainers } from '../../../src/runtime/placed-trainers.js';
import { groupsOf } from '../../../src/runtime/plan-groups.js';
import { trainedModel } from '../../support/trained-model.js';
import { turn } from '../supervisor/played-ranks.js';
import { PlayedContext } from './played-context.js';
import type { ScriptedGroup } from './scripted-cluster.js';

const GPU = { accelerator: 'GPU' } as const;
const TWO = ['a', 'b'].map((name) => trainedModel({ name, engine: 'transformers', placement: GPU }));

let context: PlayedContext;
let all: PlacedTrainers;
beforeEach(() => {
  context = new PlayedContext('own', true);
});
afterEach(async () => {
  await context.stopped(Promise.all(all.all.map((one) => one.stop())));
  context[Symbol.dispose]();
});

/** Made, and their groups asked for. */
async function placed(trained: readonly TrainedModel[]): Promise<readonly ScriptedGroup[]> {
  all = new PlacedTrainers(trained, () => context.gangs, SILENT, context.news);
  const { source } = context;
  const groups = await groupsOf({ models: [], trained }, source);
  expect(groups.models).toEqual([]);
  all.place(groups.trained, { source, namespace: groups.namespace, nowMs: () => 0 });
  await turn();
  return context.cluster.groups;
}

describe('several models with ranks of their own', () => {
  it('begin to import at once, ask for their groups in their order, and are ready when all are', async () => {
    const [a, b] = await placed(TWO);
    expect(context.launchers).toEqual([
      'make transformers a',
      'make transformers b',
      'prepare transformers a',
      'prepare transformers b',
    ]);
    expect([a, b].map((group) => group?.spec.name)).toEqual(['a/train/0', 'b/train/0']);
    expect(a?.spec.namespace).toBe(b?.spec.namespace);
    for (const [at, group] of [a, b].entries()) {
      expect(all.ready).toBe(false);
      group?.create(`n:${at}`);
      await turn();
      const { gang } = all.all[at] as (typeof all.all)[number];
      await context.ready(gang);
    }
    expect([all.ready, all.failure, all.lost]).toEqual([true, null, false]);
  });

  it('are lost when none of them can train; one that cannot is a failure', async () => {
    const [a, b] = await placed(TWO);
    b?.set({ scheduling: 'NO_RESOURCES', reason: 'none is free' });
    await turn();
    expect(all.failure?.message).toContain('b/train/0');
    expect([all.lost, all.ready]).toEqual([false, false]);
    a?.set({ scheduling: 'NO_RESOURCES', reason: 'none is free' });
    await turn();
    expect([all.lost, all.failure?.code]).toEqual([true, 'INFEASIBLE']);
  });

  it('have their groups removed when all ranks are gone', async () => {
    const [a, b] = await placed(TWO);
    a?.create('n:0');
    await turn();
    await context.ready((all.all[0] as (typeof all.all)[number]).gang);
    await context.stopped(Promise.all(all.all.map((one) => one.stop())));
    expect([a?.removed, b?.removed]).toEqual([0, 0]);
    await all.release();
    expect([a?.removed, b?.removed]).toEqual([1, 1]);
    await vi.waitUntil(() => context.cluster.groups.every(({ listeners }) => listeners === 0));
  });

  it('none of them: ready, and never lost', async () => {
    await placed([]);
    expect([all.ready, all.lost, all.failure]).toEqual([true, false, null]);
  });
});
