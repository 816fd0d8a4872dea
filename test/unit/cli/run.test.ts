import { rmSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Session } from './support.js';

let session: Session;
beforeEach(() => {
  session = new Session();
});
afterEach(() => rmSync(session.folder, { recursive: true }));

describe('usage', () => {
  test('help and version go to stdout and are no error', async () => {
    expect(await session.run('--help')).toBe(0);
    expect(await session.run()).toBe(0);
    expect(await session.run('--version')).toBe(0);
    expect(session.stdout).toMatch(/Serving:\n {2}serve .*[\s\S]*This machine:\n {2}setup/);
    expect(session.stdout).toMatch(/^\d+\.\d+\.\d+$/m);
    expect(session.stderr).toBe('');
  });

  test('the help of serve is grouped and lists the arguments of the engines', async () => {
    expect(await session.run('serve', '--help')).toBe(0);
    for (const heading of [
      'Model:',
      'Devices:',
      'HTTP:',
      'Access:',
      'Runtime:',
      'Output:',
      'Arguments of engine mock',
    ]) {
      expect(session.stdout).toContain(heading);
    }
    expect(session.stdout).toContain('--max-num-seqs');
  });

  test.each([
    [['serv'], 'did you mean `serve`?'],
    [['status', '--jsn'], 'did you mean `--json`?'],
    [['serve', '--prot', '1'], 'did you mean `--port`?'],
    [['serve', 'a', 'b'], 'too many arguments'],
    [['serve', '--engine'], 'expected a value after `--engine`'],
    [['serve', 'a', '--model', 'b'], 'expected one model but received "a" and `--model`'],
    [['setup', '--engine', 'vlm'], 'Allowed choices are vllm, transformers, mock'],
    [['stop', '--timeout', 'soon'], 'expected a number of seconds for `--timeout`'],
    [['stop', 'x'], 'no running instance "x"'],
    [['logs'], 'there are no logs in'],
    [['logs', '--rank', 'first'], 'expected a whole number for `--rank`'],
    [['doctor', '--port', '0'], 'expected a port from 1 to 65535'],
    [['setup', '--wheelhouse', 'nowhere'], 'there is no'],
    [['completion', 'tcsh'], 'Allowed choices are bash, zsh, fish'],
  ])('%j', async (argv, message) => {
    expect(await session.run(...argv)).toBe(2);
    expect(session.stderr).toContain(message);
    expect(session.stderr).toMatch(/\[USAGE\]\n$/);
    expect(session.stdout).toBe('');
  });

  test('a group without its command shows what there is', async () => {
    expect(await session.run('list')).toBe(2);
    expect(session.stderr).toContain('devices');
  });

  test('with --json an error is one object on stdout, too', async () => {
    expect(await session.run('stop', 'x', '--json')).toBe(2);
    expect(session.lines()).toEqual([
      { event: 'error', code: 'USAGE', message: expect.stringContaining('no running instance'), exit: 2, details: {} },
    ]);
  });

  test('colours only for terminals', async () => {
    const { runCli } = await import('../../../src/cli/run.js');
    await runCli(['serv'], session.io(true), session.parts);
    expect(session.stderr).toContain('\u001b[31merror');
    session.stderr = '';
    session.env.NO_COLOR = '1';
    await runCli(['serv'], session.io(true), session.parts);
    expect(session.stderr).toMatch(/^error: /);
  });
});

describe('completion', () => {
  test.each(['bash', 'zsh', 'fish'])('the script of %s asks this program', async (shell) => {
    expect(await session.run('completion', shell)).toBe(0);
    expect(session.stdout).toContain('twinkle-node complete --');
  });

  test('answers with commands, flags, and choices', async () => {
    await session.run('complete', '--', 'ser');
    expect(session.stdout).toMatch(/^serve\t/m);
    session.stdout = '';
    await session.run('complete', '--', 'serve', '--max-');
    expect(session.stdout).toMatch(/^--max-model-len\t/m);
    expect(session.stdout).toMatch(/^--max-num-seqs\t/m);
    session.stdout = '';
    await session.run('complete', '--', 'serve', '--engine', '');
    expect(session.stdout).toMatch(/^transformers$|^transformers\t/m);
  });
});

