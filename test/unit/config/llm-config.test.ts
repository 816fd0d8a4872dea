import { describe, expect, it } from 'vitest';
import { compile as compileWish, device, gpus, NOTHING, type Wish } from './support.js';

/** Nothing said by flags: the file says it all. */
const compile = (yaml: string, wish: Wish = {}) => compileWish({ engine: null, yaml, report: gpus(8), ...wish });

const MINIMAL = `llm_configs:
  - model_loading_config: {model_id: a, model_source: m/a}
`;

describe('the lines of the seeds', () => {
  it('tensor × pipeline parallel with bundles of their own', async () => {
    const { config, warnings } = await compile(`
llm_configs:
  - model_loading_config:
      model_id: llama-3.1-8b
      model_source: meta-llama/Llama-3.1-8B-Instruct
    deployment_config:
      autoscaling_config: {min_replicas: 1, max_replicas: 1}
    accelerator_type: L4
    engine_kwargs: {tensor_parallel_size: 2, pipeline_parallel_size: 2, max_model_len: 8192, enable_chunked_prefill: true}
    placement_group_config:
      bundles: [{GPU: 1}, {GPU: 1}, {GPU: 1}, {GPU: 1}]
      strategy: SPREAD
`);
    expect(config.models).toMatchObject([
      {
        model: 'meta-llama/Llama-3.1-8B-Instruct',
        servedNames: ['llama-3.1-8b'],
        engine: 'vllm',
        tensorParallel: 2,
        pipelineParallel: 2,
        dataParallel: 1,
        autoscaling: null,
        maxModelLen: 8192,
        routing: 'prefix',
        engineArgs: { enable_chunked_prefill: true },
        placement: {
          accelerator: 'GPU',
          acceleratorType: 'L4',
          strategy: 'SPREAD',
          bundles: Array(4).fill({ GPU: 1 }),
        },
      },
    ]);
    expect(config.node.devices).toHaveLength(8);
    expect(warnings).toEqual([]);
  });

  it('adapters, variables and replicas whose number changes', async () => {
    const { config } = await compile(`
llm_configs:
  - model_loading_config: {model_id: ft-model, model_source: Qwen/Qwen2.5-7B-Instruct}
    lora_config: {dynamic_lora_loading_path: "s3://bucket/loras", max_num_adapters_per_replica: 16}
    runtime_env: {env_vars: {AWS_REGION: us-west-2}}
    deployment_config: {autoscaling_config: {min_replicas: 1, max_replicas: 2}}
    engine_kwargs: {max_model_len: 4096, tensor_parallel_size: 1, enable_lora: true}
`);
    expect(config.models[0]).toMatchObject({
      dataParallel: 2,
      autoscaling: {
        min: 1,
        max: 2,
        initial: 1,
        targetOngoing: 2,
        upscaleDelayMs: 30_000,
        downscaleDelayMs: 600_000,
        downscaleToZeroDelayMs: 600_000,
        lookBackMs: 30_000,
        upscalingFactor: 1,
        aggregation: 'mean',
      },
      lora: {
        dynamicPath: 's3://bucket/loras',
        maxAdaptersPerReplica: 16,
        downloadTimeoutMs: 30_000,
        maxDownloadTries: 10,
      },
      envVars: { AWS_REGION: 'us-west-2' },
      placement: { strategy: 'PACK' },
    });
  });
});

