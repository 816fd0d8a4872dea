import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ConfigFile, readConfigFile } from '../../../src/runtime/config-file.js';

const MOCK = readFileSync(new URL('../../fixtures/twinkle/tests-mock.yaml', import.meta.url), 'utf8');

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'twinkle-config-file-'));
});
afterEach(() => rmSync(cwd, { recursive: true, force: true }));

const option = { source: 'option', name: 'namespace', at: null } as const;

function read(text: string, namespace: string | null = null, onlyTwinkle = false, env = {}): Promise<ConfigFile> {
  writeFileSync(join(cwd, 's.yaml'), text);
  const written = namespace === null ? null : { value: namespace, origin: option };
  return readConfigFile({ file: '~/s.yaml', onlyTwinkle, namespace: written, env, cwd: '/', userHome: cwd });
}

describe('the file of --config', () => {
  it('is a Twinkle Server’s by its applications', async () => {
    const { yaml, twinkle } = await read(MOCK);
    expect(yaml).toEqual([]);
    expect(twinkle).toMatchObject({
      host: { value: '127.0.0.1', origin: { source: 'yaml', at: expect.stringContaining(':3:') as string } },
      config: { namespace: 'twinkle_cluster' },
    });
  });

  it('says nothing of an address that it does not have', async () => {
    const { twinkle } = await read(MOCK.replace(/http_options:\n.*\n.*\n/, ''));
    expect([twinkle?.host, twinkle?.port]).toEqual([null, null]);
  });

  it('is ours otherwise', async () => {
    const { yaml, twinkle } = await read('port: 1\n');
    expect(yaml).toMatchObject([{ key: 'port', value: 1 }]);
    expect(twinkle).toBeNull();
    await expect(read('port: 1\n', null, true)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  it.each([
    [null, {}, 'of_file'],
    [null, { TWINKLE_RAY_NAMESPACE: 'of_env' }, 'of_env'],
    ['of_option', { TWINKLE_RAY_NAMESPACE: 'of_env' }, 'of_option'],
  ])('namespace %j with %j is %s', async (namespace, env, expected) => {
    const { twinkle } = await read(`ray_namespace: of_file\n${MOCK}`, namespace, true, env);
    expect(twinkle?.config.namespace).toBe(expected);
  });

  it('has to be there, and to have a namespace, where one is written', async () => {
    const none = { file: null, onlyTwinkle: false, env: {}, cwd, userHome: cwd };
    expect(await readConfigFile({ ...none, namespace: null })).toEqual({ yaml: [], twinkle: null });
    const namespace = { value: 'n', origin: option };
    await expect(readConfigFile({ ...none, namespace })).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining('`namespace` goes with the file of a Twinkle Server') as string,
    });
    await expect(read(MOCK, ' ')).rejects.toThrow('expected a name for `namespace` but received " "');
  });
});
