import { describe, expect, it } from 'vitest';
import { NodeKit, type PlayedWorker } from './node-kit.js';
import { demandOf, refusal, until } from './played-client.js';

async function bear(worker: PlayedWorker): Promise<void> {
  const { params } = await worker.client.hear('assign');
  worker.client.tell('actor.born', { actor: params.actor, epoch: params.epoch, cause: null });
  await worker.client.sync();
}

describe('actors that end because they want to', () => {
  it('are dead, however many restarts they have, and give back what they held', async () => {
    await using kit = await NodeKit.open();
    const driver = await kit.driver();
    const id = await kit.actor(driver, { max_restarts: -1, demand: demandOf({ GPU: 1 }) });
    const worker = await kit.worker(0);
    await bear(worker);
    expect(await kit.free('GPU')).toBe(1);
    worker.client.ask('actor.exit', {}).catch(() => {}); // it may be gone before it hears the answer
    await until(() => driver.told.some(({ params }) => params.id === id && params.state === 'DEAD'));
    const dead = driver.told.findLast(({ params }) => params.id === id);
    expect(dead?.params).toMatchObject({ reason: 'exited by exit_actor()', cause: null });
    await until(() => !worker.alive);
    await until(() => kit.service.status().actors === 0);
    expect([kit.launcher.launches, await kit.free('GPU')]).toEqual([1, 2]);
  });

  it('are actors: a driver or a worker for tasks is refused', async () => {
    await using kit = await NodeKit.open();
    const driver = await kit.driver();
    await expect(driver.ask('actor.exit', {})).rejects.toMatchObject(refusal('INVALID_REQUEST', /no actor/));
  });
});

describe('words to interrupt', () => {
  it('go to the worker of that number, or to that of an actor, with all that they say', async () => {
    await using kit = await NodeKit.open();
    const driver = await kit.driver();
    const id = await kit.actor(driver);
    const worker = await kit.worker(0);
    await bear(worker);
    const told = { worker: -1, actor: id, ref: '1.5', force: false, recursive: true };
    driver.tell('interrupt', told);
    expect((await worker.client.hear('interrupt')).params).toEqual(told);
    driver.tell('interrupt', { ...told, actor: 'gone' }); // nobody hears it
    await driver.sync();
    const { value: lease } = await driver.ask('lease', demandOf());
    const second = await kit.worker(1);
    driver.tell('interrupt', { worker: (lease as { worker: number }).worker, ref: '1.6', force: true });
    expect((await second.client.hear('interrupt')).params).toMatchObject({ ref: '1.6', force: true });
    expect(worker.client.told.filter(({ method }) => method === 'interrupt')).toHaveLength(0);
  });
});
