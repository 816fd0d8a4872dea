/** Names of adapters as names of models, over a real model service. */
import { describe, expect, it, vi } from 'vitest';
import type { TwinkleError } from '../../../src/errors.js';
import type { GenerateParams, HttpParams } from '../../../src/protocol/values.js';
import { AdaptedInference } from '../../../src/serving/adapted-inference.js';
import { lasting } from '../../../src/serving/adapter-source.js';
import { ModelAdapters } from '../../../src/serving/adapters.js';
import { ControlledModel, ServedFleetControl } from '../../../src/serving/fleet-control.js';
import { HiddenAdapters } from '../../../src/serving/hidden-adapters.js';
import { ModelDirectory } from '../../../src/serving/inference.js';
import { ModelService } from '../../../src/serving/model-service.js';
import { ModelWeights } from '../../../src/serving/model-weights.js';
import { OperatorOrders } from '../../../src/serving/operator-orders.js';
import { PreparedGang } from '../../../src/serving/prepared-gang.js';
import { Replica } from '../../../src/serving/replica.js';
import type { Command } from '../../../src/serving/types/control.js';
import { CARD, loraEngine, type Play, PlayedGang, until } from './played-engine.js';

const caller = { tenant: 'local' };
const SOURCE = {
  has: (name: string) => name.startsWith('dyn') || name === 'wrong',
  fetch: async (name: string) => lasting(`/dynamic/${name}`),
};

