import { expect, it, vi } from 'vitest';
import type { ModelConfig, TrainingConfig } from '../../../src/config/types.js';
import { type Logger, SILENT } from '../../../src/observability/logger.js';
import type { BuiltModel } from '../../../src/runtime/build-model.js';
import type { DeviceTurns } from '../../../src/runtime/device-turns.js';
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
