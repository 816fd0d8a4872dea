import { describe, expect, test } from 'vitest';
import type { ModelPlacement } from '../../../src/config/types.js';
import { fakeDeviceReport } from '../../../src/native/fake-devices.js';
import { compile, gpus, type Wish } from './support.js';

const placement = async (flags: Record<string, unknown>, wish: Wish = {}): Promise<ModelPlacement | undefined> =>
  (await compile({ ...wish, flags })).config.models[0]?.placement;

const json = JSON.stringify;

describe('strategy', () => {
  test('PACK, unless another one is written', async () => {
    expect(await placement({})).toMatchObject({ strategy: 'PACK' });
    expect(await placement({ placement: 'SPREAD' })).toMatchObject({ strategy: 'SPREAD' });
    const config = json({ bundle_per_worker: { CPU: 1 }, strategy: 'STRICT_SPREAD' });
    expect(await placement({ 'placement-group-config': config })).toMatchObject({ strategy: 'STRICT_SPREAD' });
  });

  test.each([
    ['replica', undefined, 'STRICT_PACK', null],
    ['replica', 'STRICT_PACK', 'STRICT_PACK', null],
    [
      'replica',
      'SPREAD',
      'STRICT_PACK',
      '`--placement`: STRICT_PACK instead of SPREAD with -dp 2: each replica of data parallelism stays on one node',
    ],
    ['gang', undefined, 'PACK', null],
    [
      'gang',
      'STRICT_SPREAD',
      'PACK',
      '`--placement`: PACK instead of STRICT_SPREAD with -dp 2: one group holds all replicas and packs them',
    ],
  ])('data parallelism as %s with %s is %s', async (form, written, strategy, warning) => {
    const { config, warnings } = await compile({
      flags: {
        'data-parallel-size': '2',
        'data-parallel-placement': form,
        ...(written === undefined ? {} : { placement: written }),
      },
    });
    expect(config.models[0]?.placement).toMatchObject({ strategy, dataParallel: form });
    expect(warnings).toEqual(warning === null ? [] : [warning]);
  });

  test('a strategy of the bundles is overridden by data parallelism too', async () => {
    const { warnings } = await compile({
      flags: {
        'data-parallel-size': '2',
        'placement-group-config': json({ bundles: [{ CPU: 1 }], strategy: 'SPREAD' }),
      },
    });
    expect(warnings).toEqual([expect.stringContaining('`--placement-group-config`: STRICT_PACK instead of SPREAD')]);
  });
});

