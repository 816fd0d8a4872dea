import { afterEach, describe, expect, it, vi } from 'vitest';
import type { ModelConfig } from '../../../src/config/types.js';
import { TwinkleError } from '../../../src/errors.js';
import { SILENT } from '../../../src/observability/logger.js';
import type { GenerateParams } from '../../../src/protocol/values.js';
import type { BuiltModel } from '../../../src/runtime/build-model.js';
import { controlModel } from '../../../src/runtime/control-model.js';
import { Fleet } from '../../../src/runtime/fleet.js';
import { PlacedGang } from '../../../src/runtime/placed-gang.js';
import { groupsOf } from '../../../src/runtime/plan-groups.js';
import { AdapterStore } from '../../../src/serving/bucket/adapter-store.js';
import { BucketAdapters } from '../../../src/serving/bucket/bucket-adapters.js';
import { ModelService } from '../../../src/serving/model-service.js';
import { Replica } from '../../../src/serving/replica.js';
import { modelConfig } from '../../support/model-config.js';
import { PlayedGang, turn } from '../supervisor/played-ranks.js';
import { ScriptedCluster, type ScriptedGroup } from './scripted-cluster.js';

const disposals: (() => void)[] = [];
afterEach(() => {
  for (const dispose of disposals.splice(0).reverse()) dispose();
});

function config(model: string, dataParallel = 1): ModelConfig {
  return modelConfig({ model, dataParallel, placement: { accelerator: 'GPU' } });
}

class Kit {
  readonly cluster: ScriptedCluster;
  readonly played: PlayedGang[] = [];
  readonly fleet: Fleet;
  readonly news = { progress: vi.fn(), failed: vi.fn(), recovered: vi.fn(), change: vi.fn() };

  readonly configs: readonly ModelConfig[];

  constructor(kind: 'own' | 'head', ...configs: readonly ModelConfig[]) {
    this.configs = configs;
    this.cluster = new ScriptedCluster(kind);
    const nowMs = (): number => 0;
    const models = configs.map((of): BuiltModel => {
      const gangs = Array.from({ length: of.dataParallel }, () => {
        const played = new PlayedGang();
        disposals.push(() => played[Symbol.dispose]());
        this.played.push(played);
        return new PlacedGang(played.gang);
      });
      const replicas = gangs.map((gang, at) => new Replica(`${of.model}/${at}`, gang, () => []));
      const service = new ModelService({ names: of.servedNames, created: 0, maxQueue: 9, nowMs }, replicas);
      const launcher = {
        prepare() {},
        launch: () => Promise.reject(new Error('played')),
        async [Symbol.asyncDispose]() {},
      };
      const control = controlModel(
        of,
        gangs,
        replicas.map(({ id }) => id),
        SILENT,
        new BucketAdapters(new AdapterStore('/nowhere'), { timeoutMs: null, tries: 1 }),
      ).controlled(service);
      return { config: of, gangs, service, launcher, control, trainer: null };
    });
    this.fleet = new Fleet(models, SILENT, nowMs, this.news);
  }

  async place(): Promise<void> {
    const { cluster } = this;
    const source = { cluster, sole: true, nodes: null, devices: [], leftOut: [] };
    const { models, namespace } = await groupsOf({ models: this.configs, trained: [] }, source);
    this.fleet.place(models, { source, namespace });
    await turn();
  }

  group(name: string): ScriptedGroup {
    const found = this.cluster.groups.find(({ spec }) => spec.name === name);
    if (found === undefined) throw new Error(`no group ${name}`);
    return found;
  }

  /** Everything that is told to end has ended. */
  async obey(at: number): Promise<void> {
    const { native, gang } = this.played[at] as PlayedGang;
    for (const { pid, alive } of native.processes.spawned) if (alive) native.processes.end(pid, { code: 0 });
    await vi.waitUntil(() => gang.state.at === 'stopped');
  }
}

const PARAMS = { n: 1, prompt: 'x' } as unknown as GenerateParams;
const sink = () => ({ delta: vi.fn(), end: vi.fn(), error: vi.fn() });
const CALLER = { tenant: 't' };

