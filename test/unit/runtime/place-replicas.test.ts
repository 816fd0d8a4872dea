import { afterEach, describe, expect, it, vi } from 'vitest';
import type { GroupPlan } from '../../../src/engines/placement.js';
import { TwinkleError } from '../../../src/errors.js';
import { SILENT } from '../../../src/observability/logger.js';
import { GroupKeeper, type PlacementSource } from '../../../src/runtime/place-replicas.js';
import { PlacedGang } from '../../../src/runtime/placed-gang.js';
import { PlayedGang, turn } from '../supervisor/played-ranks.js';
import { ScriptedCluster } from './scripted-cluster.js';

const disposals: (() => void)[] = [];
afterEach(() => {
  for (const dispose of disposals.splice(0).reverse()) dispose();
});

const TWO: GroupPlan = {
  name: 'm/0',
  strategy: 'PACK',
  bundles: [{ GPU: 1, CPU: 1 }, { GPU: 1 }],
  tensorParallel: 2,
  accelerator: 'GPU',
  replicas: [0],
  worldSize: 2,
};

class Kit {
  readonly cluster: ScriptedCluster;
  readonly played: readonly PlayedGang[];
  readonly gangs: readonly PlacedGang[];
  readonly keeper: GroupKeeper;
  readonly news = { waiting: vi.fn(), moved: vi.fn(), changed: vi.fn() };
  now = 0;

  constructor(plan: GroupPlan = TWO, change: Partial<PlacementSource> & { kind?: 'own' | 'head' } = {}) {
    const { kind = 'head', ...rest } = change;
    this.cluster = new ScriptedCluster(kind);
    this.played = plan.replicas.map(() => new PlayedGang({ worldSize: plan.worldSize }));
    for (const one of this.played) disposals.push(() => one[Symbol.dispose]());
    this.gangs = this.played.map(({ gang }) => new PlacedGang(gang));
    const source = { cluster: this.cluster, sole: false, nodes: null, devices: [], leftOut: [], ...rest };
    this.keeper = new GroupKeeper(plan, this.gangs, {
      source,
      namespace: 'ns',
      news: this.news,
      log: SILENT,
      nowMs: () => this.now,
    });
  }

  get gang(): PlacedGang {
    return this.gangs[0] as PlacedGang;
  }

  /** `CUDA_VISIBLE_DEVICES/LOCAL_RANK` of the latest start of each rank. */
  environments(replica = 0): string[] {
    const played = this.played[replica] as PlayedGang;
    return [0, 1].map((rank) => {
      const { env } = played.rank(rank).request.launch;
      return `${env.CUDA_VISIBLE_DEVICES}/${env.LOCAL_RANK}`;
    });
  }

  async end(): Promise<void> {
    this.keeper.halt();
    await Promise.all(
      this.played.map(async (played) => {
        const stopped = played.gang.stop();
        await turn();
        for (const { pid, alive } of played.native.processes.spawned) {
          if (alive) played.native.processes.end(pid, { code: 0 });
        }
        for (const rank of played.ranks) rank.run();
        await stopped;
      }),
    );
    await this.keeper.release();
  }
}

describe('a group with places', () => {
  it('asks for what the plan says, and starts the ranks on their devices', async () => {
    const kit = new Kit(TWO, { devices: [{ kind: 'gpu', index: 7, uuid: 'GPU-a3' }] });
    await kit.keeper.open();
    expect(kit.cluster.group.spec).toMatchObject({
      name: 'm/0',
      namespace: 'ns',
      strategy: 'PACK',
      bundles: TWO.bundles,
      tensorParallel: 2,
      hold: 'serving',
      lifetime: 'owner',
    });
    expect(kit.gang.state.at).toBe('idle');
    kit.cluster.group.create('a:3', 'a:1');
    await turn();
    expect(kit.gang.state.at).toBe('starting');
    expect(kit.environments()).toEqual(['GPU-a3/0', 'GPU-a1/1']);
    expect(kit.gang.gang.places.map(({ device }) => device?.index)).toEqual([7, 1]);
    await kit.end();
    expect(kit.cluster.group.removed).toBe(1);
    expect(kit.cluster.group.listeners).toBe(0);
  });

  it('numbers local ranks by node', async () => {
    const kit = new Kit();
    await kit.keeper.open();
    kit.cluster.group.create('a:0', 'b:5');
    await turn();
    expect(kit.environments()).toEqual(['GPU-a0/0', 'GPU-b5/0']);
    await kit.end();
  });

  it('starts nothing on another machine', async () => {
    const kit = new Kit(TWO, { nodes: new Set(['a']) });
    await kit.keeper.open();
    kit.cluster.group.create('a:0', 'b:0');
    await turn();
    expect(kit.keeper.failure).toMatchObject({ code: 'INFEASIBLE', message: expect.stringContaining('node b') });
    expect(kit.gang.state).toMatchObject({ at: 'failed', failure: { retry: false } });
    expect(kit.played[0]?.ranks).toEqual([]);
    await kit.end();
  });

  it('does not care for changes that move nothing', async () => {
    const kit = new Kit();
    await kit.keeper.open();
    kit.cluster.group.create('a:0', 'a:1');
    await turn();
    kit.cluster.group.set({ attempts: 9 });
    await turn();
    expect(kit.gang.state.at).toBe('starting');
    expect(kit.news.moved).not.toHaveBeenCalled();
    await kit.end();
  });
});

