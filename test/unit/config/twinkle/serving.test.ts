import { describe, expect, it } from 'vitest';
import { modelsOf, type TwinkleModels } from '../../../../src/config/twinkle/serving.js';
import { compile, FIXTURES, model, sampler } from './support.js';

/** What the file's applications become; a model comes from `engine:id`. */
async function made(yaml: string): Promise<TwinkleModels> {
  const { config } = await compile(yaml);
  return modelsOf(config, (id, engine) => `${engine}:${id}`);
}

async function refusal(yaml: string): Promise<string> {
  return await made(yaml).then(
    () => '(fine)',
    (error: { code: string; message: string }) => `${error.code} ${error.message}`,
  );
}

/** One model application that trains `kind` devices by these sizes. */
const trainer = (ranks: string, mesh: string, rest = '', type = 'cuda'): string => `applications:
  - name: m
    import_path: model
    args:
      model_id: a/b
      nproc_per_node: 8
      device_group: {name: g, ranks: ${ranks}, device_type: ${type}}
      device_mesh: {${mesh}}
${rest.replaceAll(/^(?=.)/gm, '      ')}
`;
const with_ = (deployment: string): string => `    deployments: [{${deployment}}]\n`;

describe('a sampler', () => {
  it('is a served model: each field of it', async () => {
    const yaml = sampler(
      'ranks: 4, gpus_per_worker: 2, device_type: cuda',
      'dp_size: 2, tp_size: 2',
      'max_model_len: 4k, enable_lora: true, gpu_memory_utilization: 0.5',
    );
    const deployment = `name: S, num_replicas: 3, max_ongoing_requests: 7, max_queued_requests: 9,
      ray_actor_options: {num_cpus: 0.5, runtime_env: {env_vars: {A: b}}}`;
    expect(await made(yaml.replace('4k', '4096') + with_(deployment))).toEqual({
      models: [
        {
          model: 'vllm:a/b',
          servedNames: ['a/b'],
          engine: 'vllm',
          tensorParallel: 2,
          pipelineParallel: 1,
          // Two processes in each of three replicas.
          dataParallel: 6,
          autoscaling: null,
          maxOngoing: 7,
          maxQueued: 9,
          routing: 'prefix',
          placement: {
            accelerator: 'GPU',
            acceleratorType: null,
            strategy: 'PACK',
            dataParallel: 'replica',
            bundles: null,
            replicaCpus: 0.5,
          },
          maxModelLen: 4096,
          engineArgs: { enable_lora: true, gpu_memory_utilization: 0.5 },
          lora: null,
          envVars: { A: 'b' },
        },
      ],
      trained: [],
    });
  });

  it('has devices by tp_size where nothing else is said', async () => {
    const { models } = await made(sampler('ranks: 4, device_type: npu', 'dp_size: 2, tp_size: 2'));
    expect(models).toMatchObject([{ tensorParallel: 2, dataParallel: 2, placement: { accelerator: 'NPU' } }]);
  });

  it('goes to whoever is free where no prefix is kept, and elsewhere to who knows it', async () => {
    const routing = async (args: string, type = 'vllm'): Promise<unknown> => {
      const yaml = sampler('ranks: 4, device_type: cuda', 'dp_size: 4', args).replace('vllm', type);
      return (await made(yaml)).models.map(({ engine, routing }) => [engine, routing]);
    };
    expect(await routing('')).toEqual([['vllm', 'prefix']]);
    expect(await routing('enable_prefix_caching: false')).toEqual([['vllm', 'least-loaded']]);
    expect(await routing('', 'torch')).toEqual([['transformers', 'least-loaded']]);
    expect(await routing('', 'mock')).toEqual([['mock', 'least-loaded']]);
  });

  it('whose replicas change in number may have so many', async () => {
    const yaml = sampler('ranks: 1, device_type: cuda', 'dp_size: 1');
    const { models } = await made(yaml + with_('name: S, autoscaling_config: {min_replicas: 1, max_replicas: 4}'));
    expect(models).toMatchObject([{ dataParallel: 4, autoscaling: { min: 1, max: 4 } }]);
  });

  it('has what its replica holds in the first bundle, once in each gang', async () => {
    const deployment = with_(
      'name: S, ray_actor_options: {num_cpus: 2, num_gpus: 0.5, memory: 9, resources: {disk: 1}}',
    );
    const two = await made(
      sampler('ranks: 4, gpus_per_worker: 2, device_type: cuda', 'dp_size: 2, tp_size: 2') + deployment,
    );
    expect(two.models[0]?.placement).toMatchObject({
      bundles: [{ GPU: 1.5, memory: 9, disk: 1 }, { GPU: 1 }],
      replicaCpus: 2,
    });
    const cpu = await made(
      sampler('ranks: 1, device_type: CPU', 'dp_size: 1') + with_('name: S, ray_actor_options: {memory: 9}'),
    );
    expect(cpu.models[0]?.placement).toMatchObject({
      accelerator: null,
      bundles: [{ CPU: 1, memory: 9 }],
      replicaCpus: null,
    });
  });
});

