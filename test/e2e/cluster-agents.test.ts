/** A head and agents as processes: what survives the death of which. */
import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Cluster, GroupStatus } from '../../src/cluster/api.js';
import { groupSpec } from '../../src/cluster/group-spec.js';
import { RemoteCluster } from '../../src/cluster/remote-cluster.js';
import { sessionId } from '../../src/cluster/session.js';
import { processStat } from '../../src/util/proc-stat.js';
import { AgentProcess } from '../support/agent-process.js';
import { runCli } from '../support/cli.js';
import { FakeBox } from '../support/cluster-cli.js';

const join = (address: string): Promise<RemoteCluster> =>
  RemoteCluster.join({
    address,
    session: sessionId(
      { pid: process.pid, pidStart: processStat(process.pid)?.start ?? '' },
      randomBytes(4).toString('hex'),
    ),
    timeoutMs: 10_000,
  });

const nodesOf = (status: GroupStatus): (string | null)[] => status.bundles.map(({ node }) => node);

/** Resolves with the first status of the group that fits. */
async function statusWhere(cluster: Cluster, id: string, fits: (status: GroupStatus) => boolean): Promise<GroupStatus> {
  return await expect
    .poll(async () => (await cluster.snapshot()).groups.find((group) => group.id === id && fits(group)), {
      timeout: 20_000,
    })
    .toBeDefined()
    .then(async () => {
      const found = (await cluster.snapshot()).groups.find((group) => group.id === id);
      if (found === undefined) throw new Error(`group ${id} is gone`);
      return found;
    });
}

const ON_AGENTS = { agent: 'yes' };
const spread = (count: number, more: object = {}) =>
  groupSpec({
    strategy: 'STRICT_SPREAD',
    bundles: Array.from({ length: count }, () => ({ GPU: 1 })),
    selectors: Array.from({ length: count }, () => ({ agent: 'yes' })),
    ...more,
  });

describe('agents as processes', () => {
  it('kill -9 of one moves only the bundle that was there; a graceful leave moves it at once', async () => {
    await using box = new FakeBox('gpu:1');
    const { address } = await box.start();
    const ids = ['a', 'b', 'c', 'd', 'e'];
    const agents = await Promise.all(ids.map((id) => AgentProcess.join(address, id, { CPU: 4, GPU: 2 }, ON_AGENTS)));
    await using all = {
      [Symbol.asyncDispose]: async () => {
        for (const agent of agents) await agent[Symbol.asyncDispose]();
      },
    };
    await using cluster = await join(address);
    const group = await cluster.createGroup(spread(3));
    const before = nodesOf(await group.ready());
    expect(new Set(before).size).toBe(3);
    const victim = agents.find(({ id }) => id === before[1]);
    await victim?.kill();
    const after = nodesOf(
      await statusWhere(cluster, group.id, (status) => status.state === 'CREATED' && nodesOf(status)[1] !== before[1]),
    );
    expect([after[0], after[2]]).toEqual([before[0], before[2]]);
    expect(new Set(after).size).toBe(3);
    const leaver = agents.find(({ id }) => id === after[0]);
    await leaver?.leave();
    const last = nodesOf(
      await statusWhere(cluster, group.id, (status) => status.state === 'CREATED' && nodesOf(status)[0] !== after[0]),
    );
    expect(last.slice(1)).toEqual(after.slice(1));
    expect((await cluster.snapshot()).nodes.filter(({ state }) => state === 'dead')).toHaveLength(2);
    void all;
  });

  it('one that was stopped for longer than a node may be silent is taken for dead, and joins again when it goes on', async () => {
    await using box = new FakeBox('gpu:1');
    const { address } = await box.start();
    await using sleeper = await AgentProcess.join(address, 'a', { GPU: 1 }, ON_AGENTS);
    await using other = await AgentProcess.join(address, 'b', { CPU: 1 }, ON_AGENTS);
    await using cluster = await join(address);
    const group = await cluster.createGroup(spread(1));
    await group.ready();
    sleeper.child.kill('SIGSTOP');
    const stateOf = async (id: string): Promise<string | undefined> =>
      (await cluster.snapshot()).nodes.find((node) => node.id === id)?.state;
    await expect.poll(() => stateOf('a'), { timeout: 20_000 }).toBe('dead');
    expect(group.status.state).toBe('RESCHEDULING');
    expect(await stateOf('b')).toBe('alive');
    sleeper.child.kill('SIGCONT');
    await expect.poll(() => stateOf('a'), { timeout: 20_000 }).toBe('alive');
    // What it held is nobody's any more; the group is placed there anew.
    await group.ready({ timeoutMs: 20_000 });
    await expect
      .poll(async () => (await sleeper.held()).map((held) => [held.group, held.committed]))
      .toEqual([[group.id, true]]);
    void other;
  });

  it('hold on while the head is killed and started again; what is stateful ends by itself, what serves goes on', async () => {
    await using box = new FakeBox('gpu:1');
    const head = await box.start();
    await using agent = await AgentProcess.join(head.address, 'a', { CPU: 4, GPU: 4 }, ON_AGENTS);
    await using cluster = await join(head.address);
    const serving = await cluster.createGroup(spread(1, { name: 'serving', lifetime: 'detached' }));
    const stateful = await cluster.createGroup(spread(1, { name: 'stateful', lifetime: 'detached', hold: 'stateful' }));
    await Promise.all([serving.ready(), stateful.ready()]);
    await expect.poll(async () => (await agent.held()).filter(({ committed }) => committed).length).toBe(2);
    const [servingHeld] = (await agent.held()).filter(({ group }) => group === serving.id);
    await box.kill(head.pid);
    const fenced = await agent.fenced();
    expect(fenced).toHaveLength(1);
    expect(fenced).not.toContain(servingHeld?.txn);
    expect(await agent.held()).toEqual([servingHeld]);
    await box.start();
    const status = await statusWhere(cluster, serving.id, ({ state }) => state === 'CREATED');
    expect(nodesOf(status)).toEqual(['a']);
    expect(await agent.held()).toContainEqual(servingHeld);
    // What the agent gave up is placed anew.
    await statusWhere(cluster, stateful.id, ({ state }) => state === 'CREATED');
    await expect
      .poll(async () => (await agent.held()).map(({ group }) => group).sort())
      .toEqual([serving.id, stateful.id].sort());
    const found = await cluster.snapshot();
    expect(found.nodes.find(({ id }) => id === 'a')).toMatchObject({ state: 'alive', available: { GPU: 2 } });
  });
});