describe('a group that waits', () => {
  it('says why and where in the queue, once for each change', async () => {
    const kit = new Kit();
    kit.now = 5;
    await kit.keeper.open();
    const { group } = kit.cluster;
    group.set({ scheduling: 'NO_RESOURCES', reason: 'no node has GPU 1 free', position: 2 });
    await turn();
    group.set({ attempts: 3 });
    await turn();
    const said = kit.news.waiting.mock.calls.map(([detail]) => detail as string);
    expect(said).toHaveLength(2);
    expect(said[0]).toContain('it is being placed');
    expect(said[1]).toBe(
      'group m/0 waits for GPU 1, CPU 1 + GPU 1, PACK: no node has GPU 1 free; 2 before it in the queue',
    );
    expect(kit.news.waiting).toHaveBeenLastCalledWith(said[1], 5);
    expect(kit.keeper.failure).toBeNull();
    await kit.end();
  });

  it('waits on a head even for what no node of now can take', async () => {
    const kit = new Kit();
    await kit.keeper.open();
    kit.cluster.group.set({ scheduling: 'INFEASIBLE', reason: 'no node has GPU 2' });
    await turn();
    expect(kit.keeper.failure).toBeNull();
    expect(kit.news.waiting).toHaveBeenLastCalledWith(expect.stringContaining('no node has GPU 2'), 0);
    await kit.end();
  });

  it('is refused at once in a ledger of this process that can never place it: by node, with the devices left out', async () => {
    const kit = new Kit(TWO, { kind: 'own', leftOut: ['gpu 0 is held by pid 7'] });
    await kit.keeper.open();
    kit.cluster.group.reasons = [{ node: 'box', kind: 'infeasible', reason: 'has GPU 1, and 2 are asked' }];
    kit.cluster.group.set({ scheduling: 'INFEASIBLE' });
    await turn();
    expect(kit.keeper.failure).toMatchObject({ code: 'INFEASIBLE', exitCode: 3 });
    expect(kit.keeper.failure?.message).toBe(
      'no place for m/0: GPU 1, CPU 1 + GPU 1, PACK; box: has GPU 1, and 2 are asked; gpu 0 is held by pid 7; ' +
        'set smaller -tp, -pp or -dp, name devices with --gpus to use them all the same, or say --cpu',
    );
    expect(kit.gang.state.at).toBe('failed');
    expect(kit.news.changed).toHaveBeenCalled();
    await kit.end();
  });

  it.each([
    [true, 'INFEASIBLE'],
    [false, null],
  ])('finds no room now: hopeless when nobody else is there (%s)', async (sole, code) => {
    const kit = new Kit(TWO, { kind: 'own', sole });
    await kit.keeper.open();
    kit.cluster.group.set({ scheduling: 'NO_RESOURCES', reason: 'all are taken' });
    await turn();
    expect(kit.keeper.failure?.code ?? null).toBe(code);
    await kit.end();
  });

  it('is waited for also in a ledger of this process once it had its places', async () => {
    const kit = new Kit(TWO, { kind: 'own', sole: true });
    await kit.keeper.open();
    kit.cluster.group.create('a:0', 'a:1');
    await turn();
    await (kit.played[0] as PlayedGang).ready();
    kit.cluster.group.set({ state: 'RESCHEDULING', scheduling: 'INFEASIBLE', reason: 'node a is dead' });
    await turn();
    for (const { pid } of kit.played[0]?.native.processes.spawned ?? [])
      kit.played[0]?.native.processes.end(pid, { code: 0 });
    await vi.waitUntil(() => kit.news.waiting.mock.lastCall !== undefined);
    expect(kit.keeper.failure).toBeNull();
    await kit.end();
  });

  it('that cannot even be made fails its replicas', async () => {
    const kit = new Kit();
    kit.cluster.refusal = new TwinkleError('PLACEMENT_INVALID', 'no such bundle');
    await kit.keeper.open();
    expect(kit.keeper.failure?.code).toBe('PLACEMENT_INVALID');
    expect(kit.gang.loss?.code).toBe('PLACEMENT_INVALID');
    await kit.end();
  });
});

