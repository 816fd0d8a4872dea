/** Clusters and servers on paper, for listings. */

import { expect } from 'vitest';
import type { FoundCluster } from '../../../../src/cli/list/gather.js';
import { drawTable, type Kind, type Moment } from '../../../../src/cli/list/picture.js';
import { compileSelection, type SelectionFlags } from '../../../../src/cli/list/selection.js';
import type { Paint } from '../../../../src/cli/render/style.js';
import type { GroupStatus, NodeStatus } from '../../../../src/cluster/api.js';
import type {
  HeadStatus,
  InstanceFile,
  ListedActor,
  ListedObject,
  ListedTask,
  RunStatus,
} from '../../../../src/runtime/types.js';
import type { ReplicaStatus, ServedModel } from '../../../../src/serving/types.js';

export const GIB = 2 ** 30;

export function node(overrides: Partial<NodeStatus> = {}): NodeStatus {
  return {
    id: 'node-1',
    name: 'box',
    address: '10.0.0.1:6379',
    state: 'alive',
    silentMs: 320,
    version: '0.1.0',
    pid: 7,
    resources: { CPU: 16, GPU: 2, memory: 64 * GIB },
    available: { CPU: 14, GPU: 0.5, memory: 60 * GIB },
    labels: { 'ray.io/zone': 'a' },
    devices: [],
    ...overrides,
  };
}

export function group(overrides: Partial<GroupStatus> = {}): GroupStatus {
  return {
    id: 'group-1',
    kind: 'group',
    name: 'llm',
    namespace: 'default',
    lifetime: 'owner',
    owner: 'session-1',
    strategy: 'PACK',
    hold: 'serving',
    state: 'CREATED',
    scheduling: 'FINISHED',
    reason: null,
    position: null,
    attempts: 1,
    createdAt: 0,
    bundles: [{ index: 0, resources: { GPU: 1, CPU: 1 }, node: 'node-1', devices: [] }],
    ...overrides,
  };
}

export function instanceFile(overrides: Partial<InstanceFile> = {}): InstanceFile {
  return {
    kind: 'serve',
    instance: 'serve1',
    pid: 7,
    pidStart: '1',
    startedAt: 0,
    url: null,
    address: null,
    adminSocket: '/none',
    logs: '/none',
    ...overrides,
  };
}

export function cluster(
  snapshot: Partial<FoundCluster['snapshot']> = {},
  teller: Partial<InstanceFile> = {},
): FoundCluster {
  return {
    snapshot: { cluster: 'c1', epoch: 1, version: 1, nodes: [node()], groups: [group()], ...snapshot },
    teller: instanceFile(teller),
  };
}

export function replica(overrides: Partial<ReplicaStatus> & { readonly group?: string } = {}): ReplicaStatus {
  return {
    id: 'm/0',
    state: 'ready',
    epoch: 1,
    restarts: 0,
    inFlight: 3,
    stats: null,
    ranks: [
      { rank: 0, pid: 100, devices: ['GPU-a'], log: '/l0' },
      { rank: 1, pid: null, devices: ['GPU-b'], log: '/l1' },
    ],
    ...overrides,
  } as ReplicaStatus;
}

export function model(overrides: Partial<ServedModel> = {}): ServedModel {
  return {
    names: ['m', 'alias'],
    created: 1,
    state: 'ready',
    card: null,
    progress: null,
    reason: null,
    replicas: [replica()],
    ...overrides,
  };
}

export function server(overrides: Partial<HeadStatus> = {}): HeadStatus {
  return {
    kind: 'serve',
    instance: 'serve1',
    pid: 7,
    version: '0.1.0',
    startedAt: 0,
    url: 'http://127.0.0.1:8000',
    home: '/h',
    phase: 'ready',
    cluster: { kind: 'own', connected: true },
    models: [model()],
    ...overrides,
  };
}

export function actor(overrides: Partial<ListedActor> = {}): ListedActor {
  return {
    id: '1.0',
    class: 'Counter',
    name: 'c',
    namespace: 'default',
    detached: false,
    state: 'ALIVE',
    reason: null,
    restarts: 0,
    pid: 200,
    node: 'node-1',
    resources: { GPU: 0.5 },
    ...overrides,
  };
}

export function task(overrides: Partial<ListedTask> = {}): ListedTask {
  return {
    id: '1.7',
    name: 'job.square',
    kind: 'task',
    state: 'RUNNING',
    worker: 3,
    since: 1000,
    callerPid: 100,
    pid: 201,
    ...overrides,
  };
}

export function object(overrides: Partial<ListedObject> = {}): ListedObject {
  return {
    id: '1.9',
    state: 'sealed',
    bytes: 2 * GIB,
    where: 'slab',
    holders: [100, 201],
    owner: 100,
    opens: 1,
    waiters: 0,
    containedIn: 0,
    ...overrides,
  };
}

export function run(overrides: Partial<RunStatus> = {}): RunStatus {
  return {
    id: 'adc4764e-c6a2-4743-a528-be7888b62dc3:train:0',
    model: 'demo',
    rank: 8,
    state: 'ready',
    reason: null,
    step: 150,
    steps: 150,
    datums: 466,
    tokens: 43_680,
    loss: 12.3456,
    lossPerToken: 0.0216514,
    gradNorm: 3.5,
    samplerGap: null,
    tokensPerSecond: 1234.4,
    stepMs: 36.7,
    queueMs: 0.5,
    queued: 0,
    created: 1000,
    lastRequest: 2000,
    ...overrides,
  };
}

/** Without colours. */
export const plain: Paint = (_, text) => text;

/** The lines of a table as wide as it gets. */
export function lines<Row extends object>(
  kind: Kind<Row>,
  shown: Pick<Moment<Row>, 'rows' | 'columns' | 'below'>,
  flags: SelectionFlags = {},
  paint = plain,
): string[] {
  const moment = { notes: [], nothing: 'nothing at all', ...shown };
  return drawTable(kind, moment, compileSelection(flags, kind), paint).text(null).trimEnd().split('\n');
}

/** What may be filtered is what is printed. */
export function expectKnownFields<Row extends object>(kind: Kind<Row>, rows: readonly Row[]): void {
  for (const row of rows) expect(Object.keys(kind.fields).sort()).toEqual(Object.keys(row).sort());
}
