import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { EngineName } from '../../../src/config/types.js';
import { NAME_DISTRIBUTION, UNNAMED_VLLM } from '../../../src/python/requirements.js';
import { type ResolveOptions, repairAdvice, resolvePython } from '../../../src/python/resolve.js';
import { fakePython, type World } from './fake-python.js';

const CPU_REPORT = JSON.stringify({ install: [{ metadata: { version: '2.13.0+cpu' } }] });
const CUDA_REPORT = JSON.stringify({
  install: [{ metadata: { version: '2.13.0', requires_dist: ['nvidia-cublas==13; platform_system == "Linux"'] } }],
});

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'twinkle-python-'));
  mkdirSync(join(root, 'requirements'));
  writeFileSync(join(root, 'requirements', 'mock.txt'), '# pinned\nmsgspec==0.22.0\npyzmq==27.3.0\n');
  writeFileSync(join(root, 'requirements', 'transformers.txt'), 'torch==2.13.0\ntransformers==5.0.0\n');
});
afterEach(() => rmSync(root, { recursive: true }));

function world(description: World = {}) {
  const fake = fakePython(description);
  const steps: string[] = [];
  const resolve = (
    engine: EngineName,
    change: Partial<ResolveOptions> = {},
    interpreter: string | null = null,
    mayInstall = true,
  ) =>
    resolvePython({ interpreter, mayInstall }, engine, {
      env: { TWINKLE_CACHE: root, TWINKLE_API_KEY: 'secret', PYTHONPATH: '/x' },
      requirementsDir: join(root, 'requirements'),
      flavour: 'cpu',
      progress: { step: (text) => steps.push(text), detail: () => {} },
      run: fake.run,
      ...change,
    });
  return { ...fake, steps, resolve };
}

const environments = (): string[] => readdirSync(join(root, 'envs'));

