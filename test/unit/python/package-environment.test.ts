import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PYTHON_WORKERS } from '../../../src/config/package-root.js';
import { type PackageEnvironmentOptions, packageEnvironment } from '../../../src/python/package-environment.js';
import { guardedRun, runProgram } from '../../../src/python/run.js';
import type { RunResult } from '../../../src/python/types.js';
import { until } from '../actors/played-client.js';

const GOOD: RunResult = { code: 0, signal: null, stdout: '', stderr: '' };

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinkle-packages-'));
  writeFileSync(join(folder, 'list.txt'), 'msgspec\n');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

type Play = (what: 'venv' | 'pip' | 'ensurepip' | 'check', signal?: AbortSignal) => Partial<RunResult> | Promise<never>;

/** Python and pip as the test plays them; `venv` makes a folder as Python would. */
function setUp(play: Play = () => ({})) {
  const commands: string[] = [];
  const steps: string[] = [];
  const run: PackageEnvironmentOptions['run'] = async (python, args, options) => {
    const made = args[0] === '-c' && args.length === 3;
    const what = made ? 'venv' : args.includes('install') ? 'pip' : args.includes('ensurepip') ? 'ensurepip' : 'check';
    commands.push(what);
    if (what === 'pip') steps.push(`list: ${readFileSync(args.at(-1) as string, 'utf8').trim()}`);
    const venv = args.at(-1) as string;
    if (made) {
      mkdirSync(join(venv, 'bin'), { recursive: true });
      writeFileSync(join(venv, 'bin', 'python'), '');
      writeFileSync(join(venv, 'bin', 'tool'), `#!${venv}/bin/python\n`);
      writeFileSync(join(venv, 'pyvenv.cfg'), `command = ${venv}\n`);
      expect(python).toBe('/py');
    }
    options.onLine?.(`${what} runs`);
    return { ...GOOD, ...(await play(what, options.signal)) };
  };
  const options = (more: Partial<PackageEnvironmentOptions> = {}): PackageEnvironmentOptions => ({
    ...{ python: '/py', packages: ['demo==1'], options: [], stamp: '', envs: join(folder, 'envs'), env: {}, run },
    ...{ list: join(folder, 'list.txt'), code: '/code', signal: new AbortController().signal, ...more },
    told: (step) => void steps.push(step),
  });
  return { commands, steps, options };
}