describe('a model', () => {
  it('is trained by ranks of its own: each field of it', async () => {
    const rest = 'max_loras: 3\nmax_length: 512\nadapter_config: {adapter_max_lifetime: 60, adapter_timeout: 9}';
    const deployment = 'name: M, ray_actor_options: {num_cpus: 0.1, memory: 5, runtime_env: {env_vars: {A: b}}}';
    expect(await made(trainer('2', 'dp_size: 2', rest) + with_(deployment))).toEqual({
      models: [],
      trained: [
        {
          name: 'a/b',
          model: 'transformers:a/b',
          engine: 'transformers',
          ranks: 2,
          shard: false,
          placement: {
            accelerator: 'GPU',
            acceleratorType: null,
            strategy: 'PACK',
            dataParallel: 'replica',
            bundles: [{ GPU: 1, memory: 5 }, { GPU: 1 }],
            replicaCpus: 0.1,
          },
          maxModelLen: 512,
          full: false,
          maxRuns: 3,
          maxLifeMs: 60_000,
          silenceMs: 9000,
          envVars: { A: 'b' },
        },
      ],
    });
  });

  it('of which all is trained has one run at a time, whatever max_loras says', async () => {
    const { trained } = await made(trainer('2', 'dp_size: 2', 'train_mode: full\nmax_loras: 5'));
    expect(trained).toMatchObject([{ full: true, maxRuns: 1 }]);
  });

  it('is spread over its ranks by fsdp_size', async () => {
    const { trained } = await made(trainer('4', 'dp_size: 2, fsdp_size: 2'));
    expect(trained).toMatchObject([{ shard: true, ranks: 4 }]);
  });

  it('of the mock backend has ranks of engine mock, on CPUs that it shares', async () => {
    const { trained } = await made(trainer('2', 'dp_size: 2', 'backend: mock', 'CPU'));
    expect(trained).toMatchObject([
      {
        engine: 'mock',
        model: 'mock:a/b',
        ranks: 2,
        placement: { accelerator: null, bundles: null, replicaCpus: null },
      },
    ]);
  });

  it('goes by the name of its route, as clients say it', async () => {
    const { trained } = await made(model().replace('model/a/b', 'model/other'));
    expect(trained).toMatchObject([{ name: 'other', model: 'transformers:a/b' }]);
  });
});

