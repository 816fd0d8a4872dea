/** The admin socket. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, request } from 'undici';
import { expect, test } from 'vitest';
import { startAdminServer } from '../../../src/gateway/admin/admin-server.js';
import type { RunStatus } from '../../../src/training/types/progress.js';
import { closeLater } from './harness.js';

function socketPath(): string {
  const folder = mkdtempSync(join(tmpdir(), 'twinkle-admin-'));
  closeLater(async () => rmSync(folder, { recursive: true }));
  return join(folder, 'admin.sock');
}

test('answers the status of the moment, and its socket goes with it', async () => {
  const path = socketPath();
  let calls = 0;
  const app = await startAdminServer({
    socketPath: path,
    status: () => {
      calls += 1;
      return { instance: 'a', calls };
    },
  });
  const dispatcher = new Client('http://localhost', { socketPath: path });
  const ask = async (url: string) => {
    const { body, statusCode } = await request(`http://localhost${url}`, { dispatcher });
    return [statusCode, await body.json()];
  };
  expect(await ask('/status')).toEqual([200, { instance: 'a', calls: 1 }]);
  expect(await ask('/status')).toEqual([200, { instance: 'a', calls: 2 }]);
  expect((await ask('/other'))[0]).toBe(404);
  await dispatcher.close();
  await app.close();
  expect(existsSync(path)).toBe(false);
});

test('tells its cluster, or clearly that it has none', async () => {
  let version = 0;
  const cluster = async () => {
    version += 1;
    if (version === 3) throw new Error('the ledger is closed');
    return { cluster: 'c', version };
  };
  const app = await startAdminServer({ socketPath: socketPath(), status: () => ({}), cluster });
  closeLater(() => app.close());
  const ask = async (admin: typeof app) => {
    const reply = await admin.inject('/cluster');
    return [reply.statusCode, reply.json()];
  };
  expect(await ask(app)).toEqual([200, { cluster: 'c', version: 1 }]);
  expect(await ask(app)).toEqual([200, { cluster: 'c', version: 2 }]);
  expect(await ask(app)).toMatchObject([500, { error: { message: 'the ledger is closed' } }]);
  const without = await startAdminServer({ socketPath: socketPath(), status: () => ({}) });
  closeLater(() => without.close());
  expect(await ask(without)).toMatchObject([
    404,
    { error: { code: 'route_not_found', message: expect.stringContaining('keeps no cluster') } },
  ]);
});

test('tells of the runs that are trained, and of one with all that is known', async () => {
  const status = { id: 's:train:0' } as RunStatus;
  const runs = { runs: () => [status], run: (id: string) => (id === status.id ? { ...status, curve: [] } : null) };
  const app = await startAdminServer({ socketPath: socketPath(), status: () => ({}), runs });
  closeLater(() => app.close());
  expect((await app.inject('/runs')).json()).toEqual({ runs: [status] });
  expect((await app.inject('/runs/s%3Atrain%3A0')).json()).toEqual({ id: 's:train:0', curve: [] });
  const none = await app.inject('/runs/s');
  expect([none.statusCode, none.json().error.code]).toEqual([404, 'run_not_found']);
});

test('tells of actors, tasks and objects, each by itself or all at once, or clearly that it has none', async () => {
  const asked: string[] = [];
  const app = await startAdminServer({
    socketPath: socketPath(),
    status: () => ({}),
    work: {
      actors: () => {
        asked.push('actors');
        return { actors: [1] };
      },
      tasks: async () => {
        asked.push('tasks');
        return { tasks: [2], silent: [], untold: [] };
      },
      objects: () => ({ objects: [3], store: { usedBytes: 4 } }),
    },
  });
  closeLater(() => app.close());
  const ask = async (path: string) => (await app.inject(path)).json();
  expect(await ask('/work/actors')).toEqual({ actors: [1] });
  expect(await ask('/work/objects')).toEqual({ objects: [3], store: { usedBytes: 4 } });
  expect(asked).toEqual(['actors']);
  expect(await ask('/work/tasks')).toEqual({ tasks: [2], silent: [], untold: [] });
  expect(await ask('/work')).toEqual({
    ...{ actors: [1], tasks: [2], silent: [], untold: [] },
    ...{ objects: [3], store: { usedBytes: 4 } },
  });
  const without = await startAdminServer({ socketPath: socketPath(), status: () => ({}) });
  closeLater(() => without.close());
  for (const path of ['/work', '/work/actors', '/work/tasks', '/work/objects']) {
    const reply = await without.inject(path);
    expect([reply.statusCode, reply.json().error.message]).toEqual([404, expect.stringContaining('runs no actors')]);
  }
});

test('a taken or too long path is said', async () => {
  const path = socketPath();
  const app = await startAdminServer({ socketPath: path, status: () => ({}) });
  closeLater(() => app.close());
  await expect(startAdminServer({ socketPath: path, status: () => ({}) })).rejects.toMatchObject({
    code: 'PORT_IN_USE',
  });
  const long = `/tmp/${'x'.repeat(110)}`;
  await expect(startAdminServer({ socketPath: long, status: () => ({}) })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
  });
});
