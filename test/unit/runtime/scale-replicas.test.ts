import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Autoscaling, ModelConfig } from '../../../src/config/types.js';
import { TwinkleError } from '../../../src/errors.js';
import { SILENT } from '../../../src/observability/logger.js';
import type { GenerateParams } from '../../../src/protocol/values.js';
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

const NO_BUCKETS = new BucketAdapters(new AdapterStore('/nowhere'), { timeoutMs: null, tries: 1 });

const disposals: (() => void)[] = [];
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
});
afterEach(() => {
  vi.useRealTimers();
  for (const dispose of disposals.splice(0).reverse()) dispose();
});

const POLICY: Autoscaling = {
  min: 1,
  max: 3,
  initial: 1,
  targetOngoing: 1,
  upscaleDelayMs: 200,
  downscaleDelayMs: 400,
  downscaleToZeroDelayMs: 400,
  upscalingFactor: 1,
  downscalingFactor: 1,
  lookBackMs: 100,
  aggregation: 'mean',
};

const PARAMS = { n: 1, prompt: { text: 'x' } } as unknown as GenerateParams;
const CALLER = { tenant: 't' };

/** One model that scales; the test plays cluster and ranks. */
class Kit {
  readonly cluster = new ScriptedCluster('own');
  readonly played: PlayedGang[];
  readonly fleet: Fleet;
  readonly service: ModelService;
  readonly heard: string[] = [];
  readonly news = { progress: vi.fn(), failed: vi.fn(), recovered: vi.fn(), change: vi.fn() };
  readonly config: ModelConfig;
  #nowMs = 0;

  constructor(change: Partial<Autoscaling> = {}) {
    const autoscaling = { ...POLICY, ...change };
    const config = modelConfig({
      model: 'a',
      dataParallel: autoscaling.max,
      autoscaling,
      placement: { accelerator: 'GPU' },
    });
    this.config = config;
    this.played = Array.from({ length: autoscaling.max }, () => new PlayedGang());
    disposals.push(() => {
      for (const played of this.played) played[Symbol.dispose]();
    });
    const gangs = this.played.map(({ gang }) => new PlacedGang(gang));
    const replicas = gangs.map((gang, at) => new Replica(`a/${at}`, gang, () => []));
    const nowMs = (): number => this.#nowMs;
    const options = { names: ['a'], created: 0, maxQueue: 99, fromZero: autoscaling.min === 0, nowMs };
    this.service = new ModelService(options, replicas);
    const launcher = {
      prepare() {},
      launch: () => Promise.reject(new Error('played')),
      async [Symbol.asyncDispose]() {},
    };
    const ids = replicas.map(({ id }) => id);
    const control = controlModel(config, gangs, ids, SILENT, NO_BUCKETS).controlled(this.service);
    const built = { config, gangs, service: this.service, launcher, control, trainer: null };
    this.fleet = new Fleet([built], SILENT, nowMs, this.news);
  }

  async place(): Promise<void> {
    const { cluster } = this;
    const source = { cluster, sole: true, nodes: null, devices: [], leftOut: [] };
    const { models, namespace } = await groupsOf({ models: [this.config], trained: [] }, source);
    this.fleet.place(models, { source, namespace });
    await turn();
  }