function setUp({ engine, replicas = 1 }: { engine?: Play; replicas?: number } = {}) {
  const refuse = new Map([['wrong', 'wrong base model']]);
  const gangs = Array.from(
    { length: replicas },
    (_, at) => new PlayedGang(`m/${at}`, engine ?? loraEngine(refuse).play),
  );
  const orders = new OperatorOrders();
  const open = () => prepared.map(({ replica }) => replica);
  const adapters = new ModelAdapters({
    models: ['m', 'alias'],
    source: SOURCE,
    max: 3,
    open: () => open().flatMap((replica) => replica ?? []),
    asleep: () => orders.asleep,
  });
  const prepared = gangs.map(
    (gang): PreparedGang =>
      new PreparedGang(gang, {
        id: gang.id,
        upkeep: [adapters, orders],
        opened: () => service.dispatch(),
        problem: vi.fn(),
      }),
  );
  const service: ModelService = new ModelService(
    { names: ['m', 'alias'], created: 0, maxQueue: 10, nowMs: () => 0 },
    prepared.map((gang) => new Replica(gang.options.id, gang, () => [])),
  );
  const controlled = [
    new ControlledModel({
      names: ['m', 'alias'],
      card: () => gangs[0]?.card ?? null,
      replicas: open,
      adapters,
      hidden: new HiddenAdapters({ open: () => [] }),
      orders,
      weights: new ModelWeights({
        open: () => open().flatMap((replica) => replica ?? []),
        asleep: () => orders.asleep,
        segments: { attach: vi.fn(), detach: vi.fn() },
        refused: vi.fn(),
      }),
    }),
  ];
  const inference = new AdaptedInference(new ModelDirectory([service]), controlled);
  return { gangs, adapters, inference, control: new ServedFleetControl(controlled), prepared };
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

const params = (n = 1): GenerateParams => ({ request_id: 'r', n, prompt: {} }) as GenerateParams;
const http = (body: string): HttpParams => ({
  request_id: 'r',
  method: 'POST',
  path: '/v1/responses',
  query: '',
  headers: [],
  body,
});
const load = (name: string) => ({ name, path: `/given/${name}`, inPlace: false, is3d: null });

describe('names', () => {
  it('mean models, loaded adapters, and adapters that would load', async () => {
    const { inference, control } = setUp();
    await control.loadAdapter(null, load('sql'));
    expect(inference.find(null)).toMatchObject({ names: ['m', 'alias'], adapters: [{ name: 'sql' }] });
    expect(inference.find('alias').names).toEqual(['m', 'alias']);
    for (const name of ['sql', 'm:sql', 'alias:sql', 'm:dyn1', 'dyn1']) {
      expect(inference.find(name)).toMatchObject({ names: [name], parent: 'm', state: 'ready' });
    }
    for (const name of ['other', 'm:other', 'm:', ':sql', 'x:sql', 'm:../dyn']) {
      expect(() => inference.find(name)).toThrow(expect.objectContaining({ code: 'MODEL_NOT_FOUND' }));
    }
    expect(inference.models()[0]?.adapters).toMatchObject([{ name: 'sql', path: '/given/sql' }]);
  });

  it('mean nothing to an engine without adapters', async () => {
    const { inference, control, gangs } = setUp();
    for (const gang of gangs) gang.card = { ...CARD, adapters: false };
    expect(() => inference.find('dyn1')).toThrow(expect.objectContaining({ code: 'MODEL_NOT_FOUND' }));
    await expect(control.loadAdapter('m', load('sql'))).rejects.toMatchObject({
      code: 'ROUTE_NOT_FOUND',
      status: 404,
      message: expect.stringContaining('--enable-lora'),
    });
  });
});

describe('a generation', () => {
  it('of the base model names no adapter', async () => {
    const { inference, gangs } = setUp();
    const one = sink();
    inference.generate('alias', params(), one, caller);
    await until(() => one.heard.length > 0);
    expect(gangs[0]?.generated).toEqual([params()]);
    expect(one.heard).toEqual(['end']);
  });

  it('loads its adapter on first use, holds it while it runs, and gives it back', async () => {
    const { adapters, inference, gangs } = setUp();
    const one = sink();
    const two = sink();
    inference.generate('m:dyn1', params(), one, caller);
    inference.generate('dyn1', params(), two, caller);
    expect(one.heard).toEqual([]);
    await until(() => one.heard.length + two.heard.length === 2);
    expect(gangs[0]?.asked).toEqual(['POST /v1/load_lora_adapter {"lora_name":"dyn1","lora_path":"/dynamic/dyn1"}']);
    expect(gangs[0]?.generated).toMatchObject([{ adapter: 'dyn1' }, { adapter: 'dyn1' }]);
    expect(adapters.list()).toMatchObject([{ name: 'dyn1', inUse: 0 }]);
    const three = sink();
    inference.generate('dyn1', params(), three, caller);
    expect(adapters.list()).toMatchObject([{ inUse: 1 }]);
    await until(() => three.heard.length > 0);
    expect(adapters.list()).toMatchObject([{ inUse: 0 }]);
  });

  it('hears as its error what keeps the adapter from loading', async () => {
    const { inference, gangs } = setUp();
    const one = sink();
    inference.generate('m:wrong', params(), one, caller);
    await until(() => one.heard.length > 0);
    expect(one.heard).toEqual([expect.stringMatching(/^INVALID_REQUEST: .*wrong base model/)]);
    expect(gangs[0]?.generated).toEqual([]);
  });

  it('that is withdrawn, before or after its adapter is there, gives it back and hears nothing', async () => {
    const { adapters, inference, gangs } = setUp();
    const early = sink();
    const generation = inference.generate('dyn1', params(), early, caller);
    generation.pause(true);
    generation.abort();
    await until(() => adapters.list().length === 1);
    const later = sink();
    const second = inference.generate('dyn1', params(), later, caller);
    second.abort();
    second.abort();
    await until(() => gangs[0]?.lead?.openStreams === 0);
    expect([early.heard, later.heard]).toEqual([[], []]);
    expect(adapters.list()).toMatchObject([{ inUse: 0 }]);
  });

  it('that is refused gives its adapter back', async () => {
    const { adapters, control, gangs, inference } = setUp();
    await control.loadAdapter(null, load('sql'));
    if (gangs[0] !== undefined) gangs[0].state = { at: 'stopped' } as never;
    expect(() => inference.generate('sql', params(), sink(), caller)).toThrow(
      expect.objectContaining({ code: 'NOT_READY' }),
    );
    expect(adapters.list()).toMatchObject([{ inUse: 0 }]);
  });

  it('waits through a restart until the replica has its adapter again', async () => {
    const { control, gangs, inference, prepared } = setUp();
    await control.loadAdapter(null, load('sql'));
    gangs[0]?.crash();
    const one = sink();
    inference.generate('sql', params(), one, caller);
    const engine = loraEngine();
    if (gangs[0] !== undefined) gangs[0].play = engine.play;
    gangs[0]?.start();
    expect(prepared[0]?.lead).toBeNull();
    await until(() => one.heard.length > 0);
    expect(one.heard).toEqual(['end']);
    expect([...engine.loaded.keys()]).toEqual(['sql']);
  });
});

it('a relayed request names the adapter as the engine does, and nothing else changes', async () => {
  const { control, gangs, inference } = setUp();
  await control.loadAdapter(null, load('sql'));
  const bodies: string[] = [];
  if (gangs[0] !== undefined) {
    gangs[0].play = ({ body }) => {
      bodies.push(body);
      return { status: 200, body: 'done' };
    };
  }
  for (const name of ['m:sql', 'sql', 'm', null]) {
    const one = sink();
    inference.relay(name, http(`{"seed":12345678901234567890,"model":${JSON.stringify(name)}}`), one, caller);
    await until(() => one.heard.includes('end'));
  }
  expect(bodies).toEqual(
    ['"sql"', '"sql"', '"m"', 'null'].map((name) => `{"seed":12345678901234567890,"model":${name}}`),
  );
});

describe('control', () => {
  const SLEEP: Command = { method: 'POST', path: '/sleep', query: '', body: '' };

  it('operates on all replicas, and the model says so', async () => {
    const { control, gangs, inference } = setUp({ replicas: 2, engine: () => ({ status: 200, body: '{}' }) });
    expect(await control.operate(null, SLEEP)).toMatchObject([{ replica: 'm/0' }, { replica: 'm/1' }]);
    expect(inference.models()[0]?.held).toBe('sleeping');
    await expect(control.loadAdapter(null, load('sql'))).rejects.toMatchObject({ code: 'NOT_READY' });
    for (const gang of gangs) gang.crash();
    await expect(control.operate('m', SLEEP)).rejects.toMatchObject({ code: 'NOT_READY' });
    await expect(control.operate('other', SLEEP)).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
  });

  it('needs a model’s name where there are several, and an engine with routes', async () => {
    const { control, gangs } = setUp();
    const two = new ServedFleetControl([...control.controlled, ...setUp().control.controlled]);
    await expect(two.operate(null, SLEEP)).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND', param: 'model' });
    for (const gang of gangs) gang.card = { ...CARD, engine: 'mock', routes: [] };
    await expect(control.operate(null, SLEEP)).rejects.toThrow(/engine mock has no \/sleep/);
  });

  it('collects metrics by place, leaves out who is late, and who has none', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { control, gangs } = setUp({ replicas: 5, engine: () => ({ status: 200, body: 'up 1\n' }) });
    const [, gone, silent, without] = gangs;
    gone?.crash();
    if (silent !== undefined) silent.play = () => null;
    if (without !== undefined) without.play = () => ({ status: 404 });
    const pages = control.enginePages();
    await until(
      () => gangs.filter(({ lead }) => lead?.openStreams === 0).length === 3 && (silent?.asked.length ?? 0) > 0,
    );
    vi.advanceTimersByTime(1000);
    expect(await pages).toEqual({
      pages: [0, 4].map((index) => ({ model: 'm', index, text: 'up 1\n' })),
      missed: [{ model: 'm', replica: 'm/2' }],
    });
    vi.useRealTimers();
    for (const gang of gangs) gang.card = { ...CARD, routes: [] };
    expect(await control.enginePages()).toEqual({ pages: [], missed: [] });
  });
});
