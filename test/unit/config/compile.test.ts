import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { fakeDeviceReport } from '../../../src/native/fake-devices.js';
import { modelConfig } from '../../support/model-config.js';
import { compile, gpus, type Wish } from './support.js';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});
const folder = (): string => {
  const made = mkdtempSync(join(tmpdir(), 'twinkle-config-'));
  folders.push(made);
  return made;
};

describe('defaults', () => {
  test('the mock engine needs nothing named and no device report', async () => {
    const { config, deviceCalls, warnings } = await compile();
    expect(config).toEqual({
      models: [modelConfig()],
      trained: [],
      twinkle: null,
      node: { cpus: null, devices: [], links: [], leftOut: [] },
      training: {
        devices: null,
        ranks: null,
        maxRuns: 64,
        idleMs: 600_000,
        maxLifeMs: null,
        maxCheckpointBytes: null,
        checkpointStore: null,
        sleepWhileTraining: false,
        shard: false,
        full: false,
      },
      address: null,
      http: { host: '127.0.0.1', port: 8000, uds: null, bodyLimit: 16 * 2 ** 20, maxQueue: 1024 },
      auth: { mode: 'anonymous', keyHashes: [], generatedKey: null },
      python: { interpreter: null, mayInstall: true },
      supervision: {
        shutdownTimeoutMs: 30_000,
        phaseTimeoutMs: 600_000,
        stepTimeoutMs: 300_000,
        crashLoopLimit: 5,
        crashLoopWindowMs: 300_000,
      },
      home: '/home/somebody/.twinkle-node',
      logLevel: 'info',
    });
    expect(deviceCalls).toBe(0);
    expect(warnings).toEqual([]);
  });
});

describe('precedence', () => {
  const yaml = 'port: 1111\nhost: localhost\nlog-level: error\nqueue_size: 7\n';

  test('flag > environment > YAML > default, with the place of each', async () => {
    const { config, origins } = await compile({
      flags: { port: '3333' },
      env: { TWINKLE_PORT: '2222', TWINKLE_HOST: '127.0.0.2', LOG_LEVEL: '' },
      yaml,
    });
    expect(config.http).toMatchObject({ port: 3333, host: '127.0.0.2', maxQueue: 7 });
    expect(config.logLevel).toBe('error');
    expect(origins.port).toEqual({ source: 'flag', name: '--port', at: null });
    expect(origins.host).toEqual({ source: 'env', name: 'TWINKLE_HOST', at: null });
    expect(origins['queue-size']).toEqual({ source: 'yaml', name: 'queue_size', at: 'serve.yaml:4:1' });
    expect(origins['body-limit'].source).toBe('default');
  });

  test('TWINKLE_LOG_LEVEL wins over LOG_LEVEL', async () => {
    const env = { LOG_LEVEL: 'debug', TWINKLE_LOG_LEVEL: 'warn' };
    expect((await compile({ env })).config.logLevel).toBe('warn');
    expect((await compile({ env: { LOG_LEVEL: 'debug' } })).config.logLevel).toBe('debug');
  });

  test('engine arguments: YAML first, flags over them', async () => {
    const { config } = await compile({
      yaml: 'step_ms: 5\nmax-num-seqs: 3\n',
      engineArgs: [{ name: 'step-ms', value: '2', where: '--step-ms' }],
    });
    expect(config.models[0]?.engineArgs).toEqual({ step_ms: 2, max_num_seqs: 3 });
  });

  test('engine arguments as a mapping of YAML, with options of serve among them', async () => {
    const { config } = await compile({
      yaml: 'engine_args:\n  max_num_seqs: 3\n  tensor_parallel_size: 2\n  max_model_len: 512\nstep_ms: 5\n',
    });
    expect(config.models[0]).toMatchObject({
      tensorParallel: 2,
      maxModelLen: 512,
      engineArgs: { step_ms: 5, max_num_seqs: 3 },
    });
    const twice = compile({ yaml: 'engine_args:\n  max_model_len: 512\nmax-model-len: 8k\n' });
    await expect(twice).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining('`engine_args.max_model_len` and `max-model-len` are the same option'),
    });
    await expect(compile({ yaml: 'engine_args: 3\n' })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await expect(compile({ yaml: 'engine_arg: 3\n' })).rejects.toMatchObject({
      message: expect.stringContaining('did you mean `engine-args`?'),
    });
  });

  test('an engine argument that is not passed on is a warning', async () => {
    const { config, warnings } = await compile({
      flags: { engine: 'vllm', model: 'org/model', cpu: true },
      engineArgs: [{ name: 'distributed-executor-backend', value: 'mp', where: '--distributed-executor-backend' }],
    });
    expect(config.models[0]?.engineArgs).toEqual({});
    expect(warnings).toEqual([expect.stringContaining('`--distributed-executor-backend` is not passed on')]);
  });
});

