/** Objects of several boxes: who has the bytes, who counts them, and that no byte is left when nobody holds them. */
import { describe, expect, it } from 'vitest';
import type { ObjectStatus } from '../../../../src/actors/object-desk.js';
import type { Opened, Value } from '../../../../src/protocol/work.js';
import { BoxesKit, put, read, SIZE } from '../boxes-kit.js';
import { inline, type PlayedClient, refusal, until } from '../played-client.js';
import { largeValue } from '../spilling-kit.js';

/** A head and two boxes with a driver each. */
async function open(storeBytes = 8 * SIZE) {
  const kit = await BoxesKit.open();
  const [far, third] = [await kit.join('n1', { storeBytes }), await kit.join('n2', { storeBytes })];
  const [here, there, away] = [await kit.head.driver(), await far.driver(), await third.driver()];
  await Promise.all([there.sync(), away.sync()]);
  const stores = (): ObjectStatus[] => [kit.head, far, third].map(({ service }) => service.objects.status());
  const used = (): number[] => stores().map(({ usedBytes }) => usedBytes);
  /** Nobody knows an object, and none has a byte. */
  const nothingLeft = async (): Promise<void> => {
    await until(() =>
      stores().every(({ objects, usedBytes, inlineBytes }) => objects + usedBytes + inlineBytes === 0),
    ).catch(() => expect(stores()).toEqual('nothing'));
  };
  const close = async (client: PlayedClient, id: string): Promise<void> => {
    client.tell('object.close', { ids: [id] });
    await client.sync();
  };
  const drop = async (client: PlayedClient, id: string): Promise<void> => {
    client.tell('object.drop', { ids: [id] });
    await client.sync();
  };
  return { kit, far, third, here, there, away, stores, used, nothingLeft, close, drop };
}

describe('a large object of another box', () => {
  it('lies there, is read everywhere, and is nowhere when its holder drops it', async () => {
    const { kit, far, third, here, there, away, used, nothingLeft, close, drop } = await open();
    await using _ = kit;
    await put(far, there, '1.1', 'x');
    expect(used()).toEqual([0, SIZE, 0]);
    expect(await read(far, there, '1.1')).toBe('x');
    expect(used()).toEqual([0, SIZE, 0]);
    expect(await read(kit.head, here, '1.1')).toBe('x');
    expect(await read(third, away, '1.1')).toBe('x');
    expect(used()).toEqual([SIZE, SIZE, SIZE]);
    await close(there, '1.1');
    await close(here, '1.1');
    await close(away, '1.1');
    expect(kit.head.service.lists.objects()).toMatchObject([{ id: '1.1', state: 'sealed', bytes: SIZE }]);
    await drop(there, '1.1');
    await nothingLeft();
  });

  it('is kept by who reads it when nobody holds it any more', async () => {
    const { kit, far, third, there, away, used, nothingLeft, close, drop } = await open();
    await using _ = kit;
    await put(far, there, '1.1', 'x');
    expect(await read(third, away, '1.1')).toBe('x');
    await drop(there, '1.1');
    await until(() => used()[1] === 0);
    await kit.settled();
    expect(used()[2]).toBe(SIZE);
    await close(away, '1.1');
    await nothingLeft();
  });

  it('goes with the client that held it, and with its box', async () => {
    const { kit, far, third, there, away, nothingLeft } = await open();
    await using _ = kit;
    await put(far, there, '1.1', 'x');
    await put(third, away, '2.1', 'y');
    there.leave();
    away.leave();
    await nothingLeft();
  });

  it('is found once where several open it at once, with others that are here', async () => {
    const { kit, far, third, there, away, used } = await open();
    await using _ = kit;
    const second = await third.driver();
    await put(far, there, '1.1', 'x');
    await put(third, away, '2.1', 'y');
    const both = { ids: ['2.1', '1.1'] };
    const answers = await Promise.all([away.ask('object.open', both), second.ask('object.open', both)]);
    for (const { value } of answers) {
      const letters = (value as Opened[]).map(
        ({ block }) => block && third.paired.memory(block).toString('latin1', 0, 1),
      );
      expect(letters).toEqual(['y', 'x']);
    }
    expect(used()).toEqual([0, SIZE, 2 * SIZE]);
  });

  it('that is not known leaves nothing open of those that were opened before it', async () => {
    const { kit, far, third, there, away, nothingLeft, drop } = await open();
    await using _ = kit;
    await put(far, there, '1.1', 'x');
    await put(third, away, '2.1', 'y');
    const asked = away.ask('object.open', { ids: ['2.1', '1.1', '9.9'] });
    await expect(asked).rejects.toMatchObject(refusal('OBJECT_LOST', /9\.9/));
    await drop(there, '1.1');
    await drop(away, '2.1');
    await nothingLeft();
  });

  it('that is on its disk is read from there', async () => {
    const { kit, far, here, there } = await open(2 * SIZE);
    await using _ = kit;
    for (const [at, letter] of ['x', 'y', 'z'].entries()) await put(far, there, `1.${at}`, letter);
    expect(far.service.objects.status().spilledObjects).toBe(1);
    expect(await read(kit.head, here, '1.0')).toBe('x');
  });

  it('is lost with its box for all who did not read it, wherever they are', async () => {
    const { kit, far, third, here, there, away } = await open();
    await using _ = kit;
    await put(far, there, '1.1', 'x', [there.id, here.id, away.id]);
    await put(far, there, '1.2', 'y', [there.id, here.id, away.id]);
    expect(await read(third, away, '1.2')).toBe('y');
    await far.lose();
    await expect(read(kit.head, here, '1.1')).rejects.toMatchObject(refusal('OBJECT_LOST', /n1/));
    await expect(read(third, away, '1.1')).rejects.toMatchObject(refusal('OBJECT_LOST', /n1/));
    expect(await read(third, away, '1.2')).toBe('y');
  });

  it('that was lost is found again where a box that has a copy makes it anew', async () => {
    const { kit, far, third, here, there, away, close, drop } = await open();
    await using _ = kit;
    await put(far, there, '1.1', 'x', [here.id, away.id]);
    expect(await read(third, away, '1.1')).toBe('x');
    await close(away, '1.1');
    await far.lose();
    await expect(read(kit.head, here, '1.1')).rejects.toMatchObject(refusal('OBJECT_LOST', /n1/));
    await put(third, away, '1.1', 'x');
    expect(await read(kit.head, here, '1.1')).toBe('x');
    await close(here, '1.1');
    await drop(here, '1.1');
    await drop(away, '1.1');
    await until(() => [kit.head, third].every(({ service }) => service.objects.status().usedBytes === 0));
  });

  it('that is being read when its box is lost is lost for who reads it', async () => {
    const { kit, far, third, here, there, away, drop, stores } = await open();
    await using _ = kit;
    await put(far, there, '1.1', 'x', [here.id]);
    kit.head.service.objects.hold(away.id, { ids: ['1.1'] });
    const outcomes = Promise.allSettled([read(kit.head, here, '1.1'), read(third, away, '1.1')]);
    await until(
      () => far.fromHead.methods.length > 0 && stores().some(({ usedBytes }, at) => at !== 1 && usedBytes > 0),
    );
    await far.lose();
    for (const outcome of await outcomes) {
      if (outcome.status === 'fulfilled') expect(outcome.value).toBe('x');
      else expect(outcome.reason).toMatchObject(refusal('OBJECT_LOST'));
    }
    for (const client of [here, away]) {
      client.tell('object.close', { ids: ['1.1'] });
      await drop(client, '1.1');
    }
    await until(() => kit.head.service.objects.status().objects === 0);
    expect(third.service.objects.status().usedBytes).toBe(0);
  });
});