describe('fields', () => {
  it('of a deployment', async () => {
    const { config } = await compile(`
llm_configs:
  - model_loading_config: {model_id: a, model_source: m/a, tokenizer_source: m/t}
    engine_kwargs: {tensor_parallel_size: 2}
    placement_group_config: {bundle_per_worker: {GPU: 1, CPU: 2}}
    deployment_config:
      num_replicas: 3
      max_ongoing_requests: 7
      max_queued_requests: -1
      ray_actor_options: {num_cpus: 2, num_gpus: 0, resources: {fast_disk: 1}}
      request_router_config: {request_router_class: "ray.serve._private.request_router.PowerOfTwoChoicesRequestRouter"}
`);
    expect(config.models[0]).toMatchObject({
      dataParallel: 3,
      autoscaling: null,
      maxOngoing: 7,
      maxQueued: Number.MAX_SAFE_INTEGER,
      routing: 'least-loaded',
      engineArgs: { tokenizer: 'm/t' },
      placement: {
        bundles: [
          { GPU: 1, CPU: 2, fast_disk: 1 },
          { GPU: 1, CPU: 2 },
        ],
        replicaCpus: 2,
        strategy: 'PACK',
      },
    });
  });

  it('num_replicas: auto has the maximum of Ray, and bounds may be written beside it', async () => {
    const auto = `${MINIMAL}    deployment_config: {num_replicas: auto`;
    expect((await compile(`${auto}}`)).config.models[0]?.autoscaling).toMatchObject({ min: 1, max: 100 });
    const bounded = `${auto}, autoscaling_config: {min_replicas: 0, max_replicas: 4, initial_replicas: 2, downscale_delay_s: 1.5}}`;
    expect((await compile(bounded)).config.models[0]?.autoscaling).toMatchObject({
      min: 0,
      max: 4,
      initial: 2,
      downscaleToZeroDelayMs: 1500,
    });
  });

  it('data parallelism puts each replica on one node, whatever was written', async () => {
    const { config, warnings } = await compile(
      `${MINIMAL}    engine_kwargs: {data_parallel_size: 2}\n    placement_group_config: {bundles: [{GPU: 1}], strategy: SPREAD}\n    deployment_config: {num_replicas: 2}`,
    );
    expect(config.models[0]).toMatchObject({ dataParallel: 4, placement: { strategy: 'STRICT_PACK' } });
    expect(warnings).toEqual([
      expect.stringContaining('`llm_configs[0].placement_group_config`: STRICT_PACK instead of SPREAD'),
    ]);
  });

  it('null is as if nothing was written, but for a download without limit', async () => {
    const { config } = await compile(
      `${MINIMAL}    accelerator_type: null\n    runtime_env: null\n    lora_config: {download_timeout_s: null}`,
    );
    expect(config.models[0]).toMatchObject({ envVars: {}, lora: { dynamicPath: null, downloadTimeoutMs: null } });
    expect(config.models[0]?.engineArgs).toEqual({ enable_lora: true });
  });

  it('of vLLM are rehearsed with the mock engine, and named', async () => {
    const { config, warnings } = await compile(`
llm_configs:
  - model_loading_config: {model_id: a}
    llm_engine: mock
    engine_kwargs: {enable_lora: true, max_num_seqs: 4, step_ms: 2}
`);
    expect(config.models[0]).toMatchObject({ model: 'a', engine: 'mock', engineArgs: { max_num_seqs: 4, step_ms: 2 } });
    expect(warnings).toEqual(['engine mock makes no use of `enable_lora`']);
  });
});

describe('several models', () => {
  const two = (first: string, second: string): string =>
    `llm_configs:\n  - {model_loading_config: {model_id: a, model_source: m/a}, ${first}}\n  - {model_loading_config: {model_id: b, model_source: m/b}, ${second}}`;

  it('share what the machine offers, each with its own engine and shape', async () => {
    const both = gpus(2);
    const npu = device(0, { kind: 'npu', uuid: 'NPU-1' });
    const { config, deviceCalls } = await compile(
      two('engine_kwargs: {tensor_parallel_size: 2}', 'placement_group_config: {bundles: [{NPU: 1}]}'),
      { report: { ...both, devices: [...both.devices, npu] } },
    );
    expect(config.models.map(({ placement }) => placement.accelerator)).toEqual(['GPU', 'NPU']);
    expect(config.node.devices.map(({ kind, index }) => `${kind}${index}`)).toEqual(['gpu0', 'gpu1', 'npu0']);
    expect(deviceCalls).toBe(1);
  });

  it('share options of the server', async () => {
    const { config } = await compile(`${two('llm_engine: mock', 'llm_engine: mock')}\nrouting: prefix\nport: 9`, {
      report: NOTHING,
    });
    expect(config.models.map(({ routing }) => routing)).toEqual(['prefix', 'prefix']);
    expect(config.http.port).toBe(9);
  });

  it('have names of their own', async () => {
    await expect(
      compile('llm_configs:\n  - model_loading_config: {model_id: a}\n  - model_loading_config:\n      model_id: a'),
    ).rejects.toThrow(
      'serve.yaml:4:7: `llm_configs[1].model_loading_config.model_id`: "a" is the name of `llm_configs[0].model_loading_config.model_id`, too',
    );
  });
});