describe('the managed environment', () => {
  test('is made once; later starts spawn nothing', async () => {
    const first = world();
    const made = await first.resolve('mock');
    expect(made).toEqual({
      python: expect.stringMatching(/envs\/mock-cpu-[0-9a-f]{12}-py3\.11\/bin\/python$/),
      engine: 'mock',
      versions: { python: '3.11.7', pyzmq: '1.0', msgspec: '1.0' },
      source: 'managed',
    });
    expect(first.commands).toEqual([
      'python3.13 probe metadata',
      'python3.12 probe metadata',
      'python3.11 probe metadata',
      '/usr/bin/python3.11 -m venv',
      `pip install --no-input -r ${join(root, 'requirements', 'mock.txt')}`,
      'python probe import',
    ]);
    expect(first.options.every(({ env }) => env.PYTHONPATH === undefined)).toBe(true);
    expect(environments()).toHaveLength(1);

    const second = world();
    expect(await second.resolve('mock')).toEqual(made);
    expect(second.commands).toEqual([]);
    expect(second.steps).toEqual([]);
  });

  test('its scripts name its final place', async () => {
    const { python } = await world().resolve('mock');
    expect(readFileSync(join(python, '..', 'pip'), 'utf8')).toBe(`#!${python}\n`);
    expect(readFileSync(join(python, '..', '..', 'pyvenv.cfg'), 'utf8')).not.toContain('.draft');
  });

  test('other requirements make another one; an older Python of the same kind is used', async () => {
    const { python } = await world().resolve('mock');
    writeFileSync(join(root, 'requirements', 'mock.txt'), 'pyzmq==28\n');
    expect((await world().resolve('mock')).python).not.toBe(python);
    const newer = world({ interpreters: { 'python3.13': [3, 13, 0] } });
    expect((await newer.resolve('mock')).python).toContain('-py3.11/');
    expect((await newer.resolve('mock', { force: true })).python).toContain('-py3.13/');
    expect((await newer.resolve('mock')).python).toContain('-py3.13/');
  });

  test('is made again when its interpreter is gone, or when forced', async () => {
    const { python } = await world().resolve('mock');
    rmSync(python);
    const again = world();
    await again.resolve('mock');
    expect(again.commands).toContain('/usr/bin/python3.11 -m venv');
    const forced = world();
    await forced.resolve('mock', { force: true });
    expect(forced.commands).toContain('/usr/bin/python3.11 -m venv');
    expect(environments()).toHaveLength(1);
  });

  test('in a place where no folder can be made (/proc, where recursive making never ends) it fails at once', async () => {
    await expect(world().resolve('mock', { env: { TWINKLE_CACHE: '/proc/twinkle/cache' } })).rejects.toMatchObject({
      code: 'SETUP_FAILED',
      message: expect.stringMatching(/\/proc\/twinkle\/cache\/envs .*\(ENOENT\).*TWINKLE_CACHE/),
    });
  });

  test('--no-setup refuses with the command to run', async () => {
    await expect(world().resolve('mock', {}, null, false)).rejects.toMatchObject({
      code: 'PYTHON_ENV',
      exitCode: 2,
      message: expect.stringContaining('npx twinkle-node setup --engine mock'),
    });
    await world().resolve('mock');
    await expect(world().resolve('mock', {}, null, false)).resolves.toMatchObject({ source: 'managed' });
  });

  test('a failed installation says what pip said, and leaves nothing', async () => {
    const failing = world({ install: { code: 1, stderr: 'ERROR: no matching distribution\n' } });
    await expect(failing.resolve('mock')).rejects.toMatchObject({
      code: 'SETUP_FAILED',
      message: expect.stringContaining('ERROR: no matching distribution'),
    });
    expect(environments()).toEqual([]);
    const full = world({ install: { code: 1, stderr: 'OSError: [Errno 28] No space left on device\n' } });
    await expect(full.resolve('mock')).rejects.toThrow('free some space, or move the cache with TWINKLE_CACHE');
  });

  test('packages that are installed but broken are no environment', async () => {
    const broken = world({ broken: { pyzmq: 'ImportError: libsodium' } });
    await expect(broken.resolve('mock')).rejects.toThrow('cannot be imported (pyzmq: ImportError: libsodium)');
    expect(environments()).toEqual([]);
  });

  test('an abort ends it and leaves nothing', async () => {
    const controller = new AbortController();
    const reason = new Error('interrupted');
    const aborted = world({
      before: (command) => {
        if (command.startsWith('pip install')) controller.abort(reason);
      },
    });
    await expect(aborted.resolve('mock', { signal: controller.signal })).rejects.toBe(reason);
    expect(environments()).toEqual([]);
  });

  test('a draft that a killed maker left is removed; that of a living one stays', async () => {
    const dead = join(root, 'envs', '.draft-1-dead');
    const alive = join(root, 'envs', '.draft-2-alive');
    for (const draft of [dead, alive]) mkdirSync(draft, { recursive: true });
    const { thisOwner } = await import('../../../src/python/lock.js');
    writeFileSync(join(dead, 'owner.json'), JSON.stringify({ ...thisOwner(), start: '1' }));
    writeFileSync(join(alive, 'owner.json'), JSON.stringify(thisOwner()));
    await world().resolve('mock');
    expect(existsSync(dead)).toBe(false);
    expect(existsSync(alive)).toBe(true);
  });

  test('two starts at once make one; the waiting one says so', async () => {
    let release = (): void => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    let reached = (): void => {};
    const installing = new Promise<void>((resolve) => {
      reached = resolve;
    });
    const first = world({
      before: (command) => {
        if (!command.startsWith('pip install')) return undefined;
        reached();
        return gate;
      },
    });
    const made = first.resolve('mock');
    await installing;
    let waiting = (): void => {};
    const told = new Promise<void>((resolve) => {
      waiting = resolve;
    });
    const second = world();
    const shared = second.resolve('mock', {
      progress: {
        step: (text) => {
          if (text.includes(`pid ${process.pid}`)) waiting();
        },
        detail: () => {},
      },
    });
    await told;
    release();
    expect(await shared).toEqual(await made);
    expect(second.commands).toEqual([]);
    expect(environments()).toHaveLength(1);
  });

  test('--wheelhouse takes wheels only from there', async () => {
    const offline = world({ torchReport: CUDA_REPORT });
    await offline.resolve('transformers', { wheelhouse: '/wheels' });
    expect(offline.commands).toContain(
      `pip install --no-input --no-index --find-links /wheels -r ${join(root, 'requirements', 'transformers.txt')}`,
    );
    expect(offline.commands.some((command) => command.includes('uv'))).toBe(false);
    const missing = world({ install: { code: 1, stderr: 'no torch\n' } });
    await expect(missing.resolve('transformers', { wheelhouse: '/other', force: true })).rejects.toThrow(
      'put the missing wheels into /other',
    );
  });
});