describe('what a far client opens', () => {
  it('is inline when it is small', async () => {
    const { kit, here, away, nothingLeft, drop } = await open();
    await using _ = kit;
    await here.ask('object.publish', { ids: ['1.1'], values: [inline(3)] }, [Buffer.from('abc')]);
    const { value, body } = await away.ask('object.open', { ids: ['1.1'] });
    expect([value, String(body)]).toEqual([[{ value: inline(3), block: null }], 'abc']);
    await drop(here, '1.1');
    await nothingLeft();
  });

  it('is read from the head when it lies there', async () => {
    const { kit, third, here, away, used, nothingLeft, close, drop } = await open();
    await using _ = kit;
    await put(kit.head, here, '1.1', 'h');
    expect(await read(third, away, '1.1')).toBe('h');
    expect(used()).toEqual([SIZE, 0, SIZE]);
    await close(away, '1.1');
    await drop(here, '1.1');
    await nothingLeft();
  });

  it.each(['small', 'large'])('is waited for while it is promised (%s)', async (kind) => {
    const { kit, far, third, there, away } = await open();
    await using _ = kit;
    await there.ask('object.publish', { ids: ['1.1'], values: [null] });
    const asked = away.ask('object.open', { ids: ['1.1'] });
    await until(() => third.toHead.methods.includes('work.find'));
    await kit.settled();
    if (kind === 'small') there.tell('object.fulfil', { ids: ['1.1'], values: [inline(2)] }, [Buffer.from('ok')]);
    else await put(far, there, '1.1', 'z');
    const { value, body } = await asked;
    const { block } = (value as Opened[])[0] as Opened;
    expect(block === null ? String(body) : third.paired.memory(block).toString('latin1', 0, 2)).toBe(
      kind === 'small' ? 'ok' : 'zz',
    );
  });

  it('is lost when its owner ends before it has a value, wherever that is', async () => {
    const { kit, third, there, away, far } = await open();
    await using _ = kit;
    await there.ask('object.publish', { ids: ['1.1', '1.2'], values: [null, null] });
    const asked = away.ask('object.open', { ids: ['1.1'] });
    await until(() => third.toHead.methods.includes('work.find'));
    await kit.settled();
    await far.lose();
    await expect(asked).rejects.toMatchObject(refusal('OBJECT_LOST', /owner/));
    await expect(away.ask('object.open', { ids: ['1.2'] })).rejects.toMatchObject(refusal('OBJECT_LOST'));
  });

  it('and does not want any more is not waited for at the head', async () => {
    const { kit, third, there, away } = await open();
    await using _ = kit;
    await there.ask('object.publish', { ids: ['1.1'], values: [null] });
    const asked = away.ask('object.open', { ids: ['1.1'] }, [], 99);
    const waiters = () => kit.head.service.objects.list()[0]?.waiters;
    await until(() => waiters() === 1);
    away.withdraw(99);
    await expect(asked).rejects.toMatchObject(refusal('ABORTED'));
    expect(waiters()).toBe(0);
    expect(third.toHead.methods.filter((method) => method === 'work.withdraw')).toHaveLength(1);
  });

  it('is not waited for when it has gone', async () => {
    const { kit, there, away } = await open();
    await using _ = kit;
    await there.ask('object.publish', { ids: ['1.1'], values: [null] });
    away.ask('object.open', { ids: ['1.1'] }).catch(() => {});
    const waiters = () => kit.head.service.objects.list()[0]?.waiters;
    await until(() => waiters() === 1);
    away.leave();
    await until(() => waiters() === 0);
  });

  it('leaves no copy where the object ends as it is answered', async () => {
    const { kit, third, here, away, nothingLeft, drop, close } = await open();
    await using _ = kit;
    await put(kit.head, here, '1.1', 'h');
    third.fromHead.held = true;
    const asked = read(third, away, '1.1').catch((refused: unknown) => refused);
    await until(() => third.toHead.methods.includes('work.find'));
    await kit.settled();
    await drop(here, '1.1');
    await kit.settled();
    third.fromHead.flow(); // the answer, and that it has ended, in one message
    expect(await asked).toMatchObject(refusal('OBJECT_LOST'));
    await close(away, '1.1');
    await nothingLeft();
  });
});

