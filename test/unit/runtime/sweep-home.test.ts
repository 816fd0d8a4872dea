import { once } from 'node:events';
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { adaptersFolder } from '../../../src/runtime/adapters-folder.js';
import { codeFolder } from '../../../src/runtime/code-folder.js';
import { describeInstance, writeInstance } from '../../../src/runtime/instance-file.js';
import { listenPrivately } from '../../../src/runtime/private-socket.js';
import { sweepHome } from '../../../src/runtime/sweep-home.js';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'twinkle-sweep-'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

/** A socket folder of a head, with its ranks' socket: of a living one it is listened on, of a killed one only the file is left. */
async function runFolder(name: string, alive: boolean): Promise<() => void> {
  const folder = join(home, 'run', name);
  mkdirSync(folder, { recursive: true });
  const server = createSocket().listen(join(folder, 'ranks'));
  await once(server, 'listening');
  if (alive) return () => server.close();
  // Closing unlinks the file, being killed does not: a second link stands for that.
  linkSync(join(folder, 'ranks'), join(folder, 'kept'));
  server.close();
  await once(server, 'close');
  linkSync(join(folder, 'kept'), join(folder, 'ranks'));
  return () => {};
}

it('removes what dead heads left and keeps what living ones use, with an instance file or without', async () => {
  const stale = {
    ...describeInstance({
      kind: 'serve',
      instance: 'dead',
      startedAt: 1,
      url: null,
      address: null,
      adminSocket: 's',
      logs: 'l',
    }),
    pidStart: '0',
  };
  writeInstance(home, stale);
  writeInstance(
    home,
    describeInstance({
      kind: 'serve',
      instance: 'living',
      startedAt: 1,
      url: null,
      address: null,
      adminSocket: 's',
      logs: 'l',
    }),
  );
  const closers = [await runFolder('dead', false), await runFolder('living', true), await runFolder('embedded', true)];
  await sweepHome(home);
  expect(readdirSync(join(home, 'instances'))).toEqual(['living.json']);
  expect(readdirSync(join(home, 'run')).sort()).toEqual(['embedded', 'living']);
  for (const close of closers) close();
});

it('keeps the newest logs and incidents', async () => {
  for (const [folder, count] of [
    ['logs', 25],
    ['incidents', 205],
  ] as const) {
    mkdirSync(join(home, folder));
    for (let at = 0; at < count; at++) {
      const path = join(home, folder, `n${String(at).padStart(3, '0')}`);
      writeFileSync(path, '');
      utimesSync(path, at, at);
    }
  }
  await sweepHome(home);
  expect(readdirSync(join(home, 'logs')).sort()[0]).toBe('n005');
  expect(readdirSync(join(home, 'logs'))).toHaveLength(20);
  expect(readdirSync(join(home, 'incidents')).sort()[0]).toBe('n005');
});

it.each([
  ['adapters that killed servers fetched', 'adapters', adaptersFolder],
  ['folders that programs of killed heads have put', 'code', codeFolder],
])('removes the %s, and no other’s', async (_what, root, folderOf) => {
  const own = folderOf(home, 'abc123');
  const [pid = ''] = own.split('/').at(-1)?.split('-') ?? [];
  // The same pid at another time, and a pid that is none.
  const dead = [`${pid}-1-abc124`, '4194999-77-abc125'];
  for (const name of [...dead, 'of-somebody-else']) mkdirSync(join(home, root, name, 'sql'), { recursive: true });
  mkdirSync(own, { recursive: true });
  await sweepHome(home);
  expect(readdirSync(join(home, root)).sort()).toEqual([own.split('/').at(-1), 'of-somebody-else'].sort());
});

it('a home that is not there is fine', async () => {
  await sweepHome(join(home, 'nowhere'));
  expect(existsSync(join(home, 'nowhere'))).toBe(false);
});

it('a private socket is its user’s alone, answers, leaves no draft and refuses a taken path', async () => {
  const path = join(home, 'api.sock');
  const server = createServer((_request, response) => response.end('here'));
  const listen = async (at: string): Promise<void> => {
    server.listen(at);
    await once(server, 'listening');
  };
  await listenPrivately(path, listen);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readdirSync(home)).toEqual(['api.sock']);
  const { request } = await import('node:http');
  const [answer] = await once(request({ socketPath: path, path: '/' }).end(), 'response');
  expect(answer.statusCode).toBe(200);
  await expect(listenPrivately(path, listen)).rejects.toMatchObject({ code: 'EADDRINUSE' });
  answer.resume();
  server.closeAllConnections();
  server.close();
});