describe('which torch', () => {
  const installs = (commands: readonly string[]): string[] => commands.filter((command) => command.includes(' -r '));

  test('pip installs when pip would take a CPU build', async () => {
    const cpu = world({ torchReport: `WARNING: x\n${CPU_REPORT}` });
    await cpu.resolve('transformers');
    expect(installs(cpu.commands)).toEqual([expect.stringMatching(/^pip install --no-input -r /)]);
  });

  test.each([[CUDA_REPORT], [null]])(
    'uv installs the CPU build when pip would take another or cannot say',
    async (torchReport) => {
      const cpu = world({ torchReport });
      await cpu.resolve('transformers');
      expect(cpu.commands).toContain('pip install --no-input uv==0.13.9');
      expect(installs(cpu.commands)).toEqual([
        expect.stringMatching(/^uv pip install --python .* --torch-backend cpu -r /),
      ]);
      expect(cpu.options.at(-2)?.env.UV_DEFAULT_INDEX).toBe('https://mirror.example/simple');
    },
  );

  test('with a GPU pip installs what it takes, but a CPU build is replaced', async () => {
    const cuda = world({ torchReport: CUDA_REPORT });
    const { python } = await cuda.resolve('transformers', { flavour: 'cuda' });
    expect(python).toContain('transformers-cuda-');
    expect(installs(cuda.commands)).toEqual([expect.stringMatching(/^pip install/)]);
    const wrong = world({ torchReport: CPU_REPORT });
    await wrong.resolve('transformers', { flavour: 'cuda', force: true });
    expect(installs(wrong.commands)).toEqual([expect.stringMatching(/--torch-backend auto/)]);
  });

  test('a CUDA environment serves the CPU, too; the mock engine has one for both', async () => {
    await world({ torchReport: CUDA_REPORT }).resolve('transformers', { flavour: 'cuda' });
    const cpu = world();
    expect((await cpu.resolve('transformers')).python).toContain('transformers-cuda-');
    expect(cpu.commands).toEqual([]);
    await world().resolve('mock', { flavour: 'cuda' });
    expect(environments().filter((name) => name.startsWith('mock-'))).toEqual([expect.stringContaining('mock-cpu-')]);
  });
});

describe('vLLM', () => {
  const list = (name: string): string => join(root, 'requirements', name);
  beforeEach(() => {
    writeFileSync(list('vllm.txt'), 'torch==2.13.0\nvllm-cpu==0.32.0\n');
    writeFileSync(list('vllm-cuda.txt'), 'torch==2.11.0\nvllm==0.26.0\n');
  });
  const commands = (made: { commands: readonly string[] }): string[] =>
    made.commands.slice(made.commands.findIndex((command) => command.endsWith('-m venv')) + 1);

  test('on CPUs: the whole list without dependencies, then the metadata that vLLM looks for', async () => {
    const cpu = world({ torchReport: CPU_REPORT });
    const { python } = await cpu.resolve('vllm');
    expect(python).toContain('/vllm-cpu-');
    expect(commands(cpu)).toEqual([
      expect.stringContaining('torch==2.13.0'),
      `pip install --no-input --no-deps -r ${list('vllm.txt')}`,
      `python ${NAME_DISTRIBUTION}`,
      'python probe import',
    ]);
    expect(cpu.options.at(-1)?.env).toMatchObject({ VLLM_NO_USAGE_STATS: '1', DO_NOT_TRACK: '1' });
    const other = world({ torchReport: CUDA_REPORT });
    await other.resolve('vllm', { force: true });
    expect(other.commands).toContainEqual(
      expect.stringMatching(/^uv pip install --python .* --torch-backend cpu --no-deps -r .*vllm\.txt$/),
    );
  });

  test('on GPUs: another list and nothing to mend; it does not serve the CPU', async () => {
    const cuda = world({ torchReport: CUDA_REPORT });
    const { python } = await cuda.resolve('vllm', { flavour: 'cuda' });
    expect(python).toContain('/vllm-cuda-');
    expect(commands(cuda)).toEqual([
      expect.stringContaining('torch==2.11.0'),
      `pip install --no-input --no-deps -r ${list('vllm-cuda.txt')}`,
      'python probe import',
    ]);
    await expect(world().resolve('vllm', {}, null, false)).rejects.toMatchObject({ code: 'PYTHON_ENV' });
  });

  test('for NPUs nothing is made: it says what to install, and an interpreter of the user must have it', async () => {
    await world().resolve('vllm'); // an environment for CPUs does not serve NPUs
    const npus = world();
    await expect(npus.resolve('vllm', { flavour: 'ascend' })).rejects.toMatchObject({
      code: 'PYTHON_ENV',
      message: expect.stringMatching(/no managed Python environment of engine vllm for NPUs: .*vllm-ascend.*--python/),
    });
    expect(npus.commands).toEqual([]);
    const base = ['pyzmq', 'msgspec', 'torch', 'transformers', 'vllm'];
    const interpreters = { py: [3, 11, 9] } as const;
    await expect(
      world({ interpreters, installed: base }).resolve('vllm', { flavour: 'ascend' }, 'py'),
    ).rejects.toMatchObject({
      message: expect.stringMatching(/for NPUs: torch-npu \(.*\), vllm-ascend \(.*\); for NPUs vLLM, vllm-ascend/),
      details: { missing: ['torch-npu', 'vllm-ascend'] },
    });
    const whole = world({ interpreters, installed: [...base, 'torch-npu', 'vllm-ascend'] });
    await expect(whole.resolve('vllm', { flavour: 'ascend' }, 'py')).resolves.toMatchObject({ source: 'user' });
  });

  test('a wheelhouse serves both', async () => {
    for (const flavour of ['cpu', 'cuda'] as const) {
      const offline = world();
      await offline.resolve('vllm', { flavour, wheelhouse: '/wheels' });
      const file = list(flavour === 'cpu' ? 'vllm.txt' : 'vllm-cuda.txt');
      expect(offline.commands).toContain(`pip install --no-input --no-deps --no-index --find-links /wheels -r ${file}`);
    }
  });

  test('metadata that cannot be written is a failed setup', async () => {
    const failing = world({ torchReport: CPU_REPORT, script: { code: 1, stderr: 'PermissionError\n' } });
    await expect(failing.resolve('vllm')).rejects.toMatchObject({
      code: 'SETUP_FAILED',
      message: expect.stringContaining('PermissionError'),
    });
  });

  test("the user's own Python: what to run, and nothing is mended in silence", async () => {
    const installed = ['pyzmq', 'msgspec', 'torch', 'transformers'];
    const interpreters = { py: [3, 12, 1] } as const;
    const unnamed = world({ interpreters, installed, complaints: { vllm: UNNAMED_VLLM } });
    await expect(unnamed.resolve('vllm', {}, 'py')).rejects.toMatchObject({
      code: 'PYTHON_ENV',
      message: expect.stringContaining(`vllm (${UNNAMED_VLLM}); run \`/usr/bin/py ${NAME_DISTRIBUTION}\``),
    });
    expect(unnamed.commands).toEqual(['py probe metadata']);
    const without = world({ interpreters, installed });
    await expect(without.resolve('vllm', {}, 'py')).rejects.toThrow(
      `run \`/usr/bin/py -m pip install --no-deps -r ${list('vllm.txt')} && /usr/bin/py ${NAME_DISTRIBUTION}\``,
    );
    await expect(without.resolve('vllm', { flavour: 'cuda' }, 'py')).rejects.toThrow(
      `run \`/usr/bin/py -m pip install --no-deps -r ${list('vllm-cuda.txt')}\``,
    );
  });
});

