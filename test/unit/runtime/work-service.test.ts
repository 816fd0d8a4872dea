import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openLocalCluster } from '../../../src/cluster/local-cluster.js';
import { SILENT } from '../../../src/observability/logger.js';
import { openWorkService } from '../../../src/runtime/work-service.js';
import { PairedNative } from '../actors/node-kit.js';
import { PlayedClient, until } from '../actors/played-client.js';
import { helloOf } from '../cluster/support.js';

it('starts templates of the interpreters of its drivers, with what ranks inherit, and lets its drivers go at its end', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'twinkle-work-'));
  const [sockets, logs] = [join(folder, 's'), join(folder, 'l')];
  for (const one of [sockets, logs]) mkdirSync(one);
  const paired = new PairedNative();
  const { fake, native: inner } = paired;
  // The fake host knows its own descriptors only: the log is a real file.
  const spawn: typeof inner.spawn = (options) =>
    fake.spawn({ ...options, fds: options.fds.filter(([, fd]) => fd > 99_999) });
  const native = { ...inner, spawn };
  await using cluster = openLocalCluster({ hello: helloOf('n0') });
  const folders = { sockets, logs, code: join(folder, 'c') };
  const { service, socket } = await openWorkService({
    ...{ native, cluster, log: SILENT, instance: 'i', node: 'n0', folders, devices: [] },
    ...{ storeBytes: 1, spillFolder: folder, inherited: { HOME: '/h' }, logLevel: 'info', host: null },
  });
  const clients: PlayedClient[] = [];
  for (const python of ['/py', '/py', '/other']) {
    const client = new PlayedClient(createConnection(socket));
    await client.join({ python });
    clients.push(client);
  }
  const interpreters = (): string[] => [...new Set(fake.processes.spawned.map(({ options }) => options.file))];
  await until(() => interpreters().length === 2);
  expect(interpreters()).toEqual(['/py', '/other']);
  const [template] = fake.processes.spawned;
  expect(template?.options.args).toContain('actors');
  expect(template?.options.env).toContain('HOME=/h');
  await service[Symbol.asyncDispose]();
  await Promise.all(clients.map(({ ended }) => ended.promise));
  const last = fake.processes.spawned.findLast(({ options }) => options.file === '/other');
  expect(last?.alive).toBe(false);
  rmSync(folder, { recursive: true, force: true });
});