describe('refusals say where', () => {
  const inside = (text: string): string => `${MINIMAL}${text.replace(/^/gm, '    ')}`;
  it.each([
    ['llm_configs: []', 'serve.yaml:1:1: `llm_configs`: expected at least one model'],
    ['llm_configs: 3', '`llm_configs`: expected a list but received 3'],
    ['llm_configs: [x]', 'serve.yaml:1:15: `llm_configs[0]`: expected a mapping but received "x"'],
    ['llm_configs:\n  - accelerator_type: L4', 'serve.yaml:2:5: `llm_configs[0]`: model_loading_config is missing'],
    ['llm_configs:\n  - model_loading_config: {model_source: x/y}', ': model_id is missing'],
    [
      inside('engin_kwargs: {}'),
      'serve.yaml:3:5: `llm_configs[0].engin_kwargs`: unknown field; did you mean `engine_kwargs`?',
    ],
    [
      inside('llm_engine: SGLang'),
      'serve.yaml:3:5: `llm_configs[0].llm_engine`: expected one of vLLM, transformers, mock',
    ],
    [
      inside('engine_kwargs:\n  tensor_parallel_size: two'),
      'serve.yaml:4:7: `llm_configs[0].engine_kwargs.tensor_parallel_size`: expected a whole number',
    ],
    [
      inside('engine_kwargs:\n  tensor_parallel_size: 0'),
      'serve.yaml:4:7: expected a whole number from 1 to 4096 for `llm_configs[0].engine_kwargs.tensor_parallel_size`',
    ],
    [
      inside('engine_kwargs:\n  max_num_seq: 3'),
      'serve.yaml:4:7: llm_configs[0].engine_kwargs.max_num_seq` for engine vllm; did you mean `max-num-seqs`?',
    ],
    [
      inside('engine_kwargs:\n  served_model_name: x'),
      'serve.yaml:4:7: `llm_configs[0].engine_kwargs.served_model_name`: is written as model_loading_config.model_id',
    ],
    [
      inside('deployment_config:\n  autoscaling_config:\n    min_replicas: 3'),
      'serve.yaml:5:9: `llm_configs[0].deployment_config.autoscaling_config.min_replicas`: max_replicas (1) is less than min_replicas (3)',
    ],
    [
      inside('deployment_config: {autoscaling_config: {max_replicas: 2, initial_replicas: 3}}'),
      '3 is not between min_replicas (1) and max_replicas (2)',
    ],
    [inside('deployment_config: {autoscaling_config: {target_ongoing_requests: 0}}'), 'expected a number of at least'],
    [inside('deployment_config: {autoscaling_config: {policy: x}}'), 'is not supported: there is one policy'],
    [
      inside('deployment_config: {num_replicas: 2, autoscaling_config: {}}'),
      'both it and autoscaling_config say how many',
    ],
    [inside('deployment_config: {num_replica: 2}'), 'unknown field; did you mean `num_replicas`?'],
    [
      inside('deployment_config: {placement_group_bundles: []}'),
      'write placement_group_config beside deployment_config',
    ],
    [inside('deployment_config: {ray_actor_options: {num_gpus: 1}}'), 'a replica holds no device of its own'],
    [inside('deployment_config: {ray_actor_options: {resources: {GPU: 1}}}'), 'a replica holds no device of its own'],
    [
      inside('deployment_config: {request_router_config: {request_router_class: mine}}'),
      'expected a class that ends in PrefixCacheAffinityRouter',
    ],
    [
      inside('placement_group_config: {bundles: [{GPU: 1}], strateg: PACK}'),
      'serve.yaml:3:5: `llm_configs[0].placement_group_config` has the unknown key "strateg"; did you mean `strategy`?',
    ],
    [
      inside('lora_config: {max_num_adapters_per_replica: 0}'),
      'serve.yaml:3:19: `llm_configs[0].lora_config.max_num_adapters_per_replica`: expected a whole number of at least 1',
    ],
    [
      inside('lora_config: {dynamic_lora_loading_path: s3://bucket/../other}'),
      'expected a folder or s3://bucket/prefix but received',
    ],
    [inside('lora_config: {}\nengine_kwargs: {enable_lora: false}'), 'has lora_config, and enable_lora is false'],
    [inside('llm_engine: transformers\nlora_config: {}'), 'engine transformers loads no adapters'],
    [inside('runtime_env: {pip: [x]}'), 'is not supported: ranks run in one environment of Python'],
    [
      inside('runtime_env: {env_vars: {A: 1}}'),
      '`llm_configs[0].runtime_env.env_vars.A`: expected text but received 1; write it in quotes',
    ],
    [inside('runtime_env: {env_vars: {CUDA_VISIBLE_DEVICES: "0"}}'), 'twinkle-node sets it for each rank'],
    [inside('server_cls: x'), 'is not supported: requests are served by twinkle-node itself'],
    [
      inside('engine_kwargs: {data_parallel_size: 2}\ndeployment_config: {autoscaling_config: {max_replicas: 2}}'),
      'do not go together',
    ],
    [
      `${MINIMAL}engine: mock`,
      'serve.yaml:1:1: `llm_configs` describes the models, and `engine` one of its own; leave one out',
    ],
    [`${MINIMAL}seed: 3`, 'serve.yaml:3:1: seed` one of its own; leave one out'],
    ['engine_kwargs: {}', 'serve.yaml:1:1: unknown key `engine_kwargs`; it belongs into an item of llm_configs'],
    ['applications: []', 'of an application file of Ray Serve write only the `llm_configs`'],
    ['applications: [null, {import_path: "mod:app"}]', 'of an application file of Ray Serve'],
  ])('%s', async (yaml, words) => {
    await expect(compile(yaml)).rejects.toThrow(words);
  });

  it('also of what flags say beside it, and of engines without a prefix cache', async () => {
    await expect(compile(MINIMAL, { flags: { 'tensor-parallel-size': '2' } })).rejects.toThrow(
      '`llm_configs` describes the models, and `--tensor-parallel-size` one of its own',
    );
    await expect(compileWish({ engine: 'transformers', flags: { routing: 'prefix' } })).rejects.toThrow(
      'engine transformers keeps no prefix cache',
    );
  });
});