describe('finding Python', () => {
  test('none, or only old ones', async () => {
    await expect(world({ interpreters: {} }).resolve('mock')).rejects.toMatchObject({ code: 'PYTHON_MISSING' });
    await expect(world({ interpreters: { python3: [3, 9, 2] } }).resolve('mock')).rejects.toThrow(
      'python3 is Python 3.9.2',
    );
  });

  test('one that cannot make environments: which Debian package', async () => {
    await expect(world({ interpreters: { 'python3.11': null } }).resolve('mock')).rejects.toThrow(
      'apt install python3.11-venv',
    );
  });
});

describe("the user's own Python", () => {
  test('is asked for its packages, and nothing is made', async () => {
    const own = world({ interpreters: { py: [3, 12, 1] }, installed: ['pyzmq', 'msgspec'] });
    expect(await own.resolve('mock', {}, 'py')).toEqual({
      python: '/usr/bin/py',
      engine: 'mock',
      versions: { python: '3.12.1', pyzmq: '1.0', msgspec: '1.0' },
      source: 'user',
    });
    expect(own.commands).toEqual(['py probe metadata']);
  });

  test('what is missing is named, with the line to run', async () => {
    const own = world({ interpreters: { py: [3, 12, 1] }, installed: ['pyzmq', 'msgspec', 'safetensors', 'jinja2'] });
    await expect(own.resolve('transformers', {}, 'py')).rejects.toMatchObject({
      code: 'PYTHON_ENV',
      message: expect.stringContaining('run `/usr/bin/py -m pip install torch transformers`'),
    });
  });

  test('absent, or too old', async () => {
    await expect(world().resolve('mock', {}, 'nopython')).rejects.toMatchObject({
      code: 'PYTHON_MISSING',
      message: 'cannot run Python "nopython": there is no such file',
    });
    await expect(world({ interpreters: { py: [3, 10, 0] } }).resolve('mock', {}, 'py')).rejects.toThrow(
      'but py is 3.10.0',
    );
  });

  test('advice for a broken one', () => {
    const environment = { python: '/p', engine: 'mock', versions: {}, source: 'managed' } as const;
    expect(repairAdvice(environment)).toContain('setup --engine mock --force');
    expect(repairAdvice({ ...environment, source: 'user' })).toContain('/p');
  });
});
