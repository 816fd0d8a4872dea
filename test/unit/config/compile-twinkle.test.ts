import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CompiledConfig } from '../../../src/config/compile.js';
import { isOptionKey, type OptionKey } from '../../../src/config/options.js';
import type { Written } from '../../../src/config/settings.js';
import type { DeviceReport } from '../../../src/native/types.js';
import { configure } from '../../../src/runtime/configure.js';
import { device, gpus } from './support.js';
import { FIXTURES, model, sampler } from './twinkle/support.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinkle-file-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

interface Wish {
  readonly flags?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly report?: DeviceReport;
  readonly cluster?: ReadonlySet<'GPU' | 'NPU'>;
  readonly configFile?: string | null;
  readonly engineArgs?: readonly { name: string; value: unknown; where: string }[];
}

type Started = CompiledConfig & { readonly asked: { devices: number; cluster: number } };

/** What `serve --config s.yaml` compiles. */
async function start(yaml: string, wish: Wish = {}): Promise<Started> {
  writeFileSync(join(folder, 's.yaml'), yaml);
  const written = new Map<OptionKey, Written>();
  for (const [key, value] of Object.entries(wish.flags ?? {})) {
    if (!isOptionKey(key)) throw new Error(`no option ${key}`);
    written.set(key, { value, origin: { source: 'flag', name: `--${key}`, at: null } });
  }
  const asked = { devices: 0, cluster: 0 };
  const compiled = await configure({
    written,
    engineArgs: wish.engineArgs ?? [],
    env: { HOME: folder, ...wish.env },
    cwd: folder,
    configFile: wish.configFile === undefined ? 's.yaml' : wish.configFile,
    mayWrite: false,
    devices: async () => {
      asked.devices++;
      return wish.report ?? gpus(4);
    },
    cluster: async () => {
      asked.cluster++;
      return wish.cluster ?? null;
    },
  });
  return { ...compiled, asked };
}

const MOCK = FIXTURES.get('tests-mock.yaml') ?? '';
const on = (kind: string): string => model('backend: mock').replace('device_type: cuda', `device_type: ${kind}`);
const indices = ({ config }: Started): string[] => config.node.devices.map(({ kind, index }) => `${kind} ${index}`);

describe('the file of a Twinkle Server', () => {
  it('is what is served, trained and listened on; the whole of it is kept', async () => {
    const { asked, config, warnings } = await start(MOCK);
    expect(config.models.map(({ servedNames, engine }) => [servedNames, engine])).toEqual([[['mock-model'], 'mock']]);
    expect(config.trained.map(({ name, engine, ranks }) => [name, engine, ranks])).toEqual([['mock-model', 'mock', 1]]);
    expect(config.http).toMatchObject({ host: '127.0.0.1', port: 8000 });
    expect(config.twinkle?.applications.map(({ kind }) => kind)).toEqual(['server', 'model', 'sampler']);
    expect(warnings).toEqual([expect.stringContaining('`persistence`: mode file is not here yet')]);
    // Nothing of it runs on a device: nobody is asked for any.
    expect(asked).toEqual({ devices: 0, cluster: 0 });
  });

  it('is found by the variable, too', async () => {
    const { config } = await start(MOCK, { configFile: null, env: { TWINKLE_CONFIG: 's.yaml' } });
    expect(config.trained).toHaveLength(1);
    expect((await start(MOCK, { configFile: null })).config.twinkle).toBeNull();
  });

  it('is known by what its applications are, and no other file is taken for one', async () => {
    const { config } = await start('engine: mock\n');
    expect([config.twinkle, config.trained]).toEqual([null, []]);
    await expect(start('applications: [{import_path: "mod:app"}]')).rejects.toThrow(
      'of an application file of Ray Serve',
    );
  });

  it('that is wrong says so, as check-config does', async () => {
    await expect(start(model('max_lora: 1'))).rejects.toThrow(/s\.yaml:11:7: .*max_lora/);
    await expect(start(MOCK, { configFile: 'none.yaml' })).rejects.toThrow('there is no none.yaml');
  });

  it('warns of spellings of before, and of arguments that rehearsals make no use of', async () => {
    const yaml = sampler('ranks: 1, device_type: CPU', 'dp_size: 1', 'enable_lora: true').replace('vllm', 'mock');
    const { warnings } = await start(yaml);
    expect(warnings).toEqual([expect.stringContaining('the mock engine makes no use of `enable_lora`')]);
  });
});

describe('its address', () => {
  const at = (http: string): string => `http_options: {${http}}\n${on('CPU')}`;

  it('is ours where it says nothing', async () => {
    const { config, origins } = await start(on('CPU'));
    expect(config.http).toMatchObject({ host: '127.0.0.1', port: 8000 });
    expect([origins.host, origins.port].map(({ source }) => source)).toEqual(['default', 'default']);
  });

  it('yields to the variable, and that to the flag', async () => {
    const yaml = at('host: 127.0.0.2, port: 9000');
    const env = { TWINKLE_PORT: '9001' };
    const port = async (wish: Wish): Promise<unknown[]> => {
      const { config, origins } = await start(yaml, wish);
      return [config.http.host, config.http.port, origins.port.source];
    };
    expect(await port({})).toEqual(['127.0.0.2', 9000, 'yaml']);
    expect(await port({ env })).toEqual(['127.0.0.2', 9001, 'env']);
    expect(await port({ env, flags: { port: '9002' } })).toEqual(['127.0.0.2', 9002, 'flag']);
  });

  it('that is wrong is told with its line', async () => {
    await expect(start(at('port: 70000'))).rejects.toThrow(/s\.yaml:1:\d+: .*70000/);
    const uds = start(at('host: 127.0.0.1, port: 9000'), { flags: { uds: '/tmp/x' } });
    await expect(uds).rejects.toThrow('`--uds` or `http_options.host`');
  });
});