  /** Time passes, and the scaler looks at it. */
  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 100) {
      this.#nowMs += 100;
      vi.advanceTimersByTime(100);
    }
    await turn();
  }

  get groups(): readonly string[] {
    return this.cluster.groups.filter(({ removed }) => removed === 0).map(({ spec }) => spec.name);
  }

  group(at: number): ScriptedGroup {
    const found = this.cluster.groups.findLast(({ spec }) => spec.name === `a/${at}`);
    if (found === undefined) throw new Error(`no group of replica ${at}`);
    return found;
  }

  /** Its group has a place, and its rank is ready. */
  async ready(at: number): Promise<void> {
    this.group(at).create(`n:${at}`);
    await turn();
    await (this.played[at] as PlayedGang).ready();
    await turn();
  }

  ask(name: string): void {
    const sink = {
      delta() {},
      end: () => void this.heard.push(`${name}:end`),
      error: (error: TwinkleError) => void this.heard.push(`${name}:${error.code}`),
    };
    this.service.generate(PARAMS, sink, CALLER);
  }

  /** The oldest request on that replica is done. */
  async finish(at: number): Promise<void> {
    const rank = (this.played[at] as PlayedGang).rank(0);
    const [open] = rank.frames.filter((frame) => frame.t === 'open' && !this.#finished.has(frame));
    if (open?.t !== 'open') throw new Error(`nothing runs on ${at}`);
    this.#finished.add(open);
    rank.send({ t: 'end', id: open.id, value: { prompt_tokens: 1, completion_tokens: 1, cached_tokens: 0 } });
    await turn();
  }
  readonly #finished = new Set<unknown>();

  /** Processes that are told to end have ended. */
  async obey(at: number): Promise<void> {
    const { native, gang } = this.played[at] as PlayedGang;
    for (const { pid, alive } of native.processes.spawned) if (alive) native.processes.end(pid, { code: 0 });
    await vi.waitUntil(() => gang.state.at === 'stopped');
    await turn();
  }

  async close(): Promise<void> {
    this.service.cut(new TwinkleError('DRAINING', 'over'));
    const stopped = this.fleet.stop();
    await turn();
    for (const [at, { gang }] of this.played.entries()) if (gang.state.at === 'teardown') await this.obey(at);
    await stopped;
    await this.fleet.release();
    expect(this.groups).toEqual([]);
  }
}

