import { describe, expect, it } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import { deferred } from '../../../src/util/deferred.js';
import { ScriptedCluster } from '../runtime/scripted-cluster.js';
import { NodeKit, type PlayedWorker } from './node-kit.js';
import { demandOf, inline, refusal, until } from './played-client.js';

/** The worker becomes the actor. */
async function bear(worker: PlayedWorker, cause: unknown = null, body: Uint8Array[] = []): Promise<void> {
  const { params } = await worker.client.hear('assign');
  worker.client.tell('actor.born', { actor: params.actor, epoch: params.epoch, cause }, body);
  if (cause === null) await worker.client.sync();
}

const alive = (kit: NodeKit): number => kit.service.status().actors;
const oneDead = (kit: NodeKit) => until(() => kit.workers.some((worker) => !worker.alive), 'a worker has ended');

describe('actors: begin', () => {
  it('are given to a worker with their arguments, and live where it is', async () => {
    await using kit = await NodeKit.open();
    const driver = await kit.driver();
    const spec = kit.spec(driver, { args: inline(3), max_concurrency: 2, methods: { go: 1 } });
    const { value } = await driver.ask('actor.create', spec, [Buffer.from('abc')]);
    expect(value).toMatchObject({ id: spec.id, cls_name: 'Cls', methods: { go: 1 }, ordered: false });
    driver.tell('actor.watch', { id: spec.id });
    expect(await driver.hearState()).toBe('PENDING');
    const worker = await kit.worker(0);
    const assigned = await worker.client.hear('assign');
    expect(assigned.params).toEqual({ actor: spec.id, spec, epoch: 0 });
    expect(String(assigned.body)).toBe('abc');
    worker.client.tell('actor.born', { actor: spec.id, epoch: 0, cause: null });
    expect((await driver.hear('actor')).params).toMatchObject({
      ...{ state: 'ALIVE', epoch: 0, pid: worker.pid, path: worker.request.launch.endpoint, node: 'n0' },
    });
  });

  it('that raise in their constructor are dead at once, however many restarts they have', async () => {
    await using kit = await NodeKit.open();
    const driver = await kit.driver();
    await kit.actor(driver, { max_restarts: 3 });
    await driver.hearState();
    const cause = { f: 'error', s: [4], at: '', refs: [] };
    await bear(await kit.worker(0), cause, [Buffer.from('oops')]);
    const dead = await driver.hear('actor');
    expect(dead.params).toMatchObject({ state: 'DEAD', cause, reason: 'its constructor raised' });
    expect(String(dead.body)).toBe('oops');
    await oneDead(kit);
    await until(() => alive(kit) === 0);
    expect(await kit.free()).toBe(4);
    expect(kit.launcher.launches).toBe(1);
  });

  it('that have no worker are tried again while they have restarts, but not with an interpreter that cannot run', async () => {
    await using kit = await NodeKit.open();
    const driver = await kit.driver();
    kit.launcher.refusal = new TwinkleError('RANK_FAILED', 'no memory');
    await kit.actor(driver, { max_restarts: 2 });
    await until(() => alive(kit) === 0);
    expect(kit.launcher.launches).toBe(3);
    kit.launcher.refusal = new TwinkleError('PYTHON_ENV', 'no msgspec');
    const id = await kit.actor(driver, { max_restarts: -1 });
    await until(() => alive(kit) === 0);
    expect([kit.launcher.launches, await kit.free()]).toEqual([4, 4]);
    await until(() => driver.told.some(({ params }) => params.id === id && /msgspec/.test(String(params.reason))));
  });

  it('that the ledger refuses are refused, and leave neither name nor object', async () => {
    const cluster = new ScriptedCluster('own');
    await using kit = await NodeKit.open({ cluster });
    const driver = await kit.driver();
    cluster.refusal = new TwinkleError('PLACEMENT_INVALID', 'no such resource');
    const spec = kit.spec(driver, { name: 'n' });
    await expect(driver.ask('actor.create', spec)).rejects.toMatchObject(refusal('PLACEMENT_INVALID'));
    await expect(driver.ask('actor.find', spec)).rejects.toMatchObject(refusal('ACTOR_NOT_FOUND'));
    await driver.sync();
    expect([kit.service.lists.actors(), kit.service.lists.objects()]).toEqual([[], []]);
  });

  it('are refused with an id that somebody has, or references to nothing', async () => {
    await using kit = await NodeKit.open();
    const driver = await kit.driver();
    const id = await kit.actor(driver);
    await expect(driver.ask('actor.create', kit.spec(driver, { id }))).rejects.toMatchObject(
      refusal('INVALID_REQUEST'),
    );
    const lacking = kit.spec(driver, { name: 'n', args: inline(0, ['9.9']) });
    await expect(driver.ask('actor.create', lacking)).rejects.toMatchObject(refusal('PROTOCOL', /9\.9/));
    await driver.ask('actor.create', { ...lacking, args: inline(0) }); // name and id are free
    await expect(driver.ask('actor.create', kit.spec(driver, { max_restarts: -2 }))).rejects.toMatchObject(
      refusal('INVALID_REQUEST', /max_restarts/),
    );
  });
});