describe('what cannot be started', () => {
  it.each([
    ['backend: megatron', '2', 'dp_size: 2', 'backend megatron is not here yet: write `backend: transformers`'],
    [
      '',
      '2',
      'tp_size: 2, dp_size: 1',
      'backend transformers trains with dp_size and fsdp_size, and not with tp_size 2: write',
    ],
    ['', '4', 'pp_size: 2, cp_size: 2, dp_size: 1', 'and not with pp_size 2, cp_size 2'],
    ['', '2', 'dp_size: 2, ulysses_size: 2', 'and not with ulysses_size 2'],
    ['', '2', 'dp_size: 2, ep_size: 2', 'and not with ep_size 2'],
    [
      '',
      '[0, 3]',
      'dp_size: 2',
      '`device_group.ranks` chooses devices (0, 3), and placement does that here: write how many, and say --gpus 0,3',
    ],
    [
      'train_mode: full',
      '2',
      'dp_size: 1, fsdp_size: 2',
      'is trained by LoRA alone, and train_mode is full: write dp_size instead of fsdp_size 2',
    ],
  ])('a model: %s, %s ranks by %s', async (rest, ranks, mesh, words) => {
    const said = await refusal(trainer(ranks, mesh, rest));
    expect(said).toMatch(/^CONFIG_INVALID application "m": /);
    expect(said).toContain(words);
  });

  it('a model: several replicas', async () => {
    const yaml = trainer('1', 'dp_size: 1') + with_('name: M, num_replicas: 2');
    expect(await refusal(yaml)).toContain('a model is trained by one replica here');
  });

  it.each([
    [
      'ranks: 2, device_type: cuda',
      'dp_size: 1, pp_size: 2',
      "a sampler's processes have devices by tp_size, and not by pp_size",
    ],
    ['ranks: 4, device_type: cuda', 'dp_size: 1, cp_size: 2, fsdp_size: 2, ep_size: 2', 'and not by cp_size, ep_size'],
    [
      'ranks: 1, device_type: cuda, visible_devices: "1-2"',
      'dp_size: 1',
      '`device_group.visible_devices` chooses devices (1, 2), and placement does that here: write how many, and say --gpus 1,2',
    ],
  ])('a sampler: {%s} by {%s}', async (group, mesh, words) => {
    expect(await refusal(sampler(group, mesh))).toMatch(/^CONFIG_INVALID application "s": /);
    expect(await refusal(sampler(group, mesh))).toContain(words);
  });

  it('a sampler whose replicas change in number, with several processes in each', async () => {
    const scaled = with_('name: S, autoscaling_config: {min_replicas: 1, max_replicas: 4}');
    const yaml = sampler('ranks: 2, device_type: cuda', 'dp_size: 2') + scaled;
    expect(await refusal(yaml)).toContain('the device group gives each 2 (dp_size 2): write ranks for one');
  });

  it('devices that an engine is not made for', async () => {
    expect(await refusal(trainer('1', 'dp_size: 1', '', 'npu'))).toContain(
      'backend transformers runs on GPUs and CPUs, and not on NPUs',
    );
    const torch = sampler('ranks: 2, device_type: npu', 'dp_size: 1, tp_size: 2').replace('vllm', 'torch');
    expect(await refusal(torch)).toBe(
      'CONFIG_INVALID application "s": sampler_type torch runs on GPUs and CPUs, and not on NPUs: write device_type cuda or CPU\n' +
        'application "s": sampler_type torch has one device in a process, and not 2: write vllm, or tp_size 1',
    );
    expect(await refusal(trainer('1', 'dp_size: 1', 'backend: mock', 'npu'))).toBe('(fine)');
  });

  it('advises options that this machine takes: none for CPUs', async () => {
    expect(await refusal(trainer('[0, 1]', 'dp_size: 2', '', 'CPU'))).toMatch(/does that here: write how many$/);
    expect(await refusal(trainer('[0, 1]', 'dp_size: 2', 'backend: mock', 'npu'))).toContain('say --npus 0,1');
  });

  it('is said of all applications at once', async () => {
    const one = trainer('[0, 1]', 'tp_size: 2, dp_size: 1');
    const other = sampler('ranks: 2, device_type: cuda', 'dp_size: 1, pp_size: 2').replace('applications:\n', '');
    const lines = (await refusal(one + other)).split('\n');
    expect(lines.map((line) => line.replace(/^(.*?": [^(,:]*).*/, '$1'))).toEqual([
      'CONFIG_INVALID application "m": `device_group.ranks` chooses devices ',
      'application "m": backend transformers trains with dp_size and fsdp_size',
      'application "s": a sampler\'s processes have devices by tp_size',
    ]);
  });
});

describe('known files', () => {
  it('start, but for those that name a backend which is not here', async () => {
    const refused: string[] = [];
    for (const [name, text] of FIXTURES) if ((await refusal(text)) !== '(fine)') refused.push(name);
    expect(refused).toEqual(
      [...FIXTURES].flatMap(([name, text]) => (/megatron\b(?!: false)/.test(text.replace(/#.*/g, '')) ? [name] : [])),
    );
    expect(refused.length).toBeLessThan(FIXTURES.size);
  });

  it('serve what they sample from and train what they train', async () => {
    const { models, trained } = await made(FIXTURES.get('tests-4b-e2e.yaml') ?? '');
    expect(models).toMatchObject([
      { model: 'vllm:ms://Qwen/Qwen3.5-4B', servedNames: ['Qwen/Qwen3.5-4B'], maxModelLen: 4096 },
    ]);
    expect(trained).toMatchObject([{ name: 'Qwen/Qwen3.5-4B', ranks: 2, maxModelLen: 10_240, maxLifeMs: 36_000_000 }]);
  });
});