describe('a group that moves', () => {
  it('ends the ranks, waits, and starts them on the new places in a new epoch', async () => {
    const kit = new Kit();
    await kit.keeper.open();
    const { group } = kit.cluster;
    group.create('a:0', 'a:1');
    await turn();
    const played = kit.played[0] as PlayedGang;
    await played.ready();
    expect(kit.gang.state.at).toBe('ready');
    const lead = kit.gang.lead;
    const lost = lead?.call('tokenize', { text: 'x' } as never).catch((error: TwinkleError) => error.code);

    group.set({ state: 'RESCHEDULING', scheduling: 'NO_RESOURCES', reason: 'node a is dead' });
    await turn();
    expect(kit.gang.lead).toBeNull();
    expect(kit.gang.state.at).toBe('idle');
    for (const { pid } of played.native.processes.spawned) played.native.processes.end(pid, { code: 0 });
    await vi.waitUntil(() => kit.gang.gang.state.at === 'stopped');
    // What had not begun may be tried elsewhere: it is no plain close.
    expect(await lost).toBe('RANK_FAILED');
    await vi.waitUntil(() => kit.news.waiting.mock.lastCall?.[0].includes('node a is dead') === true);
    expect(kit.news.moved).toHaveBeenCalledTimes(1);

    group.create('b:4', 'b:2');
    await vi.waitUntil(() => kit.gang.epoch === 2);
    expect(kit.environments()).toEqual(['GPU-b4/0', 'GPU-b2/1']);
    await played.ready();
    expect(kit.gang.state.at).toBe('ready');
    await kit.end();
  });

  it('starts on the last of several moves, never on two places at once, also when nobody said that it moves', async () => {
    const kit = new Kit();
    await kit.keeper.open();
    const { group } = kit.cluster;
    group.create('a:0', 'a:1');
    await turn();
    const played = kit.played[0] as PlayedGang;
    await played.ready();
    group.create('b:0', 'b:1');
    await turn();
    expect(kit.gang.state.at).toBe('idle');
    group.set({ state: 'RESCHEDULING' });
    group.create('c:0', 'c:1');
    await turn();
    expect(played.ranks).toHaveLength(2);
    for (const { pid } of played.native.processes.spawned) played.native.processes.end(pid, { code: 0 });
    await vi.waitUntil(() => kit.gang.epoch === 2);
    await turn();
    expect(kit.environments()).toEqual(['GPU-c0/0', 'GPU-c1/1']);
    expect(played.ranks).toHaveLength(4);
    expect(kit.news.moved).toHaveBeenCalledTimes(1);
    await kit.end();
  });

  it('takes all replicas of a gang with it', async () => {
    const plan: GroupPlan = {
      ...TWO,
      name: 'm',
      bundles: [...TWO.bundles, ...TWO.bundles],
      replicas: [0, 1],
    };
    const kit = new Kit(plan);
    await kit.keeper.open();
    kit.cluster.group.create('a:0', 'a:1', 'a:2', 'a:3');
    await turn();
    expect([kit.environments(0), kit.environments(1)]).toEqual([
      ['GPU-a0/0', 'GPU-a1/1'],
      ['GPU-a2/0', 'GPU-a3/1'],
    ]);
    for (const played of kit.played) await played.ready();
    kit.cluster.group.create('a:0', 'a:1', 'a:2', 'b:0');
    await turn();
    expect(kit.gangs.map(({ state }) => state.at)).toEqual(['idle', 'idle']);
    await kit.end();
  });
});