describe('the models of a head', () => {
  it('are fatal together at the start: one group without hope is one too many', async () => {
    const kit = new Kit('own', config('a'), config('b', 2));
    await kit.place();
    expect(kit.cluster.groups.map(({ spec }) => spec.name)).toEqual(['a/0', 'b/0', 'b/1']);
    expect(new Set(kit.cluster.groups.map(({ spec }) => spec.namespace)).size).toBe(1);
    kit.group('a/0').create('n:0');
    kit.group('b/0').create('n:1');
    kit.group('b/1').set({ scheduling: 'NO_RESOURCES', reason: 'none is free' });
    await turn();
    expect(kit.fleet.fatal(false)).toMatchObject({ code: 'INFEASIBLE' });
    expect(kit.fleet.fatal(false)?.message).toContain('b/1');
    expect(kit.fleet.phase(false)).toBe('starting');
    // Later, what is left goes on.
    expect(kit.fleet.fatal(true)).toBeNull();
    const stopped = kit.fleet.stop();
    for (const played of kit.played.slice(0, 2)) played.rank(0).run();
    await stopped;
    await kit.fleet.release();
    expect(kit.cluster.groups.map(({ removed }) => removed)).toEqual([1, 1, 1]);
  });

  it('let requests wait while their group moves, and serve them in the new place', async () => {
    const kit = new Kit('head', config('a'));
    await kit.place();
    const group = kit.group('a/0');
    const [service] = kit.fleet.directory.services as [ModelService];
    expect(service.state).toBe('starting');
    expect(() => service.generate(PARAMS, sink(), CALLER)).toThrow(/starting: phase placement/);
    group.create('n:0');
    await turn();
    const played = kit.played[0] as PlayedGang;
    await played.ready();
    expect(kit.fleet.phase(false)).toBe('ready');
    const running = sink();
    service.generate(PARAMS, running, CALLER);

    group.set({ state: 'RESCHEDULING', scheduling: 'NO_RESOURCES', reason: 'node n is dead' });
    await turn();
    expect(service.state).toBe('restarting');
    expect(kit.fleet.phase(true)).toBe('degraded');
    expect(kit.news.failed).toHaveBeenCalledWith('a', 'placement group a/0 lost a place', null);
    const waiting = sink();
    service.generate(PARAMS, waiting, CALLER);
    await kit.obey(0);
    await vi.waitUntil(() => service.reason?.includes('node n is dead') === true);
    expect(service.describe()).toMatchObject({ progress: { phase: 'placement' } });

    group.create('m:0');
    await vi.waitUntil(() => played.gang.epoch === 2);
    await played.ready();
    await turn();
    // The one that ran had not said a word yet: it comes first. A played rank takes one at a time.
    const opened = () => played.rank(0).frames.flatMap((frame) => (frame.t === 'open' ? [frame.id] : []));
    for (const count of [1, 2]) {
      expect(opened()).toHaveLength(count);
      const id = opened().at(-1) as number;
      played.rank(0).send({ t: 'end', id, value: { prompt_tokens: 1, completion_tokens: 1, cached_tokens: 0 } });
      await turn();
    }
    expect(running.end.mock.invocationCallOrder[0]).toBeLessThan(waiting.end.mock.invocationCallOrder[0] ?? 0);
    expect([running.error, waiting.error].map(({ mock }) => mock.calls)).toEqual([[], []]);
    expect(kit.news.recovered).toHaveBeenCalledTimes(1);
    expect(service.reason).toBeNull();
    service.cut(new TwinkleError('DRAINING', 'over'));
    const stopped = kit.fleet.stop();
    await turn();
    await kit.obey(0);
    await stopped;
  });

  it('fail what waits when the last group is removed, with what happened', async () => {
    const kit = new Kit('head', config('a'));
    await kit.place();
    const group = kit.group('a/0');
    const [service] = kit.fleet.directory.services as [ModelService];
    group.create('n:0');
    await turn();
    await (kit.played[0] as PlayedGang).ready();
    group.set({ state: 'RESCHEDULING' });
    await turn();
    const waiting = sink();
    service.generate(PARAMS, waiting, CALLER);
    await kit.obey(0);
    group.set({ state: 'REMOVED', scheduling: 'REMOVED' });
    await turn();
    expect(waiting.error).toHaveBeenCalledWith(expect.objectContaining({ code: 'GROUP_REMOVED' }));
    expect(service.state).toBe('failed');
    expect(kit.fleet.phase(true)).toBe('failed');
    expect(kit.fleet.fatal(true)).toMatchObject({ code: 'GROUP_REMOVED' });
    await kit.fleet.stop();
  });
});
