import { expect, it, vi } from 'vitest';
import type { ModelConfig, TrainingConfig } from '../../../src/config/types.js';
import { type Logger, SILENT } from '../../../src/observability/logger.js';
import type { BuiltModel } from '../../../src/runtime/build-model.js';
import type { DeviceTurns } from '../../../src/runtime/device-turns.js';
import type { PlacedTrainer } from '../../../src/runtime/placed-trainer.js';
import { TrainerGangs } from '../../../src/runtime/trainer-gangs.js';
import type { Gang, GangEvents } from '../../../src/supervisor/gang.js';
import { type Deferred, deferred } from '../../../src/util/deferred.js';
import { Emitter } from '../../../src/util/emitter.js';

/** Ranks that are up at once, and end when the test says so. */
class FakeGang {
  readonly spec = { id: 'g', worldSize: 1 };
  readonly events = new Emitter<GangEvents>();
  readonly lead = {};
  state: { at: string } = { at: 'idle' };
  epoch = 0;
  ended: Deferred<void> = deferred();
  readonly told: string[] = [];

  session() {
    return { channel: { call: async (method: string) => this.told.push(method) } };
  }

  start(): void {
    if (!['idle', 'failed', 'stopped'].includes(this.state.at)) return;
    this.epoch += 1;
    this.state = { at: 'ready' };
  }

  async stop(): Promise<void> {
    this.state = { at: 'teardown' };
    await this.ended.promise;
    this.ended = deferred();
    this.state = { at: 'stopped' };
  }
}

const CONFIG: TrainingConfig = {
  devices: null,
  sleepWhileTraining: false,
  shard: false,
  full: false,
  ranks: null,
  maxRuns: 1,
  idleMs: 1,
  maxLifeMs: null,
  maxCheckpointBytes: null,
  checkpointStore: null,
};

let gang: FakeGang;
function gangs(
  devices: TrainingConfig['devices'] = null,
  more: Partial<BuiltModel> = {},
  log: Logger = SILENT,
): TrainerGangs {
  gang = new FakeGang();
  const trainer = (): Gang => gang as unknown as Gang;
  const model = {
    config: { servedNames: ['demo'], model: '/demo' },
    gangs: [],
    trainer,
    ...more,
  } as unknown as BuiltModel;
  return new TrainerGangs([model], { ...CONFIG, devices }, log);
}

it('ends ranks that nobody needs, and starts them again for the next, once they are gone', async () => {
  const host = gangs();
  host.close('demo'); // none were started
  const first = await host.open('demo');
  host.close('demo');
  expect([gang.state.at, first.gone]).toEqual(['teardown', false]);
  const again = host.open('demo');
  gang.ended.resolve();
  const second = await again;
  expect([gang.state.at, gang.epoch, first.gone, second.gone]).toEqual(['ready', 2, true, false]);
});

it('refuses what the model’s engines could never sample from', () => {
  const config = { servedNames: ['demo'], model: '/demo', engine: 'vllm', engineArgs: { max_lora_rank: 8 } };
  const host = new TrainerGangs([{ config } as unknown as BuiltModel], CONFIG, SILENT);
  host.checkRun('demo', { rank: 8, unembed: true });
  expect(() => host.checkRun('demo', { rank: 9, unembed: true })).toThrow('--max-lora-rank 16');
});

it('leaves ranks on devices of their own', async () => {
  const host = gangs([{ kind: 'gpu', index: 0, uuid: 'GPU-0' }]);
  await host.open('demo');
  host.close('demo');
  expect(gang.state.at).toBe('ready');
});

it('starts ranks in their turn on devices that they share, says what waits for it, and has memory given back', async () => {
  const waits = deferred<void>();
  const turns = {
    phase: 'sampling',
    waitingToTrain: 1,
    release: async () => {},
    train: async <T>(job: () => Promise<T>): Promise<T> => {
      await waits.promise;
      return await job();
    },
  };
  const host = gangs(null, { turns: turns as unknown as DeviceTurns });
  expect(host.paused('demo')).toContain('the replicas of demo have the devices now');
  expect(host.paused('another')).toBeNull();
  const opened = host.open('demo');
  await Promise.resolve();
  expect(gang.state.at).toBe('idle');
  waits.resolve();
  await opened;
  expect(gang.state.at).toBe('ready');
  await turns.release();
  expect(gang.told).toEqual(['train_release']);
  turns.phase = 'training';
  expect(host.paused('demo')).toBeNull();
});

