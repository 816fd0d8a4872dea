/** Starting a Twinkle Server by its file, with real processes: `launch` of the CLI, and `launchServer` in this process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { launchServer, type Server } from '../../src/index.js';
import { processesWithEnv } from '../../src/supervisor/proc.js';
import { MAIN } from '../support/cli.js';
import { isAlive } from '../support/gang-kit.js';

const MOCK = readFileSync(new URL('../fixtures/twinkle/tests-mock.yaml', import.meta.url), 'utf8')
  .replace(/mode: file\n *file_path: .*/, 'mode: memory')
  .replace('port: 8000', 'port: 0');

let folder: string;
let home: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinkle-launch-'));
  home = join(folder, 'home');
  write(MOCK);
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const write = (text: string): void => writeFileSync(join(folder, 's.yaml'), text);

/** Processes of the servers of this home, beside this one: heads, ranks, and what stands between them. */
const processes = (): number[] => processesWithEnv('TWINKLE_HOME', home).filter((pid) => pid !== process.pid);

const complete = async (url: string | null): Promise<unknown> => {
  const body = JSON.stringify({ model: 'mock-model', prompt: 'x', max_tokens: 2 });
  const headers = { 'content-type': 'application/json' };
  return await (await fetch(`${url}/v1/completions`, { method: 'POST', headers, body })).json();
};
const ANSWER = { model: 'mock-model', usage: { completion_tokens: 2 } };

describe('launch', () => {
  const children: ChildProcess[] = [];
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });

  /** @returns the server, and where it answers */
  async function launched(words: readonly string[], env: Record<string, string> = {}) {
    const child = spawn(process.execPath, [MAIN, 'launch', ...words], {
      cwd: folder,
      env: { ...process.env, TWINKLE_HOME: home, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    const exit = once(child, 'exit');
    for await (const line of createInterface({ input: child.stdout })) {
      if (line.startsWith('ready ')) return { child, exit, url: line.slice('ready '.length) };
    }
    throw new Error(`it ended: ${String(await exit)}`);
  }

  it.each(['SIGINT', 'SIGTERM'] as const)('serves, and ends with 0 and without a trace at %s', async (signal) => {
    const { child, exit, url } = await launched(['-c', 's.yaml']);
    expect(await complete(url)).toMatchObject(ANSWER);
    const pids = processes();
    expect(pids.length).toBeGreaterThanOrEqual(3); // the head, a rank that serves, one that trains
    child.kill(signal);
    expect(await exit).toEqual([0, null]);
    expect(pids.filter(isAlive)).toEqual([]);
  });

  it('by the variable; no rank outlives a server that is killed', async () => {
    const { child, exit } = await launched([], { TWINKLE_SERVER_CONFIG: 's.yaml' });
    const pids = processes();
    expect(pids.length).toBeGreaterThanOrEqual(3);
    child.kill('SIGKILL');
    await exit;
    await vi.waitUntil(() => !pids.some(isAlive), { timeout: 10_000 });
  });
});

describe('launchServer', () => {
  const servers: Server[] = [];
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.close();
  });

  it('resolves when all is ready; the path counts from the working folder; nothing is left', async () => {
    const configPath = relative(process.cwd(), join(folder, 's.yaml'));
    const signals = process.listenerCount('SIGTERM') + process.listenerCount('SIGINT');
    const server = await launchServer({ configPath, home, namespace: 'mine', address: 'local' });
    servers.push(server);
    expect(server.status()).toMatchObject({ phase: 'ready', training: [{ model: 'mock-model', state: 'ready' }] });
    expect(server.models().map(({ names }) => names)).toEqual([['mock-model']]);
    expect(await complete(server.url)).toMatchObject(ANSWER);
    expect(process.listenerCount('SIGTERM') + process.listenerCount('SIGINT')).toBe(signals);
    const pids = processesWithEnv('TWINKLE_INSTANCE', server.status().instance).filter((pid) => pid !== process.pid);
    expect(pids.length).toBeGreaterThanOrEqual(2); // a rank that serves, one that trains
    await server.close();
    expect(pids.filter(isAlive)).toEqual([]);
  });

  it.each([
    [{ configPath: 'nowhere.yaml' }, 'CONFIG_INVALID', 'there is no nowhere.yaml'],
    [{ configPath: undefined }, 'USAGE', 'expected the path of a file for `configPath` but received undefined'],
    [{ engine: 'mock' }, 'CONFIG_INVALID', '`applications` describes the models, and `engine` one of its own'],
    [{ engineArgs: { max_num_seqs: 2 } }, 'CONFIG_INVALID', 'one of its own; leave one out'],
    [{ namespace: '' }, 'CONFIG_INVALID', 'expected a name for `namespace` but received ""'],
    [{ prot: 1 }, 'USAGE', 'unknown option `prot`; did you mean `port`?'],
  ])('%j is refused', async (options, code, message) => {
    const configPath = join(folder, 's.yaml');
    await expect(launchServer({ home, configPath, ...options } as never)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message) as string,
    });
  });

  it('any other file is refused', async () => {
    write('engine: mock\n');
    await expect(launchServer({ configPath: join(folder, 's.yaml'), home })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('start any other file with `serve --config`') as string,
    });
  });
});
