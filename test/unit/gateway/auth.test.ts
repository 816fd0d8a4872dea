/** Keys, tenants, and which routes are open. */
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import type { AuthConfig } from '../../../src/config/types.js';
import { gateway } from './harness.js';

const hash = (key: string): string => createHash('sha256').update(key).digest('hex');
const KEYS: AuthConfig = { mode: 'keys', keyHashes: [hash('tml-one'), hash('tml-two')], generatedKey: null };
const ANONYMOUS: AuthConfig = { mode: 'anonymous', keyHashes: [], generatedKey: null };
const REQUEST = { method: 'POST', url: '/v1/completions', payload: { prompt: 'a' } } as const;

async function tenantOf(auth: AuthConfig, headers: Record<string, string>): Promise<string | number> {
  const { app, inference } = await gateway({ auth });
  const answer = await app.inject({ ...REQUEST, headers });
  return answer.statusCode === 200 ? (inference.calls[0]?.caller.tenant ?? '') : answer.statusCode;
}

test.each([
  [KEYS, { authorization: 'Bearer tml-two' }, hash('tml-two').slice(0, 16)],
  [KEYS, { authorization: 'bearer  tml-one' }, hash('tml-one').slice(0, 16)],
  [KEYS, { 'x-api-key': 'tml-one' }, hash('tml-one').slice(0, 16)],
  [KEYS, { authorization: 'Basic abc', 'x-api-key': 'tml-one' }, hash('tml-one').slice(0, 16)],
  [KEYS, {}, 401],
  [KEYS, { authorization: 'Bearer tml-on' }, 401],
  [KEYS, { authorization: 'tml-one' }, 401],
  [KEYS, { 'x-api-key': '' }, 401],
  [KEYS, { authorization: 'Bearer wrong', 'x-api-key': 'tml-one' }, 401],
  [ANONYMOUS, {}, 'local'],
  [ANONYMOUS, { authorization: 'Bearer anything' }, hash('anything').slice(0, 16)],
  [{ ...KEYS, mode: 'off' }, { authorization: 'Bearer anything' }, 'local'],
] as const)('%o with %o', async (auth, headers, expected) => {
  expect(await tenantOf(auth, headers)).toBe(expected);
});

test('a refusal says how, names no key, and comes before the body is looked at', async () => {
  const { app } = await gateway({ auth: KEYS });
  const answer = await app.inject({ ...REQUEST, payload: '{', headers: { authorization: 'Bearer secret-key' } });
  expect(answer.statusCode).toBe(401);
  expect(answer.headers['www-authenticate']).toBe('Bearer');
  expect(answer.body).not.toContain('secret-key');
  expect(answer.json()).toEqual({
    error: { message: expect.any(String), type: 'authentication_error', param: null, code: 'invalid_api_key' },
  });
});

test('health routes need no key, all others do', async () => {
  const { app } = await gateway({ auth: KEYS });
  const status = async (url: string, method: 'GET' | 'POST' = 'GET') => (await app.inject({ method, url })).statusCode;
  for (const url of ['/health', '/livez', '/readyz', '/startupz', '/ping', '/version'])
    expect(await status(url)).toBe(200);
  expect(await status('/ping', 'POST')).toBe(200);
  for (const url of ['/v1/models', '/v1/models/demo', '/v1/models/a/b', '/metrics', '/load', '/openapi.json']) {
    expect(await status(url)).toBe(401);
  }
  for (const url of ['/v1/completions', '/v1/chat/completions', '/tokenize', '/detokenize']) {
    expect(await status(url, 'POST')).toBe(401);
  }
});
