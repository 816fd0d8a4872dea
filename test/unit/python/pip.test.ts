import { describe, expect, test } from 'vitest';
import { flavourOfReport, installerEnvironment, uvSettings } from '../../../src/python/pip.js';

const report = (version: string, requires: string[] = []): string =>
  JSON.stringify({ install: [{ metadata: { version, requires_dist: requires } }] });

describe('flavourOfReport', () => {
  test.each([
    ['2.13.0+cpu', [], 'cpu'],
    ['2.13.0+cu130', [], 'cuda'],
    ['2.13.0', ['filelock', 'nvidia-nccl-cu13==2; platform_system == "Linux"'], 'cuda'],
    ['2.13.0', ['cuda-toolkit==13; sys_platform == "linux"'], 'cuda'],
    ['2.13.0', ['filelock', 'sympy'], 'cpu'],
    ['2.13.0', ['nvidia-nccl-cu13==2; platform_machine == "riscv64"'], 'cpu'],
  ])('%s %j is %s', (version, requires, flavour) => {
    expect(flavourOfReport(report(version, requires))).toBe(flavour);
  });

  test('nothing to install, or no report', () => {
    expect(flavourOfReport('{"install": []}')).toBeNull();
    expect(flavourOfReport('')).toBeNull();
  });
});

test('uvSettings: the last of several places wins, lists are split', () => {
  const config = [
    "global.index-url='https://a.example/simple'",
    ":env:.index-url='https://b.example/simple'",
    "global.extra-index-url='https://c.example/simple https://d.example/simple'",
    "global.find-links='/wheels\\n/more'",
    "global.cert='/ca.pem'",
    "global.timeout='15'",
  ].join('\n');
  expect(uvSettings(config)).toEqual({
    UV_DEFAULT_INDEX: 'https://b.example/simple',
    UV_INDEX: 'https://c.example/simple https://d.example/simple',
    UV_FIND_LINKS: '/wheels,/more',
    SSL_CERT_FILE: '/ca.pem',
  });
  expect(uvSettings('')).toEqual({});
});

test('the installers see the index of the user, but no other Python', () => {
  const env = installerEnvironment({ PIP_INDEX_URL: 'x', PYTHONPATH: 'y', VIRTUAL_ENV: 'z' });
  expect(env).toMatchObject({ PIP_INDEX_URL: 'x' });
  expect(env).not.toHaveProperty('PYTHONPATH');
  expect(env).not.toHaveProperty('VIRTUAL_ENV');
});