describe('actors: restarts', () => {
  it('happen on the same place with the next epoch, after the process of before is gone', async () => {
    await using kit = await NodeKit.open();
    const driver = await kit.driver();
    const id = await kit.actor(driver, { max_restarts: 1, demand: demandOf({ GPU: 1 }) });
    const first = await kit.worker(0);
    await bear(first);
    kit.paired.lingers = true;
    await driver.ask('actor.kill', { id, restart: true });
    expect(kit.launcher.launches).toBe(1); // its devices may be in use until it is gone
    kit.paired.lingers = false;
    first.end({ signal: 9 });
    const second = await kit.worker(1);
    const { params } = await second.client.hear('assign');
    expect([params.epoch, first.alive, await kit.free('GPU')]).toEqual([1, false, 1]);
    second.client.tell('actor.born', { actor: params.actor, epoch: 0, cause: null }); // of a life that is over
    await second.client.sync();
    expect(kit.service.lists.actors()[0]?.state).toBe('RESTARTING');
    second.client.tell('actor.born', { actor: params.actor, epoch: 1, cause: null });
    const states = [];
    while (states.at(-1) !== 'ALIVE1') {
      const { state, epoch } = (await driver.hear('actor')).params;
      states.push(`${state}${epoch}`);
    }
    expect(states).toEqual(['PENDING0', 'ALIVE0', 'RESTARTING1', 'ALIVE1']);
    second.end({ code: 0 });
    expect((await driver.hear('actor')).params).toMatchObject({
      state: 'DEAD',
      reason: expect.stringMatching(/exit code 0/),
    });
  });

  it('by a kill end the process that lives', async () => {
    await using kit = await NodeKit.open();
    const driver = await kit.driver();
    const id = await kit.actor(driver, { max_restarts: 1 });
    const first = await kit.worker(0);
    await bear(first);
    await driver.ask('actor.kill', { id, restart: true });
    await bear(await kit.worker(1));
    expect([first.alive, alive(kit)]).toEqual([false, 1]);
    await driver.ask('actor.kill', { id, restart: false });
    await until(() => kit.workers.every((worker) => !worker.alive));
    await until(() => alive(kit) === 0);
    expect(await kit.free()).toBe(4);
  });

  it('by a kill while the worker starts do not give that worker to the life before', async () => {
    await using kit = await NodeKit.open();
    const driver = await kit.driver();
    const gate = deferred<void>();
    kit.launcher.gate = gate.promise;
    const id = await kit.actor(driver, { max_restarts: 1 });
    await until(() => kit.launcher.launches === 1);
    await driver.ask('actor.kill', { id, restart: true });
    await until(() => kit.launcher.launches === 2);
    gate.resolve();
    await kit.worker(1);
    await until(() => kit.workers.some(({ client }) => client.told.some(({ method }) => method === 'assign')));
    const assigned = kit.workers.flatMap(({ client }) => client.told.filter(({ method }) => method === 'assign'));
    expect(assigned.map(({ params }) => params.epoch)).toEqual([1]);
  });
});