describe('what is said beside it', () => {
  it.each([
    [{ flags: { model: 'm' } }, '`applications` describes the models, and `--model` one of its own; leave one out'],
    [{ flags: { 'replica-cpus': '1' } }, 'and `--replica-cpus` one of its own'],
    [{ env: { TWINKLE_ENGINE: 'mock' } }, 'and `TWINKLE_ENGINE` one of its own'],
    [
      { engineArgs: [{ name: 'enable_lora', value: true, where: '--enable-lora' }] },
      'and `--enable-lora` one of its own',
    ],
    [
      { flags: { 'train-gpus': '0' } },
      '`applications` says for each model how it is trained, and `--train-gpus` for all',
    ],
    [{ flags: { 'sleep-while-training': true } }, 'and `--sleep-while-training` for all; leave one out'],
    [{ env: { TWINKLE_MAX_TRAINING_RUNS: '2' } }, 'and `TWINKLE_MAX_TRAINING_RUNS` for all'],
  ])('%j is refused with the line of the applications', async (wish, words) => {
    await expect(start(MOCK, wish)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await expect(start(MOCK, wish)).rejects.toThrow(/s\.yaml:8:1: /);
    await expect(start(MOCK, wish)).rejects.toThrow(words);
  });

  it('what is of the server goes with it', async () => {
    const flags = { 'log-level': 'debug', 'num-cpus': '3', 'training-idle-timeout': '5', home: folder };
    const { config } = await start(MOCK, { flags });
    expect(config).toMatchObject({ logLevel: 'debug', node: { cpus: 3 }, training: { idleMs: 5000 }, home: folder });
  });

  it('models come from where the command was given', async () => {
    const { config } = await start(model().replace('model_id: a/b', 'model_id: .'));
    expect(config.trained[0]?.model).toBe(folder);
  });
});

describe('devices', () => {
  it('all that are free are offered to what asks for such', async () => {
    const busy = { ...gpus(2), devices: [device(0), device(1, { processes: [{ pid: 7, memoryBytes: 1 }] } as never)] };
    const made = await start(on('cuda'), { report: busy });
    expect(indices(made)).toEqual(['gpu 0']);
    expect(made.config.node.leftOut).toEqual(['gpu 1 is held by pid 7']);
    expect(made.asked).toEqual({ devices: 1, cluster: 1 });
    expect(made.config.trained[0]?.placement.accelerator).toBe('GPU');
  });

  it('--gpus offers those and no others', async () => {
    const made = await start(on('cuda'), { flags: { gpus: '3,1' } });
    expect(indices(made)).toEqual(['gpu 3', 'gpu 1']);
    expect(made.asked).toEqual({ devices: 1, cluster: 0 });
    await expect(start(on('cuda'), { flags: { gpus: '9' } })).rejects.toMatchObject({ code: 'DEVICE_MISSING' });
  });

  it('of both kinds: those that are named, and of the other what is free', async () => {
    const npus = [0, 1].map((index) => device(index, { kind: 'npu', uuid: `NPU-${index}`, name: 'Fake 910B' }));
    const links = [{ a: 0, b: 1, kind: 'hccs' as const, lanes: 1 }];
    const report = { ...gpus(2), devices: [...gpus(2).devices, ...npus], links };
    const yaml =
      on('cuda') +
      on('npu')
        .replace(/^[\s\S]*applications:\n/, '')
        .replace('name: m', 'name: n')
        .replaceAll('a/b', 'c/d');
    const made = await start(yaml, { report, flags: { gpus: '1' } });
    expect(indices(made)).toEqual(['gpu 1', 'npu 0', 'npu 1']);
    // Links go by positions in what is offered.
    expect(made.config.node.links).toEqual([{ a: 1, b: 2, kind: 'hccs', lanes: 1 }]);
    const ill = { ...report, devices: report.devices.map((one) => ({ ...one, health: 'ill' as const })) };
    const both = await start(yaml, { report: ill as never, flags: { gpus: '1', npus: '0' } });
    expect(indices(both)).toEqual(['gpu 1', 'npu 0']);
    expect(both.warnings).toEqual(['gpu 1 reports ill', 'npu 0 reports ill']);
    expect(both.asked.devices).toBe(1);
  });

  it('are those of the cluster where one gives them out', async () => {
    const made = await start(on('cuda'), { cluster: new Set(['GPU']) });
    expect(indices(made)).toEqual([]);
    expect(made.asked).toEqual({ devices: 0, cluster: 1 });
  });

  it.each([
    ['CPU', { gpus: '0' }, '`--gpus` names devices, and no application asks for such; leave it out'],
    ['cuda', { npus: '0' }, '`--npus` names devices, and no application asks for such'],
    ['cuda', { cpu: true }, '`--cpu` allows no accelerator, and applications ask for GPUs'],
  ])('that nobody asked for are refused: %s with %j', async (kind, flags, words) => {
    await expect(start(on(kind), { flags })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await expect(start(on(kind), { flags })).rejects.toThrow(words);
  });

  it('--cpu goes with what runs on CPUs', async () => {
    expect((await start(on('CPU'), { flags: { cpu: true } })).config.trained).toHaveLength(1);
  });
});