it('says once what engine vllm leaves to ranks on the same GPUs, where it leaves little', () => {
  const info = vi.fn();
  const say = (engineArgs: object, change: object = {}): unknown[] => {
    info.mockClear();
    const placement = { accelerator: 'GPU' };
    const config = {
      servedNames: ['demo'],
      engine: 'vllm',
      engineArgs,
      placement,
      ...change,
    } as unknown as ModelConfig;
    gangs(null, { config }, { ...SILENT, info }).startOwn();
    return info.mock.calls.map(([fields]) => fields);
  };
  expect(say({})).toEqual([{ model: 'demo', gpu_memory_utilization: 0.9, advice: expect.stringContaining('--sleep') }]);
  expect(say({ gpu_memory_utilization: 0.95 })).toMatchObject([{ gpu_memory_utilization: 0.95 }]);
  expect(say({ gpu_memory_utilization: 0.5 })).toEqual([]);
  expect(say({}, { engine: 'transformers' })).toEqual([]);
  expect(say({}, { placement: { accelerator: null } })).toEqual([]);
});

/** Ranks in a group of their own. */
function placed(name: string, change: object = {}): PlacedTrainer {
  const trainer = { gone: false };
  return {
    names: [name],
    folder: `/trained/${name}`,
    limits: { maxRuns: 3, full: false, maxLifeMs: null },
    gang: { card: { max_model_len: 64 }, epoch: 1, pids: [7], places: [], restarts: 0, state: { at: 'ready' } },
    trainer,
    open: async () => trainer,
    close: vi.fn(),
    paused: () => `${name} waits`,
    stop: vi.fn(async () => {}),
    ...change,
  } as unknown as PlacedTrainer;
}
const served = (name: string): BuiltModel =>
  ({ config: { servedNames: [name], model: `/served/${name}` }, gangs: [], trainer: null }) as unknown as BuiltModel;

it('has ranks in groups of their own train models that are served, and others', async () => {
  const [both, alone] = [placed('both'), placed('alone')];
  const host = new TrainerGangs([served('both'), served('only')], CONFIG, SILENT, [both, alone]);
  expect(['both', 'alone', 'only', 'none'].map((name) => host.trains(name))).toEqual([true, true, false, false]);
  expect(host.trainedOnly()).toEqual([{ name: 'alone', maxModelLen: 64 }]);
  expect(['both', 'alone', 'only', 'none'].map((name) => host.folder(name))).toEqual([
    '/trained/both',
    '/trained/alone',
    '/served/only',
    'none',
  ]);
  expect([host.limits('alone')?.maxRuns, host.limits('only')]).toEqual([3, null]);
  expect([host.paused('alone'), host.paused('only')]).toEqual(['alone waits', null]);
  expect(await host.open('alone')).toBe((alone as unknown as { trainer: unknown }).trainer);
  await expect(host.open('only')).rejects.toMatchObject({ code: 'UNSUPPORTED_PARAMETER' });
  host.checkRun('alone', { rank: 9999, unembed: true }); // nothing samples from it
  host.close('alone');
  expect(alone.close).toHaveBeenCalledOnce();
  expect(both.close).not.toHaveBeenCalled();
  const run = { model: 'alone', state: 'ready' } as never;
  expect(host.status([run]).map(({ model, runs, state }) => [model, runs, state])).toEqual([
    ['both', 0, 'ready'],
    ['alone', 1, 'ready'],
  ]);
  await host.stop();
  expect([both.stop, alone.stop].map((stop) => vi.mocked(stop).mock.calls.length)).toEqual([1, 1]);
});

it('says no length of a model whose ranks are not up', () => {
  const host = new TrainerGangs([], CONFIG, SILENT, [placed('alone', { gang: { card: null } })]);
  expect(host.trainedOnly()).toEqual([{ name: 'alone', maxModelLen: null }]);
});
