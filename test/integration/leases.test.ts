/** Leases of a head in another hand: real sockets and a real journal, in one process. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { HeadWelcome } from '../../src/cluster/client-protocol.js';
import { loadNative } from '../../src/native/load.js';
import type { ClusterDaemon } from '../../src/runtime/cluster-daemon.js';
import { connectCluster } from '../../src/runtime/connect-cluster.js';
import { startStandaloneHead } from '../../src/runtime/start-head.js';
import { connectPeer } from '../../src/transport/peer-client.js';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'twinkle-lease-'));
});
afterEach(() => {
  rmSync(home, { recursive: true, force: true });
});

const startHead = (): Promise<ClusterDaemon> =>
  startStandaloneHead(
    {
      ...{ home, graceMs: 9000, numCpus: 2, gpus: null, npus: null, numGpus: null, logLevel: 'error' },
      ...{ objectStoreMemory: null, objectSpillDir: null },
    },
    loadNative(),
    { ...process.env },
  );

const hardTo = (node: string) => {
  return {
    strategy: { kind: 'node-affinity', node, soft: false, spillOnUnavailable: false, failOnUnavailable: false },
  };
};

/** What a client is told that says it has these groups. */
async function welcomed(address: string, groups: readonly string[]): Promise<HeadWelcome['groups']> {
  const connection = await connectPeer({
    address,
    role: 'client',
    session: `${process.pid}.0.ab`,
    body: () => ({ groups }),
    handlers: { call: () => null, cast: () => {} },
    timeoutMs: 10_000,
  });
  await connection.close('heard');
  return (connection.welcome.body as HeadWelcome).groups;
}

it('are given, refused with a typed error, counted apart, and known to the next head', async () => {
  let head = await startHead();
  await using cluster = await connectCluster({ home });
  const moon = await cluster.createGroup({ bundles: [{}], task: hardTo('moon') as never });
  const unschedulable = { code: 'TASK_UNSCHEDULABLE', message: expect.stringContaining('node moon is not known') };
  await expect(moon.ready()).rejects.toMatchObject(unschedulable);
  const lease = await cluster.createGroup({ bundles: [{}], lifetime: 'detached', task: {} });
  const group = await cluster.createGroup({ bundles: [{ CPU: 1 }], lifetime: 'detached' });
  const removed = await cluster.createGroup({ bundles: [{}], task: {} });
  const [{ bundles }] = [await lease.ready(), await group.ready(), await removed.ready()];
  await removed.remove();
  expect(head.status().groups).toEqual({ created: 1, pending: 0 });
  await head[Symbol.asyncDispose]();
  head = await startHead();
  try {
    await expect.poll(() => cluster.connected, { timeout: 10_000 }).toBe(true);
    const { groups } = await cluster.snapshot();
    expect(groups.map(({ id, kind, state }) => [id, kind, state])).toEqual([
      [lease.id, 'lease', 'CREATED'],
      [group.id, 'group', 'CREATED'],
    ]);
    expect(groups[0]?.bundles).toEqual(bundles);
    // Who was away when its lease was refused hears why; of one that was removed it hears nothing.
    expect(await welcomed(head.address, [moon.id, removed.id])).toMatchObject([
      { id: moon.id, scheduling: 'UNSCHEDULABLE', reason: expect.stringContaining('moon') },
    ]);
  } finally {
    await head[Symbol.asyncDispose]();
  }
});
