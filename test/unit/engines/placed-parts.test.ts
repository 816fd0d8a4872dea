import { expect, it } from 'vitest';
import { placedParts, trainerName } from '../../../src/engines/placed-parts.js';
import { planGroups } from '../../../src/engines/placement.js';
import { modelConfig } from '../../support/model-config.js';
import { trainedModel } from '../../support/trained-model.js';

const GPU = { accelerator: 'GPU', replicaCpus: 0.5 } as const;

it('ranks that train are one replica of their own, after all that is served', () => {
  const trained = trainedModel({ ranks: 2, placement: GPU, envVars: { A: 'b' } });
  const parts = placedParts({ models: [modelConfig({ model: 'm', dataParallel: 2 })], trained: [trained] });
  expect(parts.map(({ servedNames }) => servedNames)).toEqual([['m'], ['m/train']]);
  expect(parts[1]).toMatchObject({ engine: 'mock', model: 'm', envVars: { A: 'b' }, autoscaling: null });
  expect(trainerName(trained)).toBe('m/train');
  const [served, training] = planGroups(parts, null);
  expect(served?.map(({ name }) => name)).toEqual(['m/0', 'm/1']);
  expect(training).toEqual([
    {
      name: 'm/train/0',
      strategy: 'PACK',
      bundles: [{ GPU: 1, CPU: 0.5 }, { GPU: 1 }],
      // Nobody cares which of them are beside each other.
      tensorParallel: 1,
      accelerator: 'GPU',
      replicas: [0],
      worldSize: 2,
    },
  ]);
});

it('share the CPUs of this machine with what is served', () => {
  const trained = trainedModel({ ranks: 3 });
  const [, training] = planGroups(placedParts({ models: [modelConfig()], trained: [trained] }), 2);
  expect(training?.[0]?.bundles).toEqual([{ CPU: 0.5 }, { CPU: 0.5 }, { CPU: 0.5 }]);
});