describe('a head that is restarted', () => {
  it('goes on as the node that it was while groups hold its devices, whatever it is told to offer', async () => {
    await using box = new FakeBox('gpu:4');
    const first = await box.start();
    await using cluster = await join(first.address);
    const kept = await cluster.createGroup(groupSpec({ name: 'kept', lifetime: 'detached', bundles: [{ GPU: 3 }] }));
    const before = (await kept.ready()).bundles;
    await box.kill(first.pid);
    await box.start('--num-gpus', '1');
    await statusWhere(cluster, kept.id, ({ state }) => state === 'CREATED');
    const [node, ...others] = (await cluster.snapshot()).nodes;
    expect(others).toEqual([]);
    expect(node).toMatchObject({ state: 'alive', resources: { GPU: 4 }, available: { GPU: 1 } });
    expect((await cluster.findGroup('kept', 'default')).status.bundles).toEqual(before);
    // Nobody else can have them before they are given back.
    const rival = await cluster.createGroup(groupSpec({ bundles: [{ GPU: 2 }] }));
    expect(rival.status.scheduling).toBe('NO_RESOURCES');
    const removed = await runCli(['remove', 'kept'], box.env);
    expect(removed).toMatchObject({ code: 0, stdout: `${kept.id} (kept) is removed\n` });
    await rival.ready({ timeoutMs: 20_000 });
    const unknown = await runCli(['remove', 'kepd'], box.env);
    expect(unknown).toMatchObject({ code: 2 });
    expect(unknown.stderr).toContain('no placement group "kepd"');
  });

  it('ends a group whose maker was never told of it', async () => {
    await using box = new FakeBox('gpu:1');
    const head = await box.start();
    await using cluster = await join(head.address);
    process.kill(head.pid, 'SIGSTOP');
    const lost = cluster.createGroup(groupSpec({ name: 'pair', bundles: [{ GPU: 1 }] }));
    await expect(lost).rejects.toMatchObject({ code: 'HEAD_UNREACHABLE' });
    process.kill(head.pid, 'SIGCONT');
    await expect.poll(() => cluster.connected, { timeout: 20_000 }).toBe(true);
    const again = await cluster.createGroup(groupSpec({ name: 'pair', bundles: [{ GPU: 1 }] }));
    await again.ready({ timeoutMs: 20_000 });
  });
});

describe('groups of clients', () => {
  it('names clash in a namespace only; detached ones outlive their client, others do not', async () => {
    await using box = new FakeBox('gpu:4');
    const { address } = await box.start();
    const first = await join(address);
    await using second = await join(address);
    const own = await first.createGroup(groupSpec({ name: 'pair', bundles: [{ GPU: 1 }] }));
    const kept = await first.createGroup(groupSpec({ name: 'kept', lifetime: 'detached', bundles: [{ GPU: 1 }] }));
    await Promise.all([own.ready(), kept.ready()]);
    await expect(second.createGroup(groupSpec({ name: 'pair', bundles: [{ GPU: 1 }] }))).rejects.toMatchObject({
      code: 'GROUP_NAME_TAKEN',
    });
    const other = await second.createGroup(
      groupSpec({ name: 'pair', namespace: 'elsewhere', bundles: [{ GPU: 2 }], strategy: 'STRICT_PACK' }),
    );
    await other.ready();
    await expect(second.createGroup(groupSpec({ bundles: [] }))).rejects.toMatchObject({ code: 'PLACEMENT_INVALID' });
    const waiting = await second.createGroup(groupSpec({ bundles: [{ GPU: 1 }] }));
    expect(waiting.status.state).toBe('PENDING');
    await expect(waiting.ready({ timeoutMs: 50 })).rejects.toThrow(/was not placed within 50 ms: .*GPU/);
    const placed = waiting.ready();
    await first[Symbol.asyncDispose]();
    await placed; // woken by the end of its owner's group
    const groups = (await second.snapshot()).groups.filter(({ state }) => state === 'CREATED');
    expect(groups.map(({ name }) => name).sort()).toEqual(['', 'kept', 'pair']);
    const removedWhileWaiting = await second.createGroup(groupSpec({ bundles: [{ GPU: 1 }] }));
    const ready = removedWhileWaiting.ready();
    await removedWhileWaiting.remove();
    await expect(ready).rejects.toMatchObject({ code: 'GROUP_REMOVED' });
    await removedWhileWaiting.remove();
  });
});
