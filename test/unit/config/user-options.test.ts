import { expect, test } from 'vitest';
import { OPTION_KEYS } from '../../../src/config/options.js';
import { optionsLayer, type ServeOptions } from '../../../src/config/user-options.js';

/** Every option that TypeScript knows; a key that is missing here does not compile. */
const ALL: Required<ServeOptions> = {
  model: 'm',
  engine: 'mock',
  servedModelName: ['a'],
  maxModelLen: '8k',
  tensorParallelSize: 1,
  pipelineParallelSize: 1,
  dataParallelSize: 2,
  gpus: [0, 1],
  npus: '0',
  cpu: false,
  trainGpus: '2-3',
  trainRanks: 2,
  trainFull: true,
  trainShard: true,
  sleepWhileTraining: false,
  maxTrainingRuns: 2,
  trainingIdleTimeout: 60,
  maxRunLife: 3600,
  maxCheckpointBytes: '1GiB',
  checkpointStore: 's3://b/p',
  numCpus: 4,
  placement: 'SPREAD',
  dataParallelPlacement: 'gang',
  placementGroupConfig: { bundles: [{ GPU: 1 }], strategy: 'SPREAD' },
  acceleratorType: 'L4',
  replicaCpus: 0.5,
  routing: 'prefix',
  address: 'local',
  host: 'localhost',
  port: 0,
  uds: '/tmp/x',
  bodyLimit: 4096,
  queueSize: 3,
  apiKey: 'k',
  noAuth: false,
  python: 'python3',
  noSetup: true,
  shutdownTimeout: 1,
  startTimeout: 2,
  stepTimeout: 9,
  crashLoopLimit: 3,
  crashLoopWindow: 4,
  home: '/h',
  logLevel: 'warn',
  engineArgs: { maxNumSeqs: 4, step_ms: 1 },
  llmConfigs: [{ model_loading_config: { model_id: 'm' } }],
};

test('every flag has its option, and every option its flag', () => {
  const { layer, engineArgs, llmConfigs } = optionsLayer(ALL);
  expect(llmConfigs).toMatchObject({ value: ALL.llmConfigs, origin: { name: 'llmConfigs' } });
  expect([...layer.keys()].sort()).toEqual([...OPTION_KEYS].sort());
  expect(engineArgs.map(({ name, where }) => [name, where])).toEqual([
    ['max-num-seqs', 'engineArgs.maxNumSeqs'],
    ['step-ms', 'engineArgs.step_ms'],
  ]);
  expect(layer.get('queue-size')).toEqual({ value: 3, origin: { source: 'option', name: 'queueSize', at: null } });
});

test('undefined is not written; unknown options say what was meant', () => {
  const sparse = { port: undefined } as unknown as ServeOptions;
  expect(optionsLayer(sparse).layer.size).toBe(0);
  expect(() => optionsLayer({ prot: 1 } as ServeOptions)).toThrowError(/unknown option `prot`; did you mean `port`\?/);
  expect(() => optionsLayer({ engineArgs: [] } as unknown as ServeOptions)).toThrowError(
    /expected an object for `engineArgs`/,
  );
});
