import { describe, expect, test } from 'vitest';
import { CLUSTER_DEVICES, clusterDeviceColumns, clusterDeviceRows } from '../../../../src/cli/list/cluster-devices.js';
import { DEVICES, deviceColumns, deviceRows, machineLines } from '../../../../src/cli/list/devices.js';
import { holdersByUuid } from '../../../../src/cli/list/holders.js';
import { createFakeNative } from '../../../../src/native/fake.js';
import { fakeDeviceReport } from '../../../../src/native/fake-devices.js';
import { cluster, expectKnownFields, lines, model, node, replica, server } from './fixtures.js';

describe('devices', () => {
  const device = (uuid: string, ...heldBy: { group: string; bundle: number; quantity: number }[]) => ({
    resource: 'GPU',
    instance: Number(uuid.at(-1)),
    uuid,
    numa: 0,
    free: 1 - heldBy.reduce((sum, { quantity }) => sum + quantity, 0),
    heldBy,
  });
  const held = [
    device('GPU-fake-0000', { group: 'group-1', bundle: 0, quantity: 1 }),
    device(
      'GPU-fake-0001',
      { group: 'group-1', bundle: 1, quantity: 0.3 },
      { group: 'nameless', bundle: 0, quantity: 0.3 },
    ),
    device(
      'GPU-fake-0002',
      { group: 'nameless', bundle: 1, quantity: 0.7 },
      { group: 'nameless', bundle: 2, quantity: 0.3 },
    ),
    device('GPU-fake-0003'),
  ];
  const ofHead = cluster(
    {
      nodes: [
        node({ devices: held }),
        node({ id: 'node-2', name: 'gone', state: 'dead', devices: [device('GPU-z0')] }),
      ],
    },
    { kind: 'head', instance: 'head1' },
  );
  const member = server({ models: [model({ replicas: [replica({ group: 'group-1' })] })] });

  test('this machine: the driver’s facts, and which group, bundle, part and server hold each', () => {
    const rows = deviceRows(fakeDeviceReport('gpu:4').devices, holdersByUuid([ofHead], [member]));
    expectKnownFields(DEVICES, rows);
    expect(rows.map(({ state }) => state)).toEqual(['held', 'shared', 'held', 'free']);
    expect(lines(DEVICES, { rows, columns: () => deviceColumns(true) }).map((line) => line.split(/ {2,}/)[7])).toEqual([
      'GROUP',
      'llm bundle 0 (server serve1)',
      'llm bundle 1 ×0.3 (server serve1), nameless bundle 0 ×0.3',
      'nameless bundle 1 ×0.7, nameless bundle 2 ×0.3',
      '-',
    ]);
    expect(lines(DEVICES, { rows, columns: () => deviceColumns(false) })[0]).toBe(
      'DEVICE  NAME      MEMORY    USED  HEALTH  NUMA  HELD BY  UUID',
    );
  });

  test('a virtual machine that tells neither NUMA nodes nor a CPU: dashes and words, no holes', () => {
    const bare = fakeDeviceReport('gpu:1').devices.map((device) => ({ ...device, numaNode: null }));
    const local = lines(DEVICES, { rows: deviceRows(bare, new Map()), columns: () => deviceColumns(true) });
    expect(local[1]?.split(/ {2,}/)).toEqual([
      'gpu 0',
      'Fake GPU',
      '80.0 GiB',
      '0 B',
      'ok',
      '-',
      '-',
      '-',
      'GPU-fake-0000',
    ]);
    const found = cluster({ nodes: [node({ devices: [{ ...device('GPU-0'), numa: null }] })] });
    const remote = lines(CLUSTER_DEVICES, { rows: clusterDeviceRows([found], []), columns: clusterDeviceColumns });
    expect(remote[1]?.split(/ {2,}/)).toEqual(['box', 'GPU 0', 'free', '1', '-', '-', 'GPU-0']);
    const cpu = { ...createFakeNative().cpu(), model: '', flags: [], numa: [], cgroupCpus: null };
    const told = machineLines(cpu, [], (_, text) => text);
    expect(told).toHaveLength(1);
    expect(told[0]).toMatch(/^cpu: unnamed model, \d+ sockets?, \d+ cores, CPUs [\d-]+, /);
    expect([...local, ...remote, ...told].join('\n')).not.toMatch(/null|undefined|NaN/);
  });

  test('the own cluster of a server: its server holds all; one that says which groups are its own, only those', () => {
    const own = cluster({ nodes: [node({ devices: held })] });
    const servers = (servers: Parameters<typeof holdersByUuid>[1]) =>
      (holdersByUuid([own], servers).get('GPU-fake-0001') ?? []).map(({ server }) => server);
    expect(servers([server()])).toEqual(['serve1', 'serve1']);
    expect(servers([member])).toEqual(['serve1', null]);
  });

  test('two clusters on one machine: who holds a device is told of both', () => {
    const other = cluster({
      cluster: 'c2',
      nodes: [node({ devices: [device('GPU-fake-0003', { group: 'g', bundle: 0, quantity: 0.5 })] })],
    });
    const holders = holdersByUuid([ofHead, other], []);
    expect(holders.get('GPU-fake-0003')).toEqual([
      { group: 'g', name: '', bundle: 0, quantity: 0.5, cluster: 'c2', server: 'serve1' },
    ]);
    expect(holders.get('GPU-fake-0000')?.[0]).toMatchObject({ name: 'llm', cluster: 'c1', server: null });
  });

  test('--cluster: every node, and a node that takes nothing says so', () => {
    const rows = clusterDeviceRows([ofHead], [member]);
    expectKnownFields(CLUSTER_DEVICES, rows);
    expect(lines(CLUSTER_DEVICES, { rows, columns: clusterDeviceColumns })).toEqual([
      'NODE         DEVICE  STATE   FREE  NUMA  GROUP                                                      UUID',
      'box          GPU 0   held    0     0     llm bundle 0 (server serve1)                               GPU-fake-0000',
      'box          GPU 1   shared  0.4   0     llm bundle 1 ×0.3 (server serve1), nameless bundle 0 ×0.3  GPU-fake-0001',
      'box          GPU 2   held    0     0     nameless bundle 1 ×0.7, nameless bundle 2 ×0.3             GPU-fake-0002',
      'box          GPU 3   free    1     0     -                                                          GPU-fake-0003',
      'gone (dead)  GPU 0   free    1     0     -                                                          GPU-z0',
    ]);
    expect(
      lines(
        CLUSTER_DEVICES,
        { rows, columns: clusterDeviceColumns },
        { filter: ['heldBy.name=llm'], state: ['shared'] },
      ),
    ).toHaveLength(2);
  });
});
