import { expect, it } from 'vitest';
import { admissionsOf, supportedModels, trainingRules } from '../../../src/runtime/training-rules.js';
import { compile } from '../config/twinkle/support.js';

const FILE = (queue = '') => `
applications:
  - name: server
    route_prefix: /api/v1
    import_path: server
    args:
      supported_models: [m]
      server_config: {per_token_model_limit: 3, expiration_timeout: 60}
  - name: model
    route_prefix: /api/v1/model/m
    import_path: model
    args:
      backend: mock
      model_id: m
      nproc_per_node: 1
      device_group: {name: model, ranks: 1, device_type: CPU}
      device_mesh: {device_type: CPU, dp_size: 1}
      ${queue}
  - name: sampler
    route_prefix: /api/v1/sampler/m
    import_path: sampler
    args:
      sampler_type: mock
      model_id: m
      nproc_per_node: 1
      device_group: {name: sampler, ranks: 1, device_type: CPU}
      device_mesh: {device_type: CPU, dp_size: 1}
      queue_config: {rps_limit: 2}
`;
const training = { maxRuns: 5 } as never;

it('of a server without such a file are what is said of training', () => {
  expect(trainingRules({ training, twinkle: null })).toBe(training);
  expect(supportedModels(null)).toBeNull();
  expect(admissionsOf(null, Date.now).training('m')).toBeNull();
});

it('of a file are its limits of keys and sessions, over what is said of training', async () => {
  const { config: twinkle } = await compile(FILE());
  expect(trainingRules({ training, twinkle })).toEqual({ maxRuns: 5, runs: 3, sessionSilenceMs: 60_000 });
  expect(supportedModels(twinkle)).toEqual(['m']);
});

it('limits of a model and of a sampler of the same name are counted apart, by their own numbers', async () => {
  const { config } = await compile(FILE('queue_config: {rps_limit: 1, window_seconds: 2, max_input_tokens: 8}'));
  let now = 0;
  const admissions = admissionsOf(config, () => now);
  const [models, samplers] = [admissions.training('m'), admissions.sampling('m')];
  models?.admit('t', 8);
  samplers?.admit('t', 9);
  samplers?.admit('t', 9);
  expect(() => models?.admit('t', 1)).toThrow(/sent model m 1 requests in 2 s/);
  expect(() => models?.admit('o', 9)).toThrow(/over the 8 that model m takes in one request/);
  expect(() => samplers?.admit('t', 1)).toThrow(/sent sampler m 2 requests/);
  now = 2000;
  models?.admit('t', 1);
  expect([admissions.training('x'), admissions.sampling('x')]).toEqual([null, null]);
});

it('limits that are not enabled are none', async () => {
  const { config } = await compile(FILE('queue_config: {enabled: false, rps_limit: 1}'));
  const models = admissionsOf(config, () => 0).training('m');
  for (let time = 0; time < 100; time++) models?.admit('t', 10 ** 6);
});
