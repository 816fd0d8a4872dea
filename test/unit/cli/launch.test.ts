import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Session } from './support.js';

const MOCK = readFileSync(fileURLToPath(new URL('../../fixtures/twinkle/tests-mock.yaml', import.meta.url)), 'utf8');

let session: Session;
beforeEach(() => {
  session = new Session();
  session.env.TWINKLE_PYTHON = session.python();
  write(MOCK);
});
afterEach(() => rmSync(session.folder, { recursive: true }));

const write = (text: string): void => writeFileSync(join(session.folder, 's.yaml'), text);

/** Runs the command until it serves, and ends it with that signal. */
async function served(words: readonly string[], signal = 'SIGTERM'): Promise<number> {
  const ended = session.run(...words);
  session.head.readiness.resolve();
  session.head.drained.resolve(true);
  await Promise.race([session.head.asked.promise, ended]);
  session.signals.emit(signal);
  return await ended;
}

describe('launch', () => {
  test.each([
    [['launch', 's.yaml']],
    [['launch', '-c', 's.yaml']],
    [['launch', '-c=s.yaml']],
    [['launch', '--config=s.yaml']],
    [['serve', '-c', 's.yaml']],
    [['serve', '--config', 's.yaml']],
  ])('%j serves the file', async (words) => {
    expect(await served(words)).toBe(0);
    expect(session.config?.twinkle?.namespace).toBe('twinkle_cluster');
    expect(session.config?.http).toMatchObject({ host: '127.0.0.1', port: 8000 });
  });

  test.each(['SIGINT', 'SIGTERM'])('%s ends it with 0', async (signal) => {
    expect(await served(['launch', 's.yaml'], signal)).toBe(0);
    expect(session.head.closed).toBe(1);
  });

  test('the file of the environment, and flags over both', async () => {
    session.env.TWINKLE_SERVER_CONFIG = 's.yaml';
    session.env.TWINKLE_PORT = '9001';
    expect(await served(['launch', '--host', '::1', '--routing', 'prefix', '--log-level', 'WARNING'])).toBe(0);
    expect(session.config).toMatchObject({
      http: { host: '::1', port: 9001 },
      logLevel: 'warn',
      models: [{ routing: 'prefix' }],
    });
  });

  test.each([
    ['what the file says', 'launch', {}, [], 'of_file'],
    ['the environment over it', 'launch', { TWINKLE_RAY_NAMESPACE: 'of_env' }, [], 'of_env'],
    ['an empty variable is none', 'launch', { TWINKLE_RAY_NAMESPACE: '' }, [], 'of_file'],
    ['the flag over both', 'launch', { TWINKLE_RAY_NAMESPACE: 'of_env' }, ['--namespace', 'of_flag'], 'of_flag'],
    ['serve, too', 'serve', {}, ['--namespace=of_flag'], 'of_flag'],
  ])('the namespace: %s', async (_what, command, env, flags, namespace) => {
    write(`ray_namespace: of_file\n${MOCK}`);
    Object.assign(session.env, env);
    expect(await served([command, '-c', 's.yaml', ...flags])).toBe(0);
    expect(session.config?.twinkle?.namespace).toBe(namespace);
  });

  test('a spelling of before is named once', async () => {
    write(MOCK.replace(/^/, 'persistence_config: {mode: memory}\n').replace(/^persistence:\n(?: .*\n)+/m, ''));
    expect(await served(['launch', 's.yaml'])).toBe(0);
    expect(session.stderr.match(/spelling of before/g)).toHaveLength(1);
  });

  test('a plan starts nothing', async () => {
    expect(await session.run('launch', 's.yaml', '--dry-run', '--json')).toBe(0);
    expect(session.stdout).toContain('mock');
    expect(session.config).toBeNull();
  });

  test.each([
    [['launch'], 'expected the YAML file of a server: name it, or set TWINKLE_SERVER_CONFIG [USAGE]'],
    [['launch', '-c'], 'expected a value after `-c` [USAGE]'],
    [['launch', 's.yaml', '-c', 's.yaml'], 'expected one file but received "s.yaml" and `--config s.yaml`'],
    [['launch', 's.yaml', 'b'], 'too many arguments'],
    [
      ['launch', '-c', 'nowhere.yaml'],
      'expected a YAML file of a server, but there is no nowhere.yaml [CONFIG_INVALID]',
    ],
    [['launch', 's.yaml', '--engine', 'mock'], '`applications` describes the models, and `--engine` one of its own'],
    [['launch', 's.yaml', '--max-num-seqs', '4'], 'and `--max-num-seqs` one of its own; leave one out'],
    [['launch', 's.yaml', '--train-ranks', '2'], 'and `--train-ranks` for all; leave one out'],
    [['launch', 's.yaml', '--namespac', 'n'], 'did you mean `--namespace`?'],
    [['launch', 's.yaml', '--namespace', ''], 'expected a name for `--namespace` but received "" [USAGE]'],
    [['launch', 's.yaml', '--log-level', 'LOUD'], 'expected one of trace, debug, info, warn, error for `--log-level`'],
    [['serve', '--namespace', 'n'], '`--namespace` goes with the file of a Twinkle Server'],
  ])('%j', async (words, message) => {
    expect(await session.run(...words)).toBe(2);
    expect(session.stderr).toContain(message);
    expect(session.config).toBeNull();
  });

  test.each([
    ['of ours', 'port: 8000\nmodel: demo\n'],
    ['of Ray Serve', 'applications: [{import_path: "ray.serve.llm:build_openai_app", args: {llm_configs: []}}]\n'],
    ['with nothing to start', 'http_options: {port: 1}\napplications: []\n'],
    ['that is empty', ''],
  ])('a file %s is refused, and the way to start others is named', async (_what, text) => {
    write(text);
    expect(await session.run('launch', 's.yaml')).toBe(2);
    expect(session.stderr).toMatch(
      /but s\.yaml has none; start any other file with `serve --config` \[CONFIG_INVALID\]/,
    );
  });

  test('a namespace does not go with a file of ours', async () => {
    write('engine: mock\n');
    expect(await session.run('serve', '-c', 's.yaml', '--namespace', 'n')).toBe(2);
    expect(session.stderr).toContain('`--namespace` goes with the file of a Twinkle Server');
  });

  test.each([
    ['a: [', 's.yaml:'],
    [`${MOCK}surplus: 1\n`, '`surplus`'],
  ])('a wrong file: exit 2', async (text, message) => {
    write(text);
    expect(await session.run('launch', 's.yaml')).toBe(2);
    expect(session.stderr).toContain(message);
    expect(session.stderr).toContain('[CONFIG_INVALID]');
  });

  test('help and completion have the flags that go with such a file, and no other', async () => {
    expect(await session.run('launch', '--help')).toBe(0);
    for (const flag of ['-c, --config', '--namespace', '--log-level', '--port', '--dry-run', '--json'])
      expect(session.stdout).toContain(flag);
    for (const flag of ['--engine', '--train-gpus', '--max-num-seqs']) expect(session.stdout).not.toContain(flag);
    session.stdout = '';
    await session.run('complete', '--', 'la');
    expect(session.stdout).toMatch(/^launch\t/m);
    session.stdout = '';
    await session.run('complete', '--', 'launch', '--');
    expect(session.stdout).toMatch(/^--namespace\t/m);
    expect(session.stdout).not.toMatch(/^--engine\t/m);
    session.stdout = '';
    await session.run('complete', '--', 'launch', '--log-level', '');
    expect(session.stdout).toMatch(/^debug/m);
  });
});
