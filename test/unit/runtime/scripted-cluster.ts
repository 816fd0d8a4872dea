/** A cluster whose groups are where the test says. */
import type { Cluster, ClusterSnapshot, Group, GroupStatus } from '../../../src/cluster/api.js';
import type { GroupSpec } from '../../../src/cluster/types.js';
import type { NodeReason } from '../../../src/scheduler/types.js';

export class ScriptedGroup implements Group {
  readonly id = 'g';
  removed = 0;
  reasons: readonly NodeReason[] = [];
  readonly #listeners = new Set<(status: GroupStatus) => void>();
  #status: GroupStatus;

  constructor(readonly spec: GroupSpec) {
    this.#status = {
      id: 'g',
      kind: 'group',
      name: spec.name,
      namespace: spec.namespace,
      lifetime: spec.lifetime,
      owner: null,
      strategy: spec.strategy,
      hold: spec.hold,
      state: 'PENDING',
      scheduling: 'QUEUED',
      reason: null,
      position: 0,
      attempts: 0,
      createdAt: 0,
      bundles: spec.bundles.map((resources, index) => ({ index, resources, node: null, devices: [] })),
    };
  }

  get status(): GroupStatus {
    return this.#status;
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  set(change: Partial<GroupStatus>): void {
    this.#status = { ...this.#status, ...change };
    for (const listener of this.#listeners) listener(this.#status);
  }

  /** Bundles are placed: `a:0` is the first GPU of node a. */
  create(...seats: readonly string[]): void {
    const bundles = this.spec.bundles.map((resources, index) => {
      const [node = '', instance = '0'] = (seats[index] ?? '').split(':');
      const device = { resource: 'GPU', instance: Number(instance), uuid: `GPU-${node}${instance}`, quantity: 1 };
      return { index, resources, node, devices: 'GPU' in resources ? [device] : [] };
    });
    this.set({ state: 'CREATED', scheduling: 'FINISHED', reason: null, position: null, bundles });
  }

  async ready(): Promise<GroupStatus> {
    return this.#status;
  }

  onChange(listener: (status: GroupStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async explain(): Promise<readonly NodeReason[]> {
    return this.reasons;
  }

  async remove(): Promise<void> {
    this.removed += 1;
  }
}

export class ScriptedCluster implements Cluster {
  readonly groups: ScriptedGroup[] = [];
  /** What `createGroup` does instead of succeeding. */
  refusal: Error | null = null;

  connected = true;
  readonly #listeners = new Set<(connected: boolean) => void>();

  constructor(readonly kind: Cluster['kind']) {}

  /** The head goes away, or comes back. */
  connection(connected: boolean): void {
    this.connected = connected;
    for (const listener of [...this.#listeners]) listener(connected);
  }

  onConnection(listener: (connected: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The latest group. */
  get group(): ScriptedGroup {
    const last = this.groups.at(-1);
    if (last === undefined) throw new Error('no group was made');
    return last;
  }

  async createGroup(spec: GroupSpec): Promise<Group> {
    if (this.refusal !== null) throw this.refusal;
    const group = new ScriptedGroup(spec);
    this.groups.push(group);
    return group;
  }

  /** The latest group, whatever id is asked for. */
  groupOf(): Group | null {
    return this.groups.at(-1) ?? null;
  }

  groupNamed(name: string): Group | null {
    return this.groups.find(({ spec }) => spec.name === name) ?? null;
  }

  async snapshot(): Promise<ClusterSnapshot> {
    return { cluster: 'c', epoch: 1, version: 1, nodes: [], groups: [] };
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
