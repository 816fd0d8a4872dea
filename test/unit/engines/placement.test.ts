import { describe, expect, it } from 'vitest';
import type { ModelConfig, ModelPlacement } from '../../../src/config/types.js';
import { type GroupPlan, planGroups } from '../../../src/engines/placement.js';
import { modelConfig } from '../../support/model-config.js';

interface Shape extends Partial<ModelPlacement> {
  readonly tp?: number;
  readonly pp?: number;
  readonly dp?: number;
}

function model({ tp = 1, pp = 1, dp = 1, ...placement }: Shape): ModelConfig {
  return modelConfig({
    model: 'm',
    tensorParallel: tp,
    pipelineParallel: pp,
    dataParallel: dp,
    placement: { accelerator: 'GPU', ...placement },
  });
}

const plan = (shape: Shape, cpus: number | null = null): readonly GroupPlan[] =>
  planGroups([model(shape)], cpus)[0] ?? [];
const bundles = (shape: Shape, cpus: number | null = null) => plan(shape, cpus).map((group) => group.bundles);
const L4 = { 'accelerator_type:L4': 0.001 };

describe('the groups of Ray Serve LLM', () => {
  it('TP=2: the replica’s CPU in bundle 0, the type in each', () => {
    expect(plan({ tp: 2, acceleratorType: 'L4' })).toEqual([
      {
        name: 'm/0',
        strategy: 'PACK',
        bundles: [
          { GPU: 1, CPU: 1, ...L4 },
          { GPU: 1, ...L4 },
        ],
        tensorParallel: 2,
        accelerator: 'GPU',
        replicas: [0],
        worldSize: 2,
      },
    ]);
    expect(bundles({ tp: 2 })).toEqual([[{ GPU: 1, CPU: 1 }, { GPU: 1 }]]);
  });

  it('PP=2: as many bundles, no neighbours that want links', () => {
    const [group] = plan({ pp: 2, acceleratorType: 'L4' });
    expect(group).toMatchObject({ tensorParallel: 1, worldSize: 2 });
    expect(group?.bundles).toEqual([
      { GPU: 1, CPU: 1, ...L4 },
      { GPU: 1, ...L4 },
    ]);
  });

  it('TP=2 × PP=2: four bundles, two of which work closely', () => {
    const [group] = plan({ tp: 2, pp: 2, acceleratorType: 'L4' });
    expect(group).toMatchObject({ tensorParallel: 2, worldSize: 4 });
    expect(group?.bundles).toEqual([
      { GPU: 1, CPU: 1, ...L4 },
      { GPU: 1, ...L4 },
      { GPU: 1, ...L4 },
      { GPU: 1, ...L4 },
    ]);
  });

  it('four bundles SPREAD: as written, with CPU and type merged in', () => {
    const written = [{ GPU: 1 }, { GPU: 1 }, { GPU: 1 }, { GPU: 1 }];
    const [group] = plan({ tp: 4, acceleratorType: 'L4', bundles: written, strategy: 'SPREAD' });
    expect(group).toMatchObject({ strategy: 'SPREAD', tensorParallel: 4 });
    expect(group?.bundles).toEqual([
      { GPU: 1, CPU: 1, ...L4 },
      { GPU: 1, ...L4 },
      { GPU: 1, ...L4 },
      { GPU: 1, ...L4 },
    ]);
  });

  it('data parallelism: a group a replica, or one of all with each replica’s CPU in its own first bundle', () => {
    const replicas = plan({ tp: 2, dp: 2, strategy: 'STRICT_PACK' });
    expect(replicas.map(({ name, replicas: held, strategy }) => [name, held, strategy])).toEqual([
      ['m/0', [0], 'STRICT_PACK'],
      ['m/1', [1], 'STRICT_PACK'],
    ]);
    expect(replicas.map((group) => group.bundles)).toEqual(new Array(2).fill([{ GPU: 1, CPU: 1 }, { GPU: 1 }]));
    expect(plan({ tp: 2, dp: 2, dataParallel: 'gang' })).toEqual([
      {
        name: 'm',
        strategy: 'PACK',
        bundles: [{ GPU: 1, CPU: 1 }, { GPU: 1 }, { GPU: 1, CPU: 1 }, { GPU: 1 }],
        tensorParallel: 2,
        accelerator: 'GPU',
        replicas: [0, 1],
        worldSize: 2,
      },
    ]);
  });

  it('a gang of one replica is a group like any other', () => {
    expect(plan({ dataParallel: 'gang', strategy: 'SPREAD' })).toMatchObject([{ name: 'm/0', strategy: 'SPREAD' }]);
  });

  it('adds CPUs key by key, leaves the user’s hint, and takes fractions and NPUs', () => {
    expect(bundles({ bundles: [{ GPU: 0.5, CPU: 2, 'accelerator_type:L4': 1 }], acceleratorType: 'L4' })).toEqual([
      [{ GPU: 0.5, CPU: 3, 'accelerator_type:L4': 1 }],
    ]);
    expect(bundles({ accelerator: 'NPU', replicaCpus: 0.25 })).toEqual([[{ NPU: 1, CPU: 0.25 }]]);
    expect(bundles({ replicaCpus: 0 })).toEqual([[{ GPU: 1 }]]);
  });

  it('promises no neighbours where bundles without devices lie between', () => {
    const written = [{ CPU: 4 }, { GPU: 1 }, { GPU: 1 }];
    expect(plan({ tp: 2, bundles: written })).toMatchObject([{ tensorParallel: 1 }]);
  });
});

describe('CPUs that nobody wrote', () => {
  const cpu = { accelerator: null } as const;

  it('are one for each rank on CPUs, which is the replica’s too', () => {
    expect(bundles({ ...cpu, tp: 2 })).toEqual([[{ CPU: 1 }, { CPU: 1 }]]);
  });

  it('shrink until all fit this machine, and never grow', () => {
    expect(bundles({ ...cpu, tp: 4 }, 2)).toEqual([new Array(4).fill({ CPU: 0.5 })]);
    expect(bundles({ ...cpu, tp: 4 }, 64)).toEqual([new Array(4).fill({ CPU: 1 })]);
    // Rounded down: three thirds must not be more than one.
    expect(bundles({ ...cpu, dp: 3 }, 1)).toEqual(new Array(3).fill([{ CPU: 0.3333 }]));
    expect(bundles({ dp: 8 }, 4)).toEqual(new Array(8).fill([{ GPU: 1, CPU: 0.5 }]));
  });

  it('leave what was written alone, and shrink beside it', () => {
    expect(bundles({ dp: 4, replicaCpus: 2 }, 4)).toEqual(new Array(4).fill([{ GPU: 1, CPU: 2 }]));
    expect(bundles({ bundles: [{ GPU: 1, CPU: 3 }] }, 3.5)).toEqual([[{ GPU: 1, CPU: 3.5 }]]);
    const models = [model({ ...cpu, replicaCpus: 1 }), model({ ...cpu, tp: 2 })];
    expect(planGroups(models, 2).map(([group]) => group?.bundles)).toEqual([
      [{ CPU: 1.3333 }],
      [{ CPU: 0.3333 }, { CPU: 0.3333 }],
    ]);
  });

  it('vanish beside devices where there are no CPUs, and stay a trace for ranks that need some', () => {
    expect(bundles({ tp: 2 }, 0)).toEqual([[{ GPU: 1 }, { GPU: 1 }]]);
    expect(bundles({ ...cpu }, 0)).toEqual([[{ CPU: 0.0001 }]]);
  });
});