describe('actors: end', () => {
  it('when they are killed while they wait for a place, which goes to others', async () => {
    await using kit = await NodeKit.open({ cpus: 1 });
    const driver = await kit.driver();
    const first = await kit.actor(driver);
    await kit.worker(0);
    const second = await kit.actor(driver);
    await until(() => kit.service.lists.actors().some(({ id, reason }) => id === second && reason !== null));
    await driver.ask('actor.kill', { id: second, restart: false });
    await driver.ask('actor.kill', { id: first, restart: false });
    await driver.ask('actor.kill', { id: first, restart: false });
    await until(() => alive(kit) === 0);
    await oneDead(kit);
    await driver.sync();
    expect([kit.launcher.launches, await kit.free()]).toEqual([1, 1]);
  });

  it('when they are killed while their worker starts, which is left without work', async () => {
    await using kit = await NodeKit.open();
    const driver = await kit.driver();
    const gate = deferred<void>();
    kit.launcher.gate = gate.promise;
    const id = await kit.actor(driver);
    await until(() => kit.launcher.launches === 1);
    await driver.ask('actor.kill', { id, restart: false });
    gate.resolve();
    const worker = await kit.worker(0);
    await until(() => !worker.alive); // no spare ones are wanted here
    expect(worker.client.told.map(({ method }) => method)).not.toContain('assign');
    expect(await kit.free()).toBe(4);
  });

  it('when they are killed before the ledger has answered', async () => {
    await using kit = await NodeKit.open();
    const [driver, other] = [await kit.driver(), await kit.driver()];
    const spec = kit.spec(driver, { name: 'n' });
    const created = driver.ask('actor.create', spec);
    const killed = driver.ask('actor.kill', { id: spec.id, restart: false }); // in one write
    await Promise.all([created, killed]);
    await expect(other.ask('actor.find', spec)).rejects.toMatchObject(refusal('ACTOR_NOT_FOUND'));
    await until(() => alive(kit) === 0);
    expect([kit.launcher.launches, await kit.free()]).toEqual([0, 4]);
  });

  it('with their creator, unless they are detached', async () => {
    await using kit = await NodeKit.open();
    const [driver, other] = [await kit.driver(), await kit.driver()];
    await kit.actor(driver);
    const stays = await kit.actor(driver, { name: 'stays', detached: true });
    await bear(await kit.worker(0));
    await bear(await kit.worker(1));
    other.tell('actor.watch', { id: stays });
    await other.hearState();
    driver.leave();
    await oneDead(kit);
    const { value } = await other.ask('actor.find', { namespace: 'default', name: 'stays' });
    expect([(value as { id: string }).id, alive(kit), await kit.free()]).toEqual([stays, 1, 3]);
    other.tell('object.drop', { ids: [stays] });
    await other.sync();
    expect(alive(kit)).toBe(1);
    await other.ask('actor.kill', { id: stays, restart: false });
    expect(await other.hearState()).toBe('DEAD');
    await until(() => kit.service.lists.actors().length === 0, 'it is forgotten: nobody has a handle');
  });

  it('when the last handle goes; who watches it later hears that it is dead', async () => {
    await using kit = await NodeKit.open();
    const [driver, other] = [await kit.driver(), await kit.driver()];
    const id = await kit.actor(driver, { max_restarts: -1 });
    await bear(await kit.worker(0));
    await other.ask('object.hold', { ids: [id] });
    driver.tell('object.drop', { ids: [id] });
    await driver.sync();
    expect(alive(kit)).toBe(1);
    other.tell('object.drop', { ids: [id] });
    await oneDead(kit);
    expect([kit.service.lists.actors(), kit.launcher.launches]).toEqual([[], 1]);
    other.tell('actor.watch', { id });
    expect((await other.hear('actor')).params).toMatchObject({
      id,
      state: 'DEAD',
      reason: expect.stringMatching(/handle/),
    });
  });

  it('but live while a value that lives has a handle inside', async () => {
    await using kit = await NodeKit.open();
    const driver = await kit.driver();
    const id = await kit.actor(driver);
    await driver.ask('object.publish', { ids: [`${driver.id}.1`], values: [inline(0, [id])] });
    driver.tell('object.drop', { ids: [id] });
    await driver.sync();
    expect(alive(kit)).toBe(1);
    driver.tell('object.drop', { ids: [`${driver.id}.1`] });
    await until(() => alive(kit) === 0);
  });
});

describe('actors: names', () => {
  it('are found while the actor waits, by get_if_exists in the same write too', async () => {
    await using kit = await NodeKit.open({ cpus: 1 });
    const driver = await kit.driver();
    await kit.actor(driver);
    const specs = [1, 2].map(() => kit.spec(driver, { name: 'one', get_if_exists: true }));
    const cards = await Promise.all(specs.map((spec) => driver.ask('actor.create', spec)));
    expect(cards.map(({ value }) => (value as { id: string }).id)).toEqual([specs[0]?.id, specs[0]?.id]);
    await expect(driver.ask('actor.create', kit.spec(driver, { name: 'one' }))).rejects.toMatchObject(
      refusal('ACTOR_NAME_TAKEN'),
    );
    expect((await driver.ask('actor.names', { namespace: 'default' })).value).toEqual([
      { namespace: 'default', name: 'one' },
    ]);
  });

  it('are free again when the actor is dead, also in the same write as its last handle goes', async () => {
    await using kit = await NodeKit.open();
    const driver = await kit.driver();
    const first = await kit.actor(driver, { name: 'one' });
    await bear(await kit.worker(0));
    driver.tell('object.drop', { ids: [first] });
    const second = await kit.actor(driver, { name: 'one' });
    driver.tell('object.drop', { ids: [second] });
    const spec = kit.spec(driver, { name: 'one', get_if_exists: true });
    expect((await driver.ask('actor.create', spec)).value).toMatchObject({ id: spec.id });
    await driver.ask('actor.kill', { id: spec.id, restart: false });
    await kit.actor(driver, { name: 'one' });
    await expect(driver.ask('actor.find', { namespace: 'other', name: 'one' })).rejects.toMatchObject(
      refusal('ACTOR_NOT_FOUND', /none has a name there/),
    );
  });
});