describe('the bytes that a far client writes', () => {
  const seal = async (client: PlayedClient, id: string, value: Value, holders = [client.id]) =>
    await client.ask('object.seal', { id, value, holders });
  const reserve = async (client: PlayedClient, id: string, bytes = SIZE) =>
    await client.ask('object.reserve', { id, bytes });

  it('are freed when another has written the object elsewhere', async () => {
    const { kit, far, third, there, away, used } = await open();
    await using _ = kit;
    await put(far, there, '1.1', 'x');
    await reserve(away, '1.1');
    await seal(away, '1.1', largeValue('1.1', SIZE));
    await kit.settled();
    expect(used()).toEqual([0, SIZE, 0]);
    expect(await read(third, away, '1.1')).toBe('x');
  });

  it('are freed when nobody holds the object', async () => {
    const { kit, there, nothingLeft } = await open();
    await using _ = kit;
    await reserve(there, '1.1');
    await seal(there, '1.1', largeValue('1.1', SIZE), []);
    await nothingLeft();
  });

  it('are freed when the head refuses them', async () => {
    const { kit, there, nothingLeft } = await open();
    await using _ = kit;
    await reserve(there, '1.1');
    await expect(seal(there, '1.1', largeValue('1.1', SIZE, ['9.9']))).rejects.toMatchObject(
      refusal('PROTOCOL', /9\.9/),
    );
    await nothingLeft();
  });

  it('are kept by what refers to them, on any box', async () => {
    const { kit, far, there, away, used, nothingLeft, drop } = await open();
    await using _ = kit;
    await put(far, there, '1.1', 'x', [there.id, away.id]);
    await reserve(away, '2.1');
    await seal(away, '2.1', largeValue('2.1', SIZE, ['1.1']));
    await drop(there, '1.1');
    await drop(away, '1.1');
    await kit.settled();
    expect(used()).toEqual([0, SIZE, SIZE]);
    expect(kit.head.service.lists.objects()).toMatchObject([{ id: '1.1', containedIn: 1 }, { id: '2.1' }]);
    away.leave();
    await nothingLeft();
  });

  it('are freed when they are abandoned, and when the client ends as it writes', async () => {
    const { kit, there, away, used, nothingLeft } = await open();
    await using _ = kit;
    await reserve(there, '1.1');
    await reserve(away, '2.1');
    expect(used()).toEqual([0, SIZE, SIZE]);
    await there.ask('object.abandon', { id: '1.1' });
    away.leave();
    await nothingLeft();
  });

  it('cannot be told instead of asked', async () => {
    const { kit, there } = await open();
    await using _ = kit;
    there.tell('object.seal', { id: '1.1', value: largeValue('1.1', SIZE), holders: [] });
    expect(await there.ended.promise).toBeDefined();
  });

  it('find no room when they are more than its box has', async () => {
    const { kit, there } = await open();
    await using _ = kit;
    await expect(reserve(there, '1.1', 9 * SIZE)).rejects.toMatchObject(refusal('SHM_FULL'));
  });
});
