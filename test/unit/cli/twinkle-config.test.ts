// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references of OmegaConf look like templates
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { model } from '../config/twinkle/support.js';
import { Session } from './support.js';

let session: Session;
beforeEach(() => {
  session = new Session();
  writeFileSync(join(session.folder, 's.yaml'), model());
});
afterEach(() => rmSync(session.folder, { recursive: true }));

const write = (text: string): void => writeFileSync(join(session.folder, 's.yaml'), text);

describe('check-config', () => {
  test.each([[['s.yaml']], [['-c', 's.yaml']], [['--config', 's.yaml']]])('%j', async (words) => {
    expect(await session.run('check-config', ...words)).toBe(0);
    expect([session.stdout, session.stderr]).toEqual(['ok\n', '']);
  });

  test('the file of the environment', async () => {
    session.env.TWINKLE_SERVER_CONFIG = 's.yaml';
    expect(await session.run('check-config')).toBe(0);
  });

  test('what it warns of is no mistake', async () => {
    write(model('use_megatron: true'));
    expect(await session.run('check-config', 's.yaml', '--json')).toBe(0);
    const warning = 's.yaml:11:7: `use_megatron` is the spelling of before; write `backend: megatron`';
    expect(session.stderr).toBe(`warning: ${warning}\n`);
    expect(JSON.parse(session.stdout)).toEqual({ ok: true, warnings: [warning] });
  });

  test('mistakes: exit 2, a line each', async () => {
    write(`port: 1\n${model('max_lora: 1').trimStart()}`);
    expect(await session.run('check-config', 's.yaml')).toBe(2);
    expect(session.stdout).toBe('');
    expect(session.stderr).toMatch(/^error: 2 mistakes:\ns\.yaml:1:1: .*\ns\.yaml:11:7: .*\n \[CONFIG_INVALID\]\n$/);
  });

  test.each([
    [[], 'expected the YAML file of a server'],
    [['a', '-c', 'b'], 'expected one file but received "a" and `--config b`'],
    [['nowhere.yaml'], 'there is no nowhere.yaml'],
    [['.'], '. cannot be read: EISDIR'],
  ])('%j', async (words, message) => {
    expect(await session.run('check-config', ...words)).toBe(2);
    expect(session.stderr).toContain(message);
  });
});

describe('print-config', () => {
  test('as YAML, with origins', async () => {
    expect(await session.run('print-config', 's.yaml', '--origin')).toBe(0);
    expect(session.stdout).toContain('http_options:\n  host: localhost # default\n');
    expect(session.stdout).toContain('        name: g # s.yaml:8:22\n');
    expect(session.stdout).toContain('    # default\n    deployments: []\n');
    session.stdout = '';
    expect(await session.run('print-config', 's.yaml')).toBe(0);
    expect(session.stdout).not.toContain('#');
  });

  test('as JSON', async () => {
    session.env.TWINKLE_PRINT_FORMAT = 'json';
    expect(await session.run('print-config', 's.yaml')).toBe(0);
    expect(JSON.parse(session.stdout)).toMatchObject({
      http_options: { port: 8000 },
      applications: [{ name: 'm' }, {}],
    });
    session.stdout = '';
    expect(await session.run('print-config', 's.yaml', '--origin')).toBe(0);
    const { applications } = JSON.parse(session.stdout);
    expect(applications[0]).toMatchObject({
      name: { value: 'm', origin: 's.yaml:3:5' },
      args: { max_loras: { value: 5, origin: 'default' } },
    });
    expect(applications[0].deployments).toEqual({ value: [], origin: 'default' });
  });

  test('no secrets', async () => {
    const env =
      'deployments: [{ray_actor_options: {runtime_env: {env_vars: {HF_TOKEN: hf_s3cret, PGPASSWORD: s3cret, B: "git+https://u:s3/cret@h", TOKENIZERS_PARALLELISM: "false", MODE: plain}}}}]';
    write(
      `persistence: {mode: redis, redis_url: "redis://user:s3cret@h:1/0?password=s3cret", key_prefix: "p:"}\n${model()}    ${env}\n`,
    );
    expect(await session.run('print-config', 's.yaml')).toBe(0);
    expect(session.stdout).toContain('redis_url: redis://***@h:1/0?password=***\n');
    expect(session.stdout).toContain('HF_TOKEN: "***"');
    expect(session.stdout).toContain('MODE: plain');
    expect(session.stdout).toContain('TOKENIZERS_PARALLELISM: "false"');
    expect(session.stdout).not.toMatch(/s3\/?cret/);
  });

  test('what looks like a reference is text again', async () => {
    write('ray_namespace: \\${foo}\n');
    expect(await session.run('print-config', 's.yaml')).toBe(0);
    write(session.stdout);
    session.stdout = '';
    expect(await session.run('print-config', 's.yaml', '--format', 'json')).toBe(0);
    expect(session.stdout).toContain('"ray_namespace": "\\\\${foo}"');
  });

  test.each([
    [['--format', 'toml'], 'Allowed choices are yaml, json'],
    [['-c', 'x'], 'expected one file'],
  ])('%j', async (words, message) => {
    expect(await session.run('print-config', 's.yaml', ...words)).toBe(2);
    expect(session.stderr).toContain(message);
  });

  test('a format of the environment that there is not', async () => {
    session.env.TWINKLE_PRINT_FORMAT = 'toml';
    expect(await session.run('print-config', 's.yaml')).toBe(2);
    expect(session.stderr).toContain('expected yaml or json for `TWINKLE_PRINT_FORMAT`');
  });
});