describe('values', () => {
  test('units', async () => {
    const { config } = await compile({
      flags: { 'max-model-len': '8k', 'body-limit': '2MiB', 'shutdown-timeout': '1.5' },
    });
    expect(config.models[0]?.maxModelLen).toBe(8000);
    expect(config.http.bodyLimit).toBe(2 * 2 ** 20);
    expect(config.supervision.shutdownTimeoutMs).toBe(1500);
    expect((await compile({ flags: { 'max-model-len': '8K' } })).config.models[0]?.maxModelLen).toBe(8192);
  });

  test('paths: ~, relative to the working folder, words on PATH', async () => {
    const { config } = await compile({ flags: { home: 'state', uds: 's.sock', python: 'python3.12' }, cwd: '/work' });
    expect(config.home).toBe('/work/state');
    expect(config.http.uds).toBe('/work/s.sock');
    expect(config.python.interpreter).toBe('python3.12');
    expect((await compile({ flags: { python: '~/env/bin/python' } })).config.python.interpreter).toBe(
      '/home/somebody/env/bin/python',
    );
  });

  const wrong: [string, Wish, string, string][] = [
    [
      'port text',
      { flags: { port: 'abc' } },
      'USAGE',
      'expected a whole number from 0 to 65535 for `--port` but received "abc"',
    ],
    ['port range', { flags: { port: '65536' } }, 'USAGE', 'from 0 to 65535'],
    ['port empty', { flags: { port: '' } }, 'USAGE', 'received ""'],
    ['port in env', { env: { TWINKLE_PORT: '8e3' } }, 'CONFIG_INVALID', '`TWINKLE_PORT` but received "8e3"'],
    ['port in YAML', { yaml: 'model: x\nport: [1]\n' }, 'CONFIG_INVALID', 'serve.yaml:2:1: expected a whole number'],
    ['port half', { flags: { port: '80.5' } }, 'USAGE', 'a whole number'],
    ['engine', { engine: 'vlm' }, 'USAGE', 'one of vllm, transformers, mock for `--engine` but received "vlm"'],
    ['log level', { env: { LOG_LEVEL: 'loud' } }, 'CONFIG_INVALID', '`LOG_LEVEL` but received "loud"'],
    ['tokens', { flags: { 'max-model-len': '8q' } }, 'USAGE', 'a number of tokens such as 4096 or 8k'],
    ['no tokens', { flags: { 'max-model-len': '0' } }, 'USAGE', 'of at least 1'],
    ['bytes', { flags: { 'body-limit': '5 potatoes' } }, 'USAGE', 'a size such as 65536 or 16MiB'],
    ['seconds', { flags: { 'shutdown-timeout': '-1' } }, 'USAGE', 'a number of seconds'],
    ['tp', { flags: { 'tensor-parallel-size': '0' } }, 'USAGE', 'from 1 to 4096'],
    ['switch', { env: { TWINKLE_CPU: 'maybe' } }, 'CONFIG_INVALID', 'expected true or false for `TWINKLE_CPU`'],
    ['host', { flags: { host: 'not a host' } }, 'USAGE', 'an IP address or a host name'],
    ['host number', { flags: { host: '127.0.0' } }, 'USAGE', 'an IP address or a host name'],
    ['uds length', { flags: { uds: `/${'x'.repeat(107)}` } }, 'USAGE', 'at most 107 bytes'],
    ['uds and port', { flags: { uds: '/a', port: '1' } }, 'CONFIG_INVALID', 'either `--uds` or `--port`'],
    ['names', { flags: { 'served-model-name': ['a', 'a'] } }, 'USAGE', 'names that differ'],
    ['two kinds', { flags: { gpus: '0', cpu: true } }, 'CONFIG_INVALID', 'one of `--gpus` and `--cpu`'],
    [
      'three kinds',
      { flags: { gpus: '0', npus: '0' }, env: { TWINKLE_CPU: '1' } },
      'CONFIG_INVALID',
      '`TWINKLE_CPU` but 3',
    ],
    [
      'YAML key',
      { yaml: 'model: x\nprot: 1\n' },
      'CONFIG_INVALID',
      'serve.yaml:2:1: unknown key `prot`; did you mean `port`?',
    ],
    ['YAML syntax', { yaml: 'port: [1\n' }, 'CONFIG_INVALID', 'serve.yaml:2:1: '],
    ['YAML twice', { yaml: 'port: 1\nport: 2\n' }, 'CONFIG_INVALID', 'serve.yaml:2:1: '],
    ['YAML list', { yaml: '- a\n' }, 'CONFIG_INVALID', 'serve.yaml:1:1: expected a mapping'],
    ['YAML engine arg', { yaml: 'step_ms: fast\n' }, 'CONFIG_INVALID', '`serve.yaml:1:1: step_ms`'],
  ];
  test.each(wrong)('refuses: %s', async (_, wish, code, message) => {
    await expect(compile(wish)).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
  });

  test('an empty YAML file is no error', async () => {
    expect((await compile({ yaml: '# nothing\n' })).config.http.port).toBe(8000);
  });

  test('a variable that is nearly one of ours is pointed out; others are left alone', async () => {
    const { warnings } = await compile({
      env: {
        TWINKLE_PROT: '1',
        TWINKLE_CACHE: '/c',
        TWINKLE_CUDART_LIBRARY: '/c/libcudart.so',
        TWINKLE_NVML_LIBRARY: '/c/libnvidia-ml.so',
        TWINKLE_SOMETHING_ELSE: '1',
        PORT: '1',
      },
    });
    expect(warnings).toEqual(['TWINKLE_PROT is set but unknown; did you mean TWINKLE_PORT?']);
  });
});

