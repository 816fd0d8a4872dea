// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references of OmegaConf look like templates
import { describe, expect, it } from 'vitest';
import { compile, first, model, refusal, sampler } from './support.js';

describe('mistakes', () => {
  it('all of them are told, in the order of the file', async () => {
    const said = await refusal(`http_option: {port: 1}
telemetry: {enabled: maybe}
${model('max_lora: 3\nqueue_config: {rps_limit: -1}').trimStart()}`);
    expect(said.split('\n')).toEqual([
      'CONFIG_INVALID 4 mistakes:',
      's.yaml:1:1: `http_option`: unknown key; did you mean `http_options`?',
      's.yaml:2:13: `telemetry.enabled`: expected true or false but received "maybe"',
      's.yaml:12:7: `applications[0].args.max_lora`: unknown key; did you mean `max_loras`?',
      's.yaml:13:22: `applications[0].args.queue_config.rps_limit`: expected a number of 0 or more but received -1',
      '',
    ]);
  });

  it.each([
    ['no mapping', '- a\n', 's.yaml:1:1: expected an object but received'],
    ['a block that is none', 'persistence: file\n', '`persistence`: expected an object but received "file"'],
    [
      'an unknown mode',
      'persistence: {mode: files}\n',
      'expected one of memory, file, redis but received "files"; did you mean file?',
    ],
    [
      'a file without a path',
      'persistence: {mode: file}\n',
      's.yaml:1:1: `persistence`: `file_path` is missing: mode file needs it',
    ],
    ['no URL', 'persistence: {mode: redis, redis_url: "host:1"}\n', 'expected a URL such as redis://host:6379/0'],
    [
      'both spellings',
      'telemetry: {}\ntelemetry_config: {}\n',
      's.yaml:2:1: `telemetry_config`: is the spelling of before of `telemetry`',
    ],
    ['a kind that there is not', 'applications: [{name: a, import_path: modell}]\n', 'did you mean model?'],
    [
      'an application without a name',
      'applications: [{import_path: processor}]\n',
      's.yaml:1:16: `applications[0]`: `name` is missing',
    ],
    [
      'args that are none',
      'applications: [{name: a, import_path: model, args: 3}]\n',
      'expected an object but received 3',
    ],
    ['no devices', model().replace(/ {6}device_group.*\n/, ''), '`device_group` is missing'],
    [
      'both backends',
      model('use_megatron: true\nbackend: mock'),
      'says megatron, and `backend` says mock; leave it out',
    ],
    [
      'a path of no model',
      model().replace('/api/v1/model/a/b', 'model'),
      'expected a path that begins with `/` but received "model"',
    ],
    [
      'mesh and ranks',
      model().replace('dp_size: 2', 'dp_size: 4'),
      's.yaml:9:7: `applications[0].args.device_mesh`: its sizes give 4 ranks, and `device_group.ranks` are 2; they have to be equal',
    ],
    [
      'mesh and world',
      model().replace('dp_size: 2', 'dp_size: 2, world_size: 3'),
      'is 3, and the sizes (dp_size 2) give 2',
    ],
    ['ulysses', model().replace('dp_size: 2', 'dp_size: 2, ulysses_size: 4'), '4 ranks cannot share a sequence'],
    ['experts', model().replace('dp_size: 2', 'dp_size: 2, ep_size: 3'), '3 does not divide the 2 ranks of the mesh'],
    [
      'ranks and a mesh of ranks',
      model().replace('dp_size: 2', 'dp_size: 2, mesh: [0, 1], mesh_dim_names: [dp]'),
      'says the sizes, and so does dp_size; leave one out',
    ],
    [
      'a crooked mesh',
      model().replace('dp_size: 2', 'mesh: [[0, 1], [2]], mesh_dim_names: [dp, tp]'),
      'expected ranks as lists of lists of equal lengths',
    ],
    [
      'a rank twice in a mesh',
      model().replace('dp_size: 2', 'mesh: [0, 0], mesh_dim_names: [dp]'),
      'expected the ranks from 0 to 1 in their order',
    ],
    [
      'a dimension without a name',
      model().replace('dp_size: 2', 'mesh: [[0, 1]], mesh_dim_names: [dp]'),
      'expected 2 names, one for each dimension',
    ],
    [
      'a dimension that there is not',
      model().replace('dp_size: 2', 'mesh: [0, 1], mesh_dim_names: [pd]'),
      '`pd` is no dimension of `mesh`; there are fsdp, pp, dp, cp, tp',
    ],
    ['a rank twice', model().replace('ranks: 2', 'ranks: [1, 1]'), 'a rank is named twice'],
    ['no rank', model().replace('ranks: 2', 'ranks: 0'), 'expected at least one rank'],
    [
      'other devices of the mesh',
      model().replace('{dp_size: 2}', '{dp_size: 2, device_type: npu}'),
      'is npu, and that of device_group is cuda',
    ],
    [
      'a device that there is not',
      model().replace('device_type: cuda', 'device_type: cud'),
      'expected cuda, npu or CPU but received "cud"; did you mean `cuda`?',
    ],
    ['devices that cannot be given out', sampler('gpus_per_worker: 3, ranks: 4'), '4 ranks cannot be given out by 3'],
    [
      'a process on two nodes',
      sampler('gpus_per_worker: 4, ranks: 4'),
      'the 4 devices of a process are of one node, and nproc_per_node is 2',
    ],
    [
      'tensor parallel twice',
      sampler('gpus_per_worker: 2, ranks: 4', 'dp_size: 1, tp_size: 4'),
      'is 2, and tp_size of device_mesh is 4',
    ],
    [
      'two devices for one that trains',
      model().replace('ranks: 2', 'ranks: 2, gpus_per_worker: 2'),
      'a process that trains has one device',
    ],
    ['an engine argument', sampler('ranks: 2', 'dp_size: 2', 'max_num_seq: 1'), 'did you mean `max-num-seqs`?'],
    [
      'an engine argument that the group says',
      sampler('ranks: 2', 'dp_size: 2', 'tensor_parallel_size: 2'),
      'is what device_group and device_mesh say; leave it out',
    ],
    [
      'a length',
      sampler('ranks: 2', 'dp_size: 2', 'max_model_len: 4k'),
      'expected a whole number of tokens but received "4k"',
    ],
    [
      'replicas that train all parameters',
      `${model('train_mode: full')}    deployments: [{num_replicas: 2}]\n`,
      'trains all parameters, in one replica, and there may be 2',
    ],
    [
      'an option of a deployment',
      `${model()}    deployments: [{max_ongoing_request: 2}]\n`,
      'applications[0].deployments[0].max_ongoing_request`: unknown field; did you mean `max_ongoing_requests`?',
    ],
    [
      'bounds of replicas',
      `${model()}    deployments: [{autoscaling_config: {min_replicas: 3, max_replicas: 2}}]\n`,
      'max_replicas (2) is less than min_replicas (3)',
    ],
    [
      'a number as a variable',
      `${model()}    deployments: [{ray_actor_options: {runtime_env: {env_vars: {A: 1}}}}]\n`,
      'env_vars.A`: expected text; write it in quotes',
    ],
    [
      'a variable of ours',
      `${model()}    deployments: [{ray_actor_options: {runtime_env: {env_vars: {RANK: "1"}}}}]\n`,
      'is set for each process by its device group',
    ],
    [
      'packages',
      `${model()}    deployments: [{ray_actor_options: {runtime_env: {pip: [x]}}}]\n`,
      'processes run in one environment of Python',
    ],
    [
      'a name twice',
      `${model()}  - {name: m, import_path: processor}\n`,
      '"m" is the name of applications[0], too; names must differ',
    ],
    [
      'a second server',
      'applications: [{name: a, import_path: server}, {name: b, import_path: server}]\n',
      'is a second server',
    ],
    [
      'a path twice',
      `${model()}  - {name: p, import_path: processor, route_prefix: /api/v1/model/a/b}\n`,
      'clients find application "m" at /api/v1/model/a/b already',
    ],
    [
      'a processor on GPUs',
      'applications: [{name: p, import_path: processor, args: {device_group: {name: g, ranks: 1}, device_mesh: {}}}]\n',
      'a processor runs on CPUs: write CPU',
    ],
    [
      'half a group',
      'applications: [{name: p, import_path: processor, args: {device_group: {name: g, ranks: 1, device_type: CPU}}}]\n',
      'has one of device_group and device_mesh',
    ],
    [
      'another address of the server',
      'applications: [{name: s, import_path: server, args: {http_options: {port: 1}}}]\n',
      'differs from that of the file (localhost:8000)',
    ],
    [
      'a model that has no name',
      model().replace('model_id: a/b', 'model_id: null').replace('/api/v1/model/a/b', '/x'),
      '`model_id` is missing, and route_prefix names no model',
    ],
  ])('%s', async (_name, yaml, message) => {
    const said = await refusal(yaml);
    expect(said).toContain(message);
    expect(said).toMatch(/^CONFIG_INVALID (\d mistakes:\n)?s\.yaml:\d+:\d+: /);
  });

  it.each([
    [
      'dimensions in another order',
      'mesh: [[0, 1], [2, 3]], mesh_dim_names: [tp, dp]',
      'expected each once, in the order fsdp',
    ],
    ['a dimension twice', 'mesh: [[0, 1], [2, 3]], mesh_dim_names: [dp, dp]', 'expected each once'],
    [
      'ranks in another order',
      'mesh: [[0, 2], [1, 3]], mesh_dim_names: [dp, tp]',
      'expected the ranks from 0 to 3 in their',
    ],
    ['experts as a dimension', 'mesh: [0, 1, 2, 3], mesh_dim_names: [ep]', '`ep` is no dimension of `mesh`'],
    [
      'processes that have several, by the mesh',
      'dp_size: 1, tp_size: 4',
      'the 4 devices of a process are of one node',
    ],
  ])('a layout that is not to be had: %s', async (_name, mesh, message) => {
    expect(await refusal(sampler('ranks: 4', mesh))).toContain(message);
  });

  it('a mesh of ranks is that of its sizes', async () => {
    const sizes = await first(sampler('ranks: 4', 'dp_size: 2, tp_size: 2'));
    const ranks = await first(sampler('ranks: 4', 'mesh: [[0, 1], [2, 3]], mesh_dim_names: [dp, tp]'));
    expect(ranks).toEqual(sizes);
    expect(sizes).toMatchObject({ devices: { perWorker: 2, mesh: { dp: 2, tp: 2 } } });
  });

  it.each(['constructor', '__proto__', 'toString', 'hasOwnProperty'])('%s is a word like any other', async (word) => {
    expect(await refusal(`${word}: 1\n`)).toMatch(/^CONFIG_INVALID s\.yaml:1:1: `\w+`: unknown key; there are/);
    expect(await refusal(model().replace('type: cuda', `type: ${word}`))).toContain('expected cuda, npu or CPU');
    expect(await refusal(`ray_namespace: \${oc.env:${word}}\n`)).toContain(`${word} is not set`);
    expect(await refusal(`applications: [{name: a, import_path: ${word}}]\n`)).toContain(
      'expected one of server, model',
    );
  });

  it('what several applications have from one place is said once', async () => {
    const app = (name: string): string => `  - {name: ${name}, import_path: processor, route_prefix: /${name}}\n`;
    const said = await refusal(`task_queue: {rps_limit: -1}\napplications:\n${app('a')}${app('b')}`);
    expect(said).toMatch(/^CONFIG_INVALID s\.yaml:1:14: `task_queue.rps_limit`: expected a number of 0 or more/);
  });

  it('a path that is taken by the server that is there by itself', async () => {
    const said = await refusal(model().replace('/api/v1/model/a/b', '/api/v1'));
    expect(said).toContain('s.yaml:4:5: `applications[0].route_prefix`: clients find application "server" at /api/v1');
  });

  it('numbers of the environment in a deployment, and a block with nothing in it', async () => {
    const more = '{num_replicas: "${oc.env:R,2}", ray_actor_options: {num_cpus: "0.5", num_gpus: "1", runtime_env: }}';
    expect(await first(`${model()}    deployments: [${more}]\n`)).toMatchObject({
      deployment: { replicas: 2, resources: { CPU: 0.5, GPU: 1 }, envVars: {} },
    });
    expect(await first(sampler('ranks: 4', 'dp_size: 4', 'max_model_len: "${oc.env:L,4096}"'))).toMatchObject({
      maxModelLen: 4096,
    });
  });

  it.each([
    ['persistence: "redis://:s3cret@h"\n'],
    ['persistence: {mode: redis, redis_url: "x://:s3cret@h/y"}\n'],
    ['persistence: {mode: redis, redis_url: "redis://:s3cret@${h${a}}"}\n'],
    [`${model()}    deployments: [{ray_actor_options: {runtime_env: {env_vars: {HF_TOKEN: 53, B_S3CRET: 7331}}}}]\n`],
    [`${model()}    deployments: [{ray_actor_options: {runtime_env: {env_vars: ["HF_TOKEN=s3cret"]}}}]\n`],
  ])('a mistake shows no secret: %j', async (yaml) => {
    const said = await refusal(yaml);
    expect(said).toMatch(/^CONFIG_INVALID/);
    expect(said).not.toMatch(/s3cret|7331/);
  });

  it.each([
    [
      'a name that nothing serves',
      `${model()}  - {name: s, import_path: server, args: {supported_models: [a/c]}}\n`,
      'no application serves a/c; did you mean `a/b`?',
    ],
    [
      'a key without a use',
      'persistence: {mode: memory, redis_url: "redis://x"}\n',
      'mode memory has no use for `redis_url`',
    ],
    [
      'a name of an actor',
      'applications: [{name: s, import_path: server, args: {server_config: {actor_name: x}}}]\n',
      '`actor_name` has no meaning here',
    ],
    [
      'arguments of a rehearsal',
      sampler('ranks: 2', 'dp_size: 2', 'max_num_seqs: 1').replace('vllm', 'mock'),
      'the mock engine makes no use of `max_num_seqs`',
    ],
  ])('only warned of: %s', async (_name, yaml, message) => {
    expect((await compile(yaml)).warnings).toContainEqual(expect.stringContaining(message));
  });
});
