import { expect, it } from 'vitest';
import { twinkleOffer } from '../../../src/runtime/twinkle-offer.js';
import { compile } from '../config/twinkle/support.js';

const training = { direct: {} } as never;
const pathsOf = (mounts: readonly { name: string; prefixes: readonly string[] }[]) =>
  mounts.map(({ name, prefixes }) => [name, ...prefixes]);

it('without a file, each name of each model is below the path that clients build', () => {
  const models = [{ servedNames: ['demo', 'org/other'] }, { servedNames: ['third'] }] as never;
  const offer = twinkleOffer({ models, twinkle: null }, training, true);
  expect(pathsOf(offer.trained)).toEqual([
    ['demo', '/api/v1/model/demo'],
    ['org/other', '/api/v1/model/org/other'],
    ['third', '/api/v1/model/third'],
  ]);
  expect(pathsOf(offer.sampled)[1]).toEqual(['org/other', '/api/v1/sampler/org/other']);
});

it('with a file, only what it names is there, where it says, and where clients look for it', async () => {
  const shape = `
      nproc_per_node: 1
      device_group: {name: g, ranks: 1, device_type: CPU}
      device_mesh: {device_type: CPU, dp_size: 1}`;
  const { config: twinkle } = await compile(`
applications:
  - name: a
    route_prefix: /models/org/m
    import_path: model
    args:
      backend: mock
      model_id: org/m${shape}
  - name: b
    route_prefix: /api/v1/sampler/org/s
    import_path: sampler
    args:
      sampler_type: mock
      model_id: org/s${shape}
`);
  const offer = twinkleOffer({ models: [{ servedNames: ['else'] }] as never, twinkle }, training, true);
  const [[name, first, ...more] = []] = pathsOf(offer.trained);
  expect([name, first, more]).toEqual(['org/m', '/api/v1/model/org/m', ['/models/org/m']]);
  expect(pathsOf(offer.sampled)).toEqual([['org/s', '/api/v1/sampler/org/s']]);
});