describe('replicas whose number follows the load', () => {
  it('come one group each when more is asked than they should have, and the model stays ready meanwhile', async () => {
    const kit = new Kit();
    await kit.place();
    expect(kit.groups).toEqual(['a/0']);
    expect(kit.fleet.phase(false)).toBe('starting');
    await kit.ready(0);
    expect(kit.fleet.phase(false)).toBe('ready');
    expect(kit.service.describe()).toMatchObject({ scale: { wanted: 1, min: 1, max: 3 }, replicas: [{ id: 'a/0' }] });
    for (const name of ['x', 'y', 'z']) kit.ask(name);
    await kit.pass(200);
    expect(kit.groups).toEqual(['a/0']); // the wish has not held long enough
    await kit.pass(100);
    expect(kit.groups).toEqual(['a/0', 'a/1', 'a/2']);
    expect(kit.fleet.phase(true)).toBe('ready');
    await kit.ready(2); // whichever comes first
    expect(kit.service.queued).toBe(1);
    await kit.ready(1);
    expect(kit.service.queued).toBe(0);
    for (const at of [0, 1, 2]) await kit.finish(at);
    expect(kit.heard.toSorted()).toEqual(['x:end', 'y:end', 'z:end']);
    await kit.close();
  });

  it('wait for room, say so, and are given up when they are not wanted any more', async () => {
    const kit = new Kit();
    await kit.place();
    await kit.ready(0);
    for (const name of ['x', 'y']) kit.ask(name);
    await kit.pass(300);
    kit.group(1).set({ scheduling: 'NO_RESOURCES', reason: 'no node has a free GPU' });
    await turn();
    expect(kit.fleet.fatal(true)).toBeNull();
    expect(kit.service.describe()).toMatchObject({
      state: 'ready',
      progress: { phase: 'placement', detail: expect.stringContaining('no node has a free GPU') },
      replicas: [{ state: 'ready' }, { id: 'a/1', state: 'starting' }],
    });
    await kit.finish(0);
    await kit.finish(0);
    await kit.pass(600);
    expect(kit.groups).toEqual(['a/0']);
    expect(kit.service.describe()).toMatchObject({ progress: null, scale: { wanted: 1 } });
    await kit.close();
  });

  it('finish what runs before they go, take nothing new, and give their group back when their ranks are gone', async () => {
    const kit = new Kit();
    await kit.place();
    await kit.ready(0);
    for (const name of ['x', 'y']) kit.ask(name);
    await kit.pass(300);
    await kit.ready(1);
    await kit.finish(0);
    await kit.pass(600); // one is enough now: the idle one goes
    expect(kit.service.describe().replicas).toMatchObject([{ id: 'a/1', state: 'ready', inFlight: 1 }]);
    expect(kit.groups).toEqual(['a/0', 'a/1']); // its process has not ended yet
    await kit.obey(0);
    expect(kit.groups).toEqual(['a/1']);
    expect(kit.heard).toEqual(['x:end']);
    await kit.finish(1);
    expect(kit.heard).toEqual(['x:end', 'y:end']);
    await kit.close();
  });

  it('are kept when they are wanted again before they went', async () => {
    const kit = new Kit({ targetOngoing: 2 });
    await kit.place();
    await kit.ready(0);
    for (const name of ['u', 'v', 'w', 'x']) kit.ask(name);
    await kit.pass(300);
    await kit.ready(1);
    await kit.finish(0);
    await kit.finish(0);
    await kit.pass(600);
    // Both are busy, so one retires with work in hand.
    const retiring = kit.service.describe().replicas.findIndex(({ state }) => state === 'draining');
    expect(kit.service.describe().replicas[1 - retiring]?.state).toBe('ready');
    for (const name of ['y', 'z']) kit.ask(name);
    await turn();
    expect(kit.service.queued).toBe(2); // one rank takes one at a time here, and the other takes none
    await kit.pass(400);
    expect(kit.service.describe().replicas.map(({ state }) => state)).toEqual(['ready', 'ready']);
    expect(kit.cluster.groups).toHaveLength(2); // it is the same as before
    expect(kit.played.map(({ gang }) => gang.epoch)).toEqual([1, 1, 0]);
    await kit.close();
  });

  it('go to zero, are ready all the same, and come when somebody waits, calls too', async () => {
    const kit = new Kit({ min: 0, initial: 0 });
    await kit.place();
    expect(kit.groups).toEqual([]);
    expect([kit.fleet.phase(false), kit.service.state]).toEqual(['ready', 'ready']);
    kit.ask('x');
    await turn();
    expect(kit.groups).toEqual(['a/0']);
    kit.ask('y'); // while it starts
    await kit.ready(0);
    await kit.finish(0);
    await kit.finish(0);
    await kit.pass(700);
    await kit.obey(0);
    expect([kit.groups, kit.service.state]).toEqual([[], 'ready']);
    expect(kit.service.describe().replicas).toEqual([]);
    const call = kit.service.call('tokenize', {} as never);
    await turn();
    expect(kit.groups).toEqual(['a/0']);
    await kit.ready(0);
    expect((kit.played[0] as PlayedGang).gang.epoch).toBe(2);
    const rank = (kit.played[0] as PlayedGang).rank(0);
    const asked = rank.frames.find((frame) => frame.t === 'call' && frame.method === 'tokenize') as { id: number };
    rank.send({ t: 'result', id: asked.id, value: { tokens: [] } as never });
    expect(await call).toEqual({ tokens: [] });
    await kit.close();
  });

  it('that cannot be placed at the start are fatal then; requests do not wait for what has failed', async () => {
    const kit = new Kit({ min: 0, initial: 1 });
    await kit.place();
    kit.ask('x');
    kit.group(0).set({ scheduling: 'INFEASIBLE', reason: 'there is no GPU' });
    await turn();
    expect(kit.fleet.fatal(false)).toMatchObject({ code: 'INFEASIBLE' });
    expect(kit.heard).toEqual(['x:INFEASIBLE']);
    await kit.close();
  });
});
