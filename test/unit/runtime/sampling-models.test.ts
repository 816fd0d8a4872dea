/** Sampling with adapters that no request can name, beside the names that requests know. */
import { describe, expect, it, vi } from 'vitest';
import type { TwinkleError } from '../../../src/errors.js';
import type { GenerateParams } from '../../../src/protocol/values.js';
import { SamplingModels } from '../../../src/runtime/sampling-models.js';
import { AdaptedInference } from '../../../src/serving/adapted-inference.js';
import { ModelAdapters } from '../../../src/serving/adapters.js';
import { ControlledModel, ServedFleetControl } from '../../../src/serving/fleet-control.js';
import { HiddenAdapters } from '../../../src/serving/hidden-adapters.js';
import { ModelDirectory } from '../../../src/serving/inference.js';
import { ModelService } from '../../../src/serving/model-service.js';
import { ModelWeights } from '../../../src/serving/model-weights.js';
import { OperatorOrders } from '../../../src/serving/operator-orders.js';
import { PreparedGang } from '../../../src/serving/prepared-gang.js';
import { Replica } from '../../../src/serving/replica.js';
import { CARD, loraEngine, PlayedGang, until } from '../serving/played-engine.js';

const SAVED = { name: 'tinker://run/weights/1', folder: '/saved/1' };
const caller = { tenant: 'local' };
const params = { request_id: 'r', n: 1, prompt: {} } as GenerateParams;

function setUp() {
  const refuse = new Map<string, string>();
  const engine = loraEngine(refuse);
  const gang = new PlayedGang('m/0', engine.play);
  const open = () => prepared.replica ?? [];
  const common = { open: () => [open()].flat(), asleep: () => false };
  const adapters = new ModelAdapters({ ...common, models: ['m'], source: null, max: 1 });
  const hidden = new HiddenAdapters(common);
  const orders = new OperatorOrders();
  const prepared: PreparedGang = new PreparedGang(gang, {
    id: 'm/0',
    upkeep: [adapters, hidden, orders],
    opened: () => service.dispatch(),
    problem: vi.fn(),
  });
  const service: ModelService = new ModelService({ names: ['m'], created: 0, maxQueue: 10, nowMs: () => 0 }, [
    new Replica('m/0', prepared, () => []),
  ]);
  const controlled = [
    new ControlledModel({
      names: ['m'],
      card: () => gang.card,
      replicas: () => [prepared.replica],
      adapters,
      hidden,
      orders,
      weights: new ModelWeights({ ...common, segments: { attach: vi.fn(), detach: vi.fn() }, refused: vi.fn() }),
    }),
  ];
  const directory = new ModelDirectory([service]);
  return {
    ...{ gang, engine, refuse },
    sampling: new SamplingModels(directory, controlled),
    inference: new AdaptedInference(directory, controlled),
    control: new ServedFleetControl(controlled),
  };
}

function sink() {
  const heard: string[] = [];
  return {
    heard,
    delta: () => void heard.push('delta'),
    end: () => void heard.push('end'),
    error: (error: TwinkleError) => void heard.push(`${error.code}: ${error.message}`),
  };
}

describe('a generation', () => {
  it('loads its weights on first use and names them to the engine', async () => {
    const { engine, gang, sampling } = setUp();
    const [first, second] = [sink(), sink()];
    sampling.generateWith('m', SAVED, params, first, caller);
    await until(() => first.heard.length > 0);
    sampling.generateWith('m', SAVED, params, second, caller);
    await until(() => second.heard.length > 0);
    expect([first.heard, second.heard]).toEqual([['end'], ['end']]);
    expect(gang.generated).toMatchObject([{ adapter: SAVED.name }, { adapter: SAVED.name }]);
    expect(gang.asked).toHaveLength(1);
    await sampling.replace('m', { ...SAVED, folder: '/saved/2' });
    expect([...engine.loaded]).toEqual([[SAVED.name, '/saved/2']]);
    await sampling.forget('m', SAVED.name);
    expect(engine.loaded.size).toBe(0);
  });

  it('hears in the engine’s words why they cannot be loaded', async () => {
    const { refuse, sampling } = setUp();
    refuse.set(SAVED.name, 'rank 64 is greater than 16');
    const one = sink();
    sampling.generateWith('m', SAVED, params, one, caller);
    await until(() => one.heard.length > 0);
    expect(one.heard).toEqual([expect.stringMatching(/^INVALID_REQUEST: .*rank 64 is greater than 16/)]);
    await expect(sampling.prepare('m', SAVED)).rejects.toThrow('rank 64');
  });

  it('finds what was prepared', async () => {
    const { gang, sampling } = setUp();
    await sampling.prepare('m', SAVED);
    expect(gang.asked).toHaveLength(1);
    const one = sink();
    sampling.generateWith('m', SAVED, params, one, caller);
    await until(() => one.heard.includes('end'));
    expect(gang.asked).toHaveLength(1);
  });
});

describe('requests', () => {
  it('can neither name what is hidden nor see it', async () => {
    const { control, engine, inference, sampling } = setUp();
    await sampling.prepare('m', SAVED);
    expect(inference.models()[0]).not.toHaveProperty('adapters');
    for (const name of [SAVED.name, `m:${SAVED.name}`]) {
      expect(() => inference.find(name)).toThrow(expect.objectContaining({ code: 'MODEL_NOT_FOUND' }));
      expect(() => inference.generate(name, params, sink(), caller)).toThrow(/does not exist/);
      expect(() => inference.relay(name, {} as never, sink(), caller)).toThrow(/does not exist/);
    }
    await expect(control.unloadAdapter('m', SAVED.name)).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
    for (const inPlace of [true, false]) {
      const theirs = { name: SAVED.name, path: '/theirs', inPlace, is3d: null };
      await expect(control.loadAdapter('m', theirs)).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
    }
    expect([...engine.loaded]).toEqual([[SAVED.name, SAVED.folder]]);
  });

  it('have all places of named adapters for themselves', async () => {
    const { control, engine, inference, sampling } = setUp();
    await sampling.prepare('m', SAVED);
    await control.loadAdapter('m', { name: 'sql', path: '/sql', inPlace: false, is3d: null });
    expect([...engine.loaded.keys()]).toEqual([SAVED.name, 'sql']);
    expect(inference.models()[0]?.adapters).toMatchObject([{ name: 'sql', id: 1 }]);
  });
});

it('says whether a model takes any, and refuses where it does not', async () => {
  const { gang, sampling } = setUp();
  expect(sampling.adapts('m')).toBe(true);
  gang.card = null;
  expect(sampling.adapts('m')).toBeNull();
  for (const engine of ['vllm', 'other']) {
    gang.card = { ...CARD, engine, adapters: false };
    expect(sampling.adapts('m')).toBe(false);
    expect(() => sampling.generateWith('m', SAVED, params, sink(), caller)).toThrow(
      expect.objectContaining({
        code: 'UNSUPPORTED_PARAMETER',
        message: expect.stringContaining(engine === 'vllm' ? '--enable-lora' : 'engine other'),
      }),
    );
  }
  expect(sampling.adapts('x')).toBe(false);
  await expect(sampling.forget('x', SAVED.name)).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
});
