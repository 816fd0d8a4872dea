// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references of OmegaConf look like templates
import { describe, expect, it, test } from 'vitest';
import { printJson, printYaml } from '../../../../src/cli/twinkle/print-tree.js';
import type { SamplerApplication } from '../../../../src/config/twinkle/types.js';
import { compile, FIXTURES, first, model, refusal } from './support.js';

describe('files of the documents and of the peer', () => {
  test.each([...FIXTURES.keys()])('%s is right, and so is what is printed of it', async (name) => {
    const { config, resolved, warnings } = await compile(FIXTURES.get(name) as string);
    expect(config.applications.map(({ kind }) => kind)).toContain('server');
    expect(warnings).toHaveLength(name.startsWith('seed') ? 1 : 0);
    expect((await compile(await printYaml(resolved, true))).config).toEqual(config);
    expect((await compile(printJson(resolved, false))).config).toEqual(config);
  });

  it('the three nodes of the seed: four GPUs, two GPUs and four processes', async () => {
    const { config, warnings } = await compile(FIXTURES.get('seed-nodes.yaml') as string);
    expect(config.applications).toMatchObject([
      {
        kind: 'model',
        backend: 'transformers',
        modelId: 'Qwen/Qwen3.5-4B',
        modelName: 'Qwen/Qwen3.5-4B',
        prefixes: ['/api/v1/model/Qwen/Qwen3.5-4B', '/models/Qwen/Qwen3.5-4B'],
        devices: { type: 'GPU', ranks: 4, perNode: 4, mesh: { dp: 4, dataParts: 4 } },
      },
      { kind: 'sampler', engine: 'vllm', devices: { ranks: 2, perNode: 2, perWorker: 1 } },
      { kind: 'processor', prefixes: ['/api/v1/processor', '/processors'], processes: 4, processesPerNode: 4 },
      { kind: 'server', prefixes: ['/api/v1'], modelsPerToken: 30, supportedModels: null },
    ]);
    expect(warnings).toEqual([expect.stringMatching(/^s\.yaml:33:9: `ranks` of a CPU group .* here 4/)]);
  });

  it('the spelling of before is that of today', async () => {
    const { config, warnings } = await compile(FIXTURES.get('seed-megatron.yaml') as string);
    expect(config.applications[1]).toMatchObject({
      kind: 'model',
      backend: 'megatron',
      modelId: 'ms://Qwen/Qwen3.5-4B',
      maxLoras: 1,
      maxLength: 10_240,
      adapterTimeoutMs: 30_000,
      queue: { requests: 100, tokens: 10_000, windowMs: 1000, maxInputTokens: 10_000, executionTimeoutMs: 120_000 },
      deployment: {
        replicas: 1,
        autoscaling: null,
        resources: { CPU: 0.1 },
        envVars: { TWINKLE_TRUST_REMOTE_CODE: '0' },
      },
    });
    expect(config).toMatchObject({ proxyLocation: 'EveryNode', http: { host: '0.0.0.0', port: 8000 } });
    expect(warnings).toEqual(['s.yaml:27:7: `use_megatron` is the spelling of before; write `backend: megatron`']);
    const again = await compile(
      (FIXTURES.get('seed-transformers.yaml') as string).replace('use_megatron: false', 'backend: transformers'),
    );
    expect(again.warnings).toEqual([]);
  });

  it('two devices for each process of a sampler', async () => {
    const { applications } = (await compile(FIXTURES.get('cookbook-megatron.yaml') as string)).config;
    expect(applications[1]).toMatchObject({
      kind: 'sampler',
      maxModelLen: 32_768,
      engineArgs: { gpu_memory_utilization: 0.75, max_lora_rank: 32 },
      devices: { ranks: 4, perWorker: 2, mesh: { world: 4, dp: 2, tp: 2 } },
    });
    expect((applications[1] as SamplerApplication).engineArgs).not.toHaveProperty('max_model_len');
  });
});