describe('a group that is removed by somebody', () => {
  it('ends its ranks for good, and says so', async () => {
    const kit = new Kit();
    await kit.keeper.open();
    kit.cluster.group.create('a:0', 'a:1');
    await turn();
    const played = kit.played[0] as PlayedGang;
    await played.ready();
    kit.cluster.group.set({ state: 'REMOVED', scheduling: 'REMOVED' });
    await turn();
    for (const { pid } of played.native.processes.spawned) played.native.processes.end(pid, { code: 0 });
    await vi.waitUntil(() => kit.gang.gang.state.at === 'stopped');
    expect(kit.gang.state.at).toBe('failed');
    expect(kit.keeper.failure?.code).toBe('GROUP_REMOVED');
    await kit.end();
  });
});

describe('a head that goes away', () => {
  it('makes another group when the lease ended, after the ranks have ended and the old group is given up', async () => {
    const kit = new Kit();
    await kit.keeper.open();
    kit.cluster.group.create('a:0', 'a:1');
    await turn();
    const played = kit.played[0] as PlayedGang;
    await played.ready();
    const [old] = kit.cluster.groups;
    old?.set({ state: 'REMOVED', scheduling: 'REMOVED', reason: 'the lease is over' });
    await turn();
    expect(kit.news.moved).toHaveBeenCalledWith('the lease is over');
    expect([old?.removed, kit.cluster.groups.length]).toEqual([0, 1]); // its ranks still run
    for (const { pid } of played.native.processes.spawned) played.native.processes.end(pid, { code: 0 });
    await vi.waitUntil(() => kit.cluster.groups.length === 2);
    expect([old?.removed, old?.listeners]).toEqual([1, 0]);
    expect(kit.keeper.failure).toBeNull();
    kit.cluster.group.create('a:2', 'a:3');
    await vi.waitUntil(() => kit.gang.state.at === 'starting');
    expect(kit.environments()).toEqual(['GPU-a2/0', 'GPU-a3/1']);
    await kit.end();
    expect(kit.cluster.group.removed).toBe(1);
  });

  it('asks again when the head is back, and not before', async () => {
    const kit = new Kit();
    kit.cluster.connected = false;
    kit.cluster.refusal = new TwinkleError('HEAD_UNREACHABLE', 'away');
    await kit.keeper.open();
    expect(kit.news.waiting).toHaveBeenCalledWith('the head does not answer', 0);
    expect(kit.keeper.failure).toBeNull();
    kit.cluster.connection(false);
    expect(kit.cluster.groups).toEqual([]);
    kit.cluster.refusal = null;
    kit.cluster.connection(true);
    await vi.waitUntil(() => kit.cluster.groups.length === 1);
    await kit.end();
    kit.cluster.connection(true);
    await turn();
    expect(kit.cluster.groups).toHaveLength(1);
  });

  it('asks nobody any more once it has ended', async () => {
    const kit = new Kit();
    kit.cluster.connected = false;
    kit.cluster.refusal = new TwinkleError('HEAD_UNREACHABLE', 'away');
    await kit.keeper.open();
    await kit.keeper.release();
    kit.cluster.refusal = null;
    kit.cluster.connection(true);
    await turn();
    expect(kit.cluster.groups).toEqual([]);
  });
});

describe('the end of a keeper', () => {
  it('starts nothing that comes too late, and still removes the group', async () => {
    const kit = new Kit();
    const opening = kit.keeper.open();
    kit.keeper.halt();
    await opening;
    kit.cluster.group.create('a:0', 'a:1');
    await turn();
    expect(kit.played[0]?.ranks).toEqual([]);
    expect(kit.cluster.group.listeners).toBe(0);
    await kit.keeper.release();
    expect(kit.cluster.group.removed).toBe(1);
  });

  it('does not mind a head that is gone: its group ends with the session', async () => {
    const kit = new Kit();
    await kit.keeper.open();
    Object.assign(kit.cluster.group, {
      remove: async () => {
        throw new TwinkleError('HEAD_UNREACHABLE', 'gone');
      },
    });
    await expect(kit.keeper.release()).resolves.toBeUndefined();
  });
});