describe('an environment with packages', () => {
  it('is made once, and then found without a process', async () => {
    const { commands, steps, options } = setUp();
    const python = await packageEnvironment(options());
    expect(python).toMatch(/envs\/packages-[0-9a-f]{16}\/bin\/python$/);
    expect(await packageEnvironment(options())).toBe(python);
    expect(commands).toEqual(['venv', 'pip', 'check']);
    expect(steps).toContain('list: demo==1');
    expect(steps).toContain('pip runs');
    const place = join(python, '../..');
    expect(readFileSync(join(place, 'bin', 'tool'), 'utf8')).toBe(`#!${place}/bin/python\n`);
    expect(readdirSync(join(folder, 'envs'))).toEqual([place.split('/').at(-1)]); // no draft, no lock
  });

  it.each([
    ['packages', { packages: ['demo==2'] }],
    ['options', { options: ['--pre'] }],
    ['local folders', { stamp: 'x' }],
  ])('is another one for other %s', async (_what, more) => {
    const { options } = setUp();
    expect(await packageEnvironment(options(more))).not.toBe(await packageEnvironment(options()));
  });

  it('is another one for another list of what we need', async () => {
    const { options } = setUp();
    const before = await packageEnvironment(options());
    writeFileSync(join(folder, 'list.txt'), 'msgspec==99\n');
    expect(await packageEnvironment(options())).not.toBe(before);
  });

  it('is made once for two that ask at once', async () => {
    const { commands, options } = setUp();
    const [one, other] = await Promise.all([packageEnvironment(options()), packageEnvironment(options())]);
    expect([one === other, commands]).toEqual([true, ['venv', 'pip', 'check']]);
  });

  it.each([
    ['venv', 'making a venv'],
    ['pip', 'pip install'],
    ['check', 'workers cannot run with these packages'],
  ])('whose %s fails is an error with its last words, leaves nothing, and is made by the next', async (step, words) => {
    let broken = true;
    const { options } = setUp((what) => (broken && what === step ? { code: 1, stderr: 'a\nno\nsuch thing\n' } : {}));
    const made = packageEnvironment(options());
    await expect(made).rejects.toMatchObject({
      code: 'RUNTIME_ENV',
      message: expect.stringMatching(new RegExp(`demo==1.*${words}.*code 1.*no \\| such thing`)),
    });
    expect(readdirSync(join(folder, 'envs'))).toEqual([]);
    broken = false;
    expect(existsSync(await packageEnvironment(options()))).toBe(true);
  });

  it.each([
    ['there is no such interpreter', { run: () => Promise.reject(new Error('spawn /py ENOENT')) }, /demo==1.*ENOENT/],
    ['its folder cannot be made', { envs: '/proc/nowhere' }, /demo==1.*TWINKLE_CACHE/],
  ])('is refused under the same code when %s', async (_what, more, words) => {
    const made = packageEnvironment(setUp().options(more));
    await expect(made).rejects.toMatchObject({ code: 'RUNTIME_ENV', message: expect.stringMatching(words) });
  });

  it('gets pip from Python itself where the interpreter has none', async () => {
    let tried = 0;
    const none = { code: 1, stderr: '/py: No module named pip\n' };
    const { commands, options } = setUp((what) => (what === 'pip' && tried++ === 0 ? none : {}));
    await packageEnvironment(options());
    expect(commands).toEqual(['venv', 'pip', 'ensurepip', 'pip', 'check']);
  });

  it('that lost its stamp or its interpreter is not taken for whole', async () => {
    const { commands, options } = setUp();
    const python = await packageEnvironment(options());
    rmSync(python);
    await packageEnvironment(options());
    rmSync(join(python, '../../twinkle-packages.json'));
    await packageEnvironment(options());
    expect([commands.length, existsSync(python)]).toEqual([9, true]);
  });

  it('that was killed half-way leaves a draft, which the next one removes', async () => {
    const { options } = setUp();
    const draft = join(folder, 'envs', '.draft-1-x');
    mkdirSync(draft, { recursive: true });
    writeFileSync(
      join(draft, 'owner.json'),
      JSON.stringify({ host: (await import('node:os')).hostname(), pid: 4194999, start: '7' }),
    );
    await packageEnvironment(options());
    expect(existsSync(draft)).toBe(false);
  });

  it('ends when nobody wants it any more', async () => {
    const over = new AbortController();
    const { commands, options } = setUp((what, signal) =>
      what === 'pip'
        ? new Promise<never>((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
        : {},
    );
    const made = packageEnvironment(options({ signal: over.signal }));
    await until(() => commands.includes('pip'));
    over.abort(new Error('nobody'));
    await expect(made).rejects.toThrow('nobody');
    expect(readdirSync(join(folder, 'envs'))).toEqual([]);
  });
});

describe('a guarded program', () => {
  const guard = join(PYTHON_WORKERS, 'twinkle_node', 'guard.py');

  it('says what it says and ends as it ends', async () => {
    const said: string[] = [];
    const run = guardedRun('python3', guard, runProgram);
    const args = ['-c', 'import sys; print("out"); print("err", file=sys.stderr); sys.exit(3)'];
    const result = await run('python3', args, { env: process.env, onLine: (line) => said.push(line) });
    expect(result).toMatchObject({ code: 3, stdout: 'out\n', stderr: 'err\n' });
    expect(said.sort()).toEqual(['err', 'out']);
  });

  it('ends when the process that asked for it is killed', async () => {
    const script = join(folder, 'parent.mjs');
    const pidFile = join(folder, 'pid');
    const waits = `import os, time; open(${JSON.stringify(pidFile)}, "w").write(str(os.getpid())); time.sleep(600)`;
    const spawned = JSON.stringify(['-I', '-S', guard, '3', 'python3', '-c', waits]);
    // As runProgram starts it: in a group of its own, with a lifeline.
    writeFileSync(
      script,
      `import { spawn } from 'node:child_process';\nspawn('python3', ${spawned}, { detached: true, stdio: ['ignore', 'pipe', 'pipe', 'pipe'] });\nsetInterval(() => {}, 1000);\n`,
    );
    const parent = spawn(process.execPath, [script], { stdio: 'ignore' });
    await until(() => existsSync(pidFile) && readFileSync(pidFile, 'utf8') !== '');
    const pid = readFileSync(pidFile, 'utf8');
    parent.kill('SIGKILL');
    await until(() => !existsSync(`/proc/${pid}`), 'the program ends');
  });
});