describe('models of engine transformers', () => {
  test('a folder becomes absolute and keeps its written name; a hub id stays', async () => {
    const cwd = folder();
    mkdirSync(join(cwd, 'mine'));
    const { config } = await compile({ engine: null, flags: { model: './mine' }, cwd });
    expect(config.models[0]).toMatchObject({
      model: join(cwd, 'mine'),
      servedNames: ['./mine'],
      engine: 'transformers',
    });
    const hub = await compile({
      engine: null,
      flags: { model: 'Qwen/Qwen3-0.6B', 'served-model-name': ['q', 'r'] },
      cwd,
    });
    expect(hub.config.models[0]).toMatchObject({ model: 'Qwen/Qwen3-0.6B', servedNames: ['q', 'r'] });
  });

  test('a folder that is not there, a file, and nonsense', async () => {
    const cwd = folder();
    writeFileSync(join(cwd, 'file'), '');
    const refused = (model: string): Promise<unknown> => compile({ engine: null, flags: { model }, cwd });
    await expect(refused('./absent')).rejects.toThrow(`there is no folder ${join(cwd, 'absent')}`);
    await expect(refused('./file')).rejects.toThrow('is a file');
    await expect(refused('what is this')).rejects.toThrow('expected a model folder or a hub id');
  });

  test.each([['tensor-parallel-size'], ['pipeline-parallel-size']])('%s above 1 is refused', async (key) => {
    await expect(compile({ engine: null, flags: { model: 'a/b', [key]: '2' } })).rejects.toThrow(
      `expected 1 with engine transformers for \`--${key}\``,
    );
  });

  test('without devices it runs on the CPU, with as many replicas as asked', async () => {
    const { config, deviceCalls } = await compile({ engine: null, flags: { model: 'a/b', 'data-parallel-size': '3' } });
    expect(config.models[0]).toMatchObject({ placement: { accelerator: null }, dataParallel: 3 });
    expect(config.node.devices).toEqual([]);
    expect(deviceCalls).toBe(1);
  });

  test('with GPUs it runs on them: the free ones are offered; --cpu and the demo take none', async () => {
    const report = gpus(3);
    const busy = {
      ...report,
      devices: report.devices.map((d, i) => (i === 0 ? { ...d, processes: [{ pid: 7, memoryBytes: 1 }] } : d)),
    };
    const { config } = await compile({ engine: null, flags: { model: 'a/b' }, report: busy });
    expect(config.models[0]?.placement.accelerator).toBe('GPU');
    expect(config.node.devices.map(({ index }) => index)).toEqual([1, 2]);
    expect(config.node.leftOut).toEqual(['gpu 0 is held by pid 7']);
    const cpu = await compile({ engine: null, flags: { model: 'a/b', cpu: true }, report });
    expect(cpu.config.models[0]?.placement.accelerator).toBeNull();
    expect(cpu.config.node.devices).toEqual([]);
    expect(cpu.deviceCalls).toBe(0);
    const demo = await compile({ engine: null, report });
    expect(demo.config.models[0]?.placement.accelerator).toBeNull();
    expect(demo.deviceCalls).toBe(0);
  });

  test('engine vllm runs on NPUs where there is no GPU; the others run on the CPU there', async () => {
    const report = fakeDeviceReport('npu:2');
    const { config } = await compile({ engine: 'vllm', flags: { model: 'a/b' }, report });
    expect(config.models[0]?.placement.accelerator).toBe('NPU');
    expect(config.node.devices.map(({ kind, index }) => [kind, index])).toEqual([
      ['npu', 0],
      ['npu', 1],
    ]);
    const other = await compile({ engine: null, flags: { model: 'a/b' }, report });
    expect(other.config.models[0]?.placement.accelerator).toBeNull();
    const remote = await compile({ engine: 'vllm', flags: { model: 'a/b' }, cluster: new Set(['NPU'] as const) });
    expect(remote.config.models[0]?.placement.accelerator).toBe('NPU');
    const both = { ...report, devices: [...report.devices, ...gpus(1).devices] };
    const mixed = await compile({ engine: 'vllm', flags: { model: 'a/b' }, report: both });
    expect(mixed.config.models[0]?.placement.accelerator).toBe('GPU');
  });

  test('where all GPUs are taken it still wants one: no silent fall to the CPU', async () => {
    const report = gpus(1, { processes: [{ pid: 7, memoryBytes: 1 }] });
    const { config } = await compile({ engine: null, flags: { model: 'a/b' }, report });
    expect(config.models[0]?.placement.accelerator).toBe('GPU');
    expect(config.node).toMatchObject({ devices: [], leftOut: ['gpu 0 is held by pid 7'] });
  });

  test('NPUs are refused', async () => {
    await expect(compile({ engine: null, flags: { model: 'a/b', npus: '0' } })).rejects.toThrow('runs on CPU and CUDA');
  });
});