describe('list devices', () => {
  test('people get a table, programs one document', async () => {
    expect(await session.run('list', 'devices')).toBe(0);
    expect(session.stdout).toContain('cpu: ');
    session.stdout = '';
    expect(await session.run('list', 'devices', '--json')).toBe(0);
    expect(session.lines()).toEqual([
      expect.objectContaining({ devices: expect.any(Array), libraries: expect.any(Array), cpu: expect.any(Object) }),
    ]);
  });
});

describe('doctor', () => {
  test('every line has a level and a fix unless it is OK; a broken addon fails with its exit code', async () => {
    session.env.TWINKLE_PYTHON = session.python();
    session.parts = { ...session.parts, probeNative: async () => 'it kills its process (SIGSEGV)' };
    expect(await session.run('doctor', '--json', '--port', '1')).toBe(4);
    const findings = session.lines();
    expect(findings.find(({ check }) => check === 'addon')).toMatchObject({
      level: 'fail',
      fix: 'build it again: npm run build',
    });
    for (const finding of findings) expect(finding.fix === null).toBe(finding.level === 'ok');
    const checks = findings.map(({ check }) => check);
    for (const check of ['node', 'memlock', 'shm', 'python-mock', 'port', 'home', 'compiler'])
      expect(checks).toContain(check);
  });

  test('for people: OK and WARN, no failure, exit 0', async () => {
    session.env.TWINKLE_PYTHON = session.python();
    expect(await session.run('doctor', '--port', '1')).toBe(0);
    expect(session.stdout).toMatch(/^OK {4}native addon/m);
    expect(session.stdout).toMatch(/^OK {4}port 1 is free/m);
    expect(session.stdout).not.toMatch(/^FAIL/m);
  });

  test('a port that is taken names its holder', async () => {
    const { createServer } = await import('node:net');
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    session.env.TWINKLE_PYTHON = session.python();
    expect(await session.run('doctor', '--port', String(port))).toBe(6);
    expect(session.stdout).toContain(`port ${port} is held by pid ${process.pid}`);
    await new Promise((resolve) => server.close(resolve));
  });
});

describe('a home folder that cannot be', () => {
  test.each([
    ['/proc/x/y', /\/proc\/x: the system makes no folder there/],
    ['/dev/null', /a part of that path is a file/],
    ['nul\0nul', /the path has a NUL in it/],
  ])('%j: `start` refuses it at once and says what to do', async (home, words) => {
    expect(await session.run('start', '--head', '--home', home)).toBe(2);
    expect(session.stderr).toMatch(words);
    expect(session.stderr).toMatch(/give another one with --home or TWINKLE_HOME .*CONFIG_INVALID/);
    expect(session.stderr).not.toContain('This is a bug');
  });

  test('`doctor` tries it', async () => {
    session.env.TWINKLE_PYTHON = session.python();
    expect(await session.run('doctor', '--port', '1', '--home', '/proc/x/y')).toBe(1);
    expect(session.stdout).toMatch(
      /^FAIL {2}\/proc\/x\/y cannot be the home folder: \/proc: the system makes no folder/m,
    );
  });
});

describe('inspect', () => {
  test('tells versions and variables, but no secrets and not who the user is', async () => {
    session.env.TWINKLE_API_KEY = 'sesame';
    session.env.HF_TOKEN = 'sesame';
    session.env.CUDA_VISIBLE_DEVICES = '0';
    expect(await session.run('inspect')).toBe(0);
    expect(session.stdout).toContain('"CUDA_VISIBLE_DEVICES": "0"');
    expect(session.stdout).toContain('"HF_TOKEN": "***"');
    expect(session.stdout).not.toContain('sesame');
    expect(session.stdout).not.toContain(session.folder);
    session.stdout = '';
    await session.run('inspect', '--json');
    expect(session.lines()).toHaveLength(1);
  });
});
