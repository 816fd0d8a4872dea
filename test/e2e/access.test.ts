/** Who may ask: keys configured, generated and wrong; and that no key is left lying about. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { CliServer, runCli } from '../support/cli.js';
import { killProcess } from '../support/gang-kit.js';
import { post, untilMetric } from '../support/http.js';

const MOCK = ['mock', '--engine', 'mock'];
const BODY = { model: 'mock', prompt: 'go', max_tokens: 2 };

/** Status of a completion that shows this key. */
const asked = async (url: string, headers: Record<string, string> = {}): Promise<number> =>
  (await post(`${url}/v1/completions`, BODY, headers)).status;

/** Files below a folder that hold `secret`, sockets left out. */
function filesWith(folder: string, secret: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => readFileSync(path).includes(secret));
}

/** Kill a rank, so that there is an incident, and wait for its successor. */
async function breakOnce(server: CliServer, url: string, key: string): Promise<void> {
  const [rank = 0] = await server.rankPids();
  killProcess(rank, 'SIGKILL');
  await untilMetric(url, 'twinkle_gang_restarts_total', 1, { 'x-api-key': key });
}

/** What ranks can read of the server's secrets. */
async function rankKnows(server: CliServer, secret: string): Promise<boolean> {
  const pids = await server.rankPids();
  expect(pids.length).toBeGreaterThan(0);
  return pids.some((pid) => ['environ', 'cmdline'].some((of) => readFileSync(`/proc/${pid}/${of}`).includes(secret)));
}

it('takes keys of flags and of the environment, in either header, and nothing else', async () => {
  await using server = await CliServer.ready([...MOCK, '--api-key', 'tml-first', '--api-key', 'tml-second']);
  const { url } = server;
  expect(await asked(url)).toBe(401);
  expect(await asked(url, { authorization: 'Bearer tml-firs' })).toBe(401);
  expect(await asked(url, { authorization: 'Basic tml-first' })).toBe(401);
  expect(await asked(url, { 'x-api-key': 'tml-first ,tml-second' })).toBe(401);
  expect(await asked(url, { authorization: 'Bearer tml-first' })).toBe(200);
  expect(await asked(url, { 'x-api-key': 'tml-second' })).toBe(200);
  const refused = await post(`${url}/v1/chat/completions`, 'not even JSON');
  expect(refused.status).toBe(401);
  expect(refused.headers.get('www-authenticate')).toBe('Bearer');
  expect(refused.json.error).toMatchObject({ type: 'authentication_error', code: 'invalid_api_key' });
  for (const route of ['/v1/models', '/metrics', '/openapi.json']) {
    expect([route, (await fetch(`${url}${route}`)).status]).toEqual([route, 401]);
  }
  for (const route of ['/health', '/livez', '/readyz', '/startupz', '/ping', '/version']) {
    expect([route, (await fetch(`${url}${route}`)).status]).toEqual([route, 200]);
  }
});

it('keeps TWINKLE_API_KEY from ranks, logs, incidents and what `inspect` shows', async () => {
  const key = 'tml-a-secret-of-the-environment';
  await using server = await CliServer.ready(MOCK, { TWINKLE_API_KEY: key });
  expect(await asked(server.url)).toBe(401);
  expect(await asked(server.url, { 'x-api-key': key })).toBe(200);
  expect(await rankKnows(server, key)).toBe(false);
  await breakOnce(server, server.url, key);
  expect(readdirSync(join(server.home, 'incidents'))).toHaveLength(1);
  expect(filesWith(server.home, key)).toEqual([]);
  const env = { TWINKLE_HOME: server.home, TWINKLE_API_KEY: key };
  for (const command of [['inspect'], ['inspect', '--json'], ['status', '--json']]) {
    const { stdout, stderr } = await runCli(command, env);
    expect([command, (stdout + stderr).includes(key)]).toEqual([command, false]);
  }
  server.child.kill('SIGTERM');
  const { stdout, stderr } = await server.ended;
  expect(stdout + stderr).not.toContain(key);
});

it('generates a key for a server beyond this machine: shown once, kept private, the same ever after', async () => {
  const home = mkdtempSync(join(tmpdir(), 'twinkle-key-'));
  try {
    const path = join(home, 'api-key');
    const start = async (): Promise<{ shown: string; said: string; open: number; keyed: number }> => {
      const server = await CliServer.ready([...MOCK, '--host', '0.0.0.0'], { TWINKLE_HOME: home });
      const url = `http://127.0.0.1:${new URL(server.url).port}`;
      const key = readFileSync(path, 'utf8').trim();
      const open = await asked(url);
      const keyed = await asked(url, { authorization: `Bearer ${key}` });
      expect(await rankKnows(server, key)).toBe(false);
      await breakOnce(server, url, key);
      expect(filesWith(home, key)).toEqual([path]);
      server.child.kill('SIGTERM');
      const { code, stdout, stderr } = await server.ended;
      expect(code).toBe(0);
      return { shown: key, said: stdout + stderr, open, keyed };
    };
    const first = await start();
    expect(first.shown).toMatch(/^tml-[0-9A-Za-z]{40,}$/);
    expect(first.said.split(first.shown)).toHaveLength(2);
    expect(first).toMatchObject({ open: 401, keyed: 200 });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const second = await start();
    expect(second.shown).toBe(first.shown);
    expect(second.said).not.toContain(first.shown);
    expect(second).toMatchObject({ open: 401, keyed: 200 });
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
});

it('asks for no key beyond this machine only when told so', async () => {
  await using server = await CliServer.ready([...MOCK, '--host', '0.0.0.0', '--no-auth']);
  expect(await asked(`http://127.0.0.1:${new URL(server.url).port}`)).toBe(200);
  const both = await runCli(['serve', ...MOCK, '--no-auth', '--api-key', 'k'], { TWINKLE_HOME: server.home });
  expect(both.code).toBe(2);
  expect(both.stderr).toMatch(/--no-auth.*--api-key/);
});