describe('defaults', () => {
  it('of everything', async () => {
    const { config, warnings } = await compile('# nothing\n');
    expect(config).toEqual({
      namespace: 'twinkle_cluster',
      proxyLocation: 'HeadOnly',
      http: { host: 'localhost', port: 8000 },
      telemetry: {
        enabled: false,
        serviceName: 'twinkle-server',
        endpoint: 'http://localhost:4317',
        debug: false,
        exportIntervalMs: 30_000,
        resourceAttributes: {},
      },
      persistence: { mode: 'memory' },
      applications: [],
    });
    expect(warnings).toEqual(['s.yaml:1:1: there are no `applications`: nothing is served']);
  });

  it('task_queue is what queue_config does not say', async () => {
    const top = 'task_queue: {rps_limit: 7, queue_timeout: 9}';
    const app = await first(model('queue_config: {rps_limit: 8}', top));
    expect(app).toMatchObject({ queue: { requests: 8, queueTimeoutMs: 9000, tokens: 16_000 } });
  });

  it('0 is no limit, and so is a queue that is not enabled', async () => {
    const none = { requests: null, tokens: null, maxInputTokens: null };
    expect(await first(model('queue_config: {enabled: false}'))).toMatchObject({ queue: none });
    const zeros = model('queue_config: {rps_limit: 0, tps_limit: 0, execution_timeout: 0, queue_timeout: 0}');
    expect(await first(zeros)).toMatchObject({
      queue: { requests: null, tokens: null, executionTimeoutMs: null, queueTimeoutMs: null },
    });
  });

  it('an empty block is one that was not written', async () => {
    const { config } = await compile('http_options:\npersistence:\napplications:\n');
    expect(config).toMatchObject({ http: { port: 8000 }, persistence: { mode: 'memory' }, applications: [] });
  });
});

describe('values', () => {
  it('variables are read as what belongs there', async () => {
    const { config, resolved } = await compile(
      'http_options: {port: "${oc.env:P}"}\ntelemetry: {enabled: "${oc.env:E}"}\n',
      {
        P: '8123',
        E: 'yes',
      },
    );
    expect(config).toMatchObject({ http: { port: 8123 }, telemetry: { enabled: true } });
    expect(await printYaml(resolved, true)).toContain('port: 8123 # environment, P\n');
  });

  it('text in quotes is a number where only a number may be', async () => {
    expect(await refusal('http_options: {port: "80x"}\n')).toContain(
      'expected an integer from 0 to 65535 but received "80x"',
    );
    expect((await compile('http_options: {port: "0080"}\n')).config.http.port).toBe(80);
    expect((await compile('ray_namespace: "12"\n')).config.namespace).toBe('12');
  });

  it('a relative path is absolute', async () => {
    const { config } = await compile('persistence: {mode: file, file_path: state.json}\n');
    expect(config.persistence).toEqual({ mode: 'file', path: '/base/state.json' });
  });

  it('replicas, resources and variables of a deployment', async () => {
    const yaml = `${model()}    deployments:
      - name: free text
        max_ongoing_requests: 5
        autoscaling_config: {min_replicas: 1, max_replicas: 4, target_ongoing_requests: 3, upscale_delay_s: 0}
        ray_actor_options: {num_cpus: 0.5, num_gpus: 1, resources: {disk: 2}, runtime_env: {env_vars: {A: b}}}
`;
    expect(await first(yaml)).toMatchObject({
      deployment: {
        replicas: 4,
        maxOngoing: 5,
        autoscaling: { min: 1, max: 4, targetOngoing: 3, upscaleDelayMs: 0 },
        resources: { CPU: 0.5, GPU: 1, disk: 2 },
        envVars: { A: 'b' },
      },
    });
  });

  it('the first deployment counts', async () => {
    const { config, warnings } = await compile(`${model()}    deployments: [{num_replicas: 2}, {num_replicas: 3}]\n`);
    expect(config.applications[0]?.deployment.replicas).toBe(2);
    expect(warnings).toEqual([expect.stringContaining('only the first counts')]);
  });

  it.each([
    ['/api/v1/model/a/b', 'a/b', ['/api/v1/model/a/b']],
    ['/models/a/b/', 'a/b', ['/api/v1/model/a/b', '/models/a/b']],
    ['/api/v1/models/x', 'x', ['/api/v1/model/x', '/api/v1/models/x']],
    ['/', 'a/b', ['/api/v1/model/a/b']],
    ['/elsewhere', 'a/b', ['/api/v1/model/a/b', '/elsewhere']],
    ['/api/v1/modelling', 'a/b', ['/api/v1/model/a/b', '/api/v1/modelling']],
  ])('route_prefix %s is of model %s', async (written, modelName, prefixes) => {
    expect(await first(model().replace('/api/v1/model/a/b', written))).toMatchObject({ modelName, prefixes });
  });

  it.each([
    ['ms://Qwen/Q', 'Qwen/Q'],
    ['hf://Qwen/Q', 'Qwen/Q'],
    ['/models/q', 'models/q'],
    ['./q', 'q'],
    ['~/q', 'q'],
    ['demo', 'demo'],
  ])('without a path, %s goes by %s', async (id, modelName) => {
    const yaml = model()
      .replace('model_id: a/b', `model_id: ${id}`)
      .replace(/ {4}route_prefix.*\n/, '');
    expect(await first(yaml)).toMatchObject({ modelName, modelId: id });
  });
});