describe('bundles', () => {
  test('bundle_per_worker is taken for each rank; zeros are nothing', async () => {
    const config = json({ bundle_per_worker: { GPU: 1, CPU: 0, memory: 5 } });
    const found = await placement({
      'tensor-parallel-size': '2',
      'pipeline-parallel-size': '2',
      'placement-group-config': config,
    });
    expect(found?.bundles).toEqual(new Array(4).fill({ GPU: 1, memory: 5 }));
    expect(found?.accelerator).toBe('GPU');
  });

  test('from YAML and from code it is an object; from the environment JSON', async () => {
    const bundles = [{ NPU: 0.5 }];
    const yaml = 'placement_group_config:\n  bundles: [{NPU: 0.5}]\n';
    expect(await placement({}, { yaml })).toMatchObject({ bundles, accelerator: 'NPU' });
    expect(await placement({ 'placement-group-config': { bundles } })).toMatchObject({ bundles });
    const env = { TWINKLE_PLACEMENT_GROUP_CONFIG: json({ bundles }) };
    expect(await placement({}, { env })).toMatchObject({ bundles });
  });

  const wrong: [string, Record<string, unknown>, string][] = [
    ['no JSON', { 'placement-group-config': '{bundles}' }, 'expected an object'],
    ['a list', { 'placement-group-config': '[{"GPU": 1}]' }, 'expected an object'],
    ['an unknown key', { 'placement-group-config': json({ bundels: [] }) }, 'did you mean `bundles`?'],
    ['neither form', { 'placement-group-config': json({ strategy: 'PACK' }) }, 'exactly one of bundles'],
    [
      'both forms',
      { 'placement-group-config': json({ bundles: [{ GPU: 1 }], bundle_per_worker: { GPU: 1 } }) },
      'exactly one of bundles',
    ],
    ['no bundles', { 'placement-group-config': json({ bundles: [] }) }, 'a list of objects in bundles'],
    ['a bundle of nothing', { 'placement-group-config': json({ bundles: [{ GPU: 0 }] }) }, 'nothing in bundles[0]'],
    ['a negative amount', { 'placement-group-config': json({ bundles: [{ GPU: -1 }] }) }, 'a number of at least 0'],
    ['an amount as text', { 'placement-group-config': json({ bundles: [{ GPU: '1' }] }) }, 'a number of at least 0'],
    ['two devices in one', { 'placement-group-config': json({ bundles: [{ GPU: 2 }] }) }, 'more than one device'],
    [
      'two kinds in one',
      { 'placement-group-config': json({ bundles: [{ GPU: 1, NPU: 1 }] }) },
      'more than one device in bundles[0]',
    ],
    ['two kinds', { 'placement-group-config': json({ bundles: [{ GPU: 1 }, { NPU: 1 }] }) }, 'mixes GPUs and NPUs'],
    [
      'too few',
      { 'placement-group-config': json({ bundles: [{ GPU: 1 }, { CPU: 1 }] }), 'tensor-parallel-size': '2' },
      'has 1 bundle with a GPU for 2 ranks',
    ],
    [
      'a strategy that is none',
      { 'placement-group-config': json({ bundles: [{ GPU: 1 }], strategy: 'LOOSE' }) },
      'write one of PACK, SPREAD, STRICT_PACK, STRICT_SPREAD',
    ],
    [
      'two strategies',
      { 'placement-group-config': json({ bundles: [{ GPU: 1 }], strategy: 'SPREAD' }), placement: 'PACK' },
      '`--placement` is PACK but `--placement-group-config` says SPREAD',
    ],
    [
      'devices and --cpu',
      { 'placement-group-config': json({ bundles: [{ GPU: 1 }] }), cpu: true },
      '`--cpu` is set but `--placement-group-config` asks for GPUs',
    ],
    [
      'other devices than named',
      { 'placement-group-config': json({ bundles: [{ NPU: 1 }] }), gpus: '0' },
      '`--gpus` names GPUs but `--placement-group-config` asks for NPUs',
    ],
    ['a type and --cpu', { 'accelerator-type': 'L4', cpu: true }, '`--cpu` is set but `--accelerator-type` asks'],
    ['a type with a colon', { 'accelerator-type': 'a:b' }, 'a type such as H100'],
    ['CPUs below zero', { 'replica-cpus': '-1' }, 'expected a number from 0'],
    ['CPUs that are none', { 'replica-cpus': Number.NaN }, 'expected a number from 0'],
    ['half a CPU of the machine', { 'num-cpus': '1.5' }, 'expected a whole number'],
    ['an unknown address', { address: '10.0.0.1' }, 'one of auto, local'],
    [
      'named devices and the head',
      { address: 'auto', gpus: '0' },
      '`--address` asks the head that runs here but `--gpus` says what this process offers',
    ],
  ];
  test.each(wrong)('refuses %s', async (_, flags, message) => {
    await expect(compile({ flags, report: gpus(4) })).rejects.toThrow(message);
  });

  test('an engine that knows no NPUs is given none, however they are asked for', async () => {
    const config = json({ bundles: [{ NPU: 1 }] });
    for (const flags of [{ 'placement-group-config': config }, { 'accelerator-type': 'Ascend910B4' }]) {
      await expect(compile({ engine: null, flags: { model: 'a/b', ...flags } })).rejects.toThrow(
        'asks for NPUs; that engine runs on CPU and CUDA',
      );
    }
  });
});

describe('what ranks run on', () => {
  test('a type asks for devices, also with the mock engine', async () => {
    const { config } = await compile({ flags: { 'accelerator-type': 'L4' }, report: gpus(2) });
    expect(config.models[0]?.placement).toMatchObject({ accelerator: 'GPU', acceleratorType: 'L4' });
    expect(config.node.devices).toHaveLength(2);
    const npu = await compile({ flags: { 'accelerator-type': 'Ascend910B4' }, report: fakeDeviceReport('npu:2') });
    expect(npu.config.models[0]?.placement.accelerator).toBe('NPU');
    expect(npu.config.node.devices.map(({ uuid }) => uuid)).toEqual(['NPU-fake-0000', 'NPU-fake-0001']);
  });

  test('another cluster: its devices count, and this machine is not asked', async () => {
    const wish = { engine: null, flags: { model: 'a/b' }, report: gpus(1) };
    const some = await compile({ ...wish, cluster: new Set(['GPU'] as const) });
    expect(some.config.models[0]?.placement.accelerator).toBe('GPU');
    const none = await compile({ ...wish, cluster: new Set<'GPU'>() });
    expect(none.config.models[0]?.placement.accelerator).toBeNull();
    expect([some.deviceCalls, none.deviceCalls]).toEqual([0, 0]);
  });
});

describe('who gives out devices', () => {
  test.each([
    [{}, null],
    [{ address: 'auto' }, 'auto'],
    [{ address: 'local' }, 'local'],
    [{ gpus: '0' }, 'local'],
    [{ 'num-cpus': '4' }, 'local'],
    [{ address: 'local', gpus: '0' }, 'local'],
  ])('%j: %s', async (flags, address) => {
    expect((await compile({ flags, report: gpus(1) })).config.address).toBe(address);
  });
});
