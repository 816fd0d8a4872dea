import { describe, expect, it } from 'vitest';
import { until } from './played-client.js';
import { diskFull, SpillingKit } from './spilling-kit.js';

const [A, B, C] = [1, 2, 3];
const SIZE = 64 * 1024;

/** Room for three objects. */
function open(more: Partial<ConstructorParameters<typeof SpillingKit>[0]> = {}): SpillingKit {
  const kit = new SpillingKit({ capacity: 3 * SIZE, ...more });
  for (const client of [A, B, C]) kit.desk.joined(client);
  return kit;
}

/** With three objects of A in it, 1.1 (x), 1.2 (y) and 1.3 (z), the oldest first. */
async function openFull(more: Parameters<typeof open>[0] = {}): Promise<SpillingKit> {
  const kit = open(more);
  await kit.put(A, '1.1', SIZE, 'x');
  await kit.put(A, '1.2', SIZE, 'y');
  await kit.put(A, '1.3', SIZE, 'z');
  return kit;
}
const code = (name: string, message = /./) =>
  expect.objectContaining({ code: name, message: expect.stringMatching(message) });

/** Nothing is left when A has dropped everything: no file, no byte. */
async function expectNothingLeft(kit: SpillingKit): Promise<void> {
  for (const client of [A, B, C]) kit.desk.gone(client);
  await kit.desk.settled();
  expect(kit.desk.status()).toMatchObject({ objects: 0, usedBytes: 0, spilledBytes: 0, spilledObjects: 0 });
  expect(kit.filesLeft).toBe(0);
}

describe('an object for which memory has no room', () => {
  it('moves the one to disk that was used longest ago, which comes back when it is opened', async () => {
    await using kit = await openFull();
    expect(await kit.open(B, '1.1')).toBe('x');
    kit.close(B, '1.1');
    await kit.put(A, '1.4', SIZE, 'w');
    expect(kit.where()).toEqual({ '1.1': 'slab', '1.2': 'spilled', '1.3': 'slab', '1.4': 'slab' });
    expect(kit.desk.status()).toMatchObject({ spilledBytes: SIZE, spilledObjects: 1, spillWrittenBytes: SIZE });
    expect(await kit.open(B, '1.2')).toBe('y');
    expect(kit.where()).toEqual({ '1.1': 'slab', '1.2': 'slab', '1.3': 'spilled', '1.4': 'slab' });
    expect(kit.desk.status()).toMatchObject({ spilledObjects: 1, spillReadBytes: SIZE });
    await expectNothingLeft(kit);
  });

  it('is not written to disk twice: what was brought back has its file still', async () => {
    await using kit = await openFull();
    for (const id of ['1.4', '1.5', '1.6']) await kit.put(A, id, SIZE, 'w');
    for (let round = 0; round < 3; round++) {
      for (const id of ['1.1', '1.2', '1.3', '1.4', '1.5', '1.6']) {
        await kit.open(B, id);
        kit.close(B, id);
      }
    }
    expect(kit.desk.status()).toMatchObject({ spillWrittenBytes: 6 * SIZE, spilledObjects: 3 });
    kit.drop(A, '1.1', '1.2', '1.3', '1.4', '1.5', '1.6');
    await expectNothingLeft(kit);
  });

  it('takes several out of memory, and none in vain', async () => {
    await using kit = await openFull();
    await kit.open(B, '1.2');
    await expect(kit.put(A, '1.4', 2 * SIZE, 'w')).rejects.toEqual(
      code('SHM_FULL', /no room for 0\.1 MiB in one piece: of 0\.2 MiB, 0\.1 MiB are open to be read and 0\.0 MiB/),
    );
    expect([kit.files.begun.write, kit.filesLeft]).toEqual([0, 0]);
    kit.close(B, '1.2');
    await kit.put(A, '1.4', 2 * SIZE, 'w');
    expect(kit.where()).toMatchObject({ '1.1': 'spilled', '1.4': 'slab' });
    expect(kit.files.begun.write).toBe(2);
    await expectNothingLeft(kit);
  });

  it('is refused at once when it is larger than the store, whatever else could leave', async () => {
    await using kit = await openFull();
    expect(() => kit.desk.reserve(A, { id: '1.4', bytes: 3 * SIZE + 1 }, AbortSignal.abort())).toThrow(
      code('SHM_FULL', /larger than the object store/),
    );
    expect(kit.files.begun.write).toBe(0);
  });

  it('waits for one that is being written, which can leave then', async () => {
    await using kit = open();
    const blocks = [await kit.reserve(A, '1.1', SIZE), await kit.reserve(A, '1.2', 2 * SIZE)];
    const third = kit.put(B, '2.1', SIZE, 'w');
    kit.seal(A, '1.1', blocks[0] as never, 'x');
    await third;
    expect(kit.where()).toMatchObject({ '1.1': 'spilled', '2.1': 'slab' });
    kit.desk.abandon(A, '1.2');
    await expectNothingLeft(kit);
  });

  it('asks those who keep objects open for the next time to close them, before it is refused', async () => {
    const asked: unknown[] = [];
    await using kit = await openFull({
      letGo: (openers, collect) => {
        asked.push([openers, collect]);
        return Promise.resolve().then(() => kit.close(B, '1.2'));
      },
    });
    for (const id of ['1.1', '1.2', '1.3']) await kit.open(B, id);
    await kit.put(A, '1.4', SIZE, 'w');
    expect(asked).toEqual([[[B], false]]);
    await expect(kit.put(A, '1.5', 2 * SIZE, 'w')).rejects.toEqual(code('SHM_FULL', /0\.1 MiB are open to be read/));
    // Then also for what nobody can reach any more: that takes longer.
    expect(asked.slice(1)).toEqual([
      [[B], false],
      [[B], true],
    ]);
    await expectNothingLeft(kit);
  });
});

describe('an object that leaves memory', () => {
  it('and is dropped meanwhile leaves nothing behind', async () => {
    await using kit = await openFull();
    const gate = kit.files.close();
    const fourth = kit.reserve(A, '1.4', SIZE);
    await until(() => kit.files.begun.write === 1);
    kit.drop(A, '1.1');
    expect(kit.desk.status().usedBytes).toBe(3 * SIZE); // its bytes are being read
    gate.resolve();
    kit.seal(A, '1.4', await fourth, 'w');
    await kit.desk.settled();
    expect([kit.filesLeft, kit.desk.status().spilledObjects]).toEqual([0, 0]);
    expect(await kit.open(B, '1.2')).toBe('y');
    await expectNothingLeft(kit);
  });

  it('and is opened meanwhile stays; the next one leaves, and it need not be written again', async () => {
    await using kit = await openFull();
    const gate = kit.files.close();
    const fourth = kit.put(A, '1.4', SIZE, 'w');
    await until(() => kit.files.begun.write === 1);
    expect(await kit.open(B, '1.1')).toBe('x');
    gate.resolve();
    await fourth;
    expect(kit.where()).toMatchObject({ '1.1': 'slab', '1.2': 'spilled' });
    kit.close(B, '1.1');
    for (const id of ['1.5', '1.6', '1.7']) await kit.put(A, id, SIZE, 'v');
    expect([kit.where()['1.1'], kit.files.begun.write]).toEqual(['spilled', 4]);
    expect(await kit.open(B, '1.1')).toBe('x');
    await expectNothingLeft(kit);
  });

  it('is not taken for another that has its name by then', async () => {
    await using kit = await openFull();
    const gate = kit.files.close();
    const more = kit.reserve(B, '2.1', SIZE);
    await until(() => kit.files.begun.write === 1);
    kit.drop(A, '1.1', '1.2');
    const again = kit.reserve(A, '1.1', SIZE);
    gate.resolve();
    kit.seal(B, '2.1', await more, 'v');
    kit.seal(A, '1.1', await again, 'n');
    await kit.put(A, '1.4', 2 * SIZE, 'w');
    expect(await kit.open(C, '1.1')).toBe('n');
    await expectNothingLeft(kit);
  });
});

describe('an object that comes back', () => {
  const spilled = async (): Promise<SpillingKit> => {
    const kit = await openFull();
    await kit.put(A, '1.4', SIZE, 'w');
    expect(kit.where()['1.1']).toBe('spilled');
    return kit;
  };

  it('is read once for all who open it at once', async () => {
    await using kit = await spilled();
    expect(await Promise.all([kit.open(A, '1.1'), kit.open(B, '1.1'), kit.open(C, '1.1')])).toEqual(['x', 'x', 'x']);
    expect([kit.files.begun.read, kit.desk.list()[0]?.opens]).toEqual([1, 3]);
    await expectNothingLeft(kit);
  });

  it('comes although one of those who opened it does not want it any more', async () => {
    await using kit = await spilled();
    const gate = kit.files.close();
    const withdrawn = new AbortController();
    const [gone, stays] = [kit.open(B, '1.1', withdrawn.signal), kit.open(C, '1.1')];
    await until(() => kit.files.begun.write === 2);
    withdrawn.abort();
    await expect(gone).rejects.toMatchObject({ name: 'AbortError' });
    gate.resolve();
    expect(await stays).toBe('x');
    expect(kit.desk.list()[0]?.opens).toBe(1);
    await expectNothingLeft(kit);
  });

  it.each(['for room', 'for the disk'])(
    'and that nobody wants any more, while it waits %s, leaves nothing',
    async (why) => {
      await using kit = await spilled();
      if (why === 'for the disk') kit.drop(A, '1.2');
      const gate = kit.files.close();
      const withdrawn = new AbortController();
      const opening = kit.open(B, '1.1', withdrawn.signal);
      await until(() => kit.files.begun.write + kit.files.begun.read === 2);
      kit.drop(A, '1.1');
      withdrawn.abort();
      await expect(opening).rejects.toMatchObject({ name: 'AbortError' });
      expect(kit.where()['1.1']).toBeUndefined();
      gate.resolve();
      await kit.desk.settled();
      kit.drop(A, '1.2', '1.3', '1.4');
      await kit.desk.settled();
      expect([kit.desk.status().usedBytes, kit.filesLeft]).toEqual([0, 0]);
    },
  );

  it('is there for who holds it when its reader has died meanwhile', async () => {
    await using kit = await spilled();
    kit.drop(A, '1.2');
    const gate = kit.files.close();
    const died = new AbortController();
    const opening = kit.open(B, '1.1', died.signal);
    await until(() => kit.files.begun.read === 1);
    died.abort();
    kit.desk.gone(B);
    await expect(opening).rejects.toMatchObject({ name: 'AbortError' });
    expect(await Promise.all([kit.open(C, '1.1'), gate.resolve()])).toEqual(['x', undefined]);
    await expectNothingLeft(kit);
  });

  it('is refused while all that is in memory is open, and can be opened later', async () => {
    await using kit = await spilled();
    for (const id of ['1.2', '1.3', '1.4']) await kit.open(B, id);
    await expect(kit.open(C, '1.1')).rejects.toEqual(code('SHM_FULL'));
    expect(kit.desk.list()[0]).toMatchObject({ id: '1.1', opens: 0, where: 'spilled' });
    kit.close(B, '1.3');
    expect(await kit.open(C, '1.1')).toBe('x');
    await expectNothingLeft(kit);
  });

  it('does not come for who only looks whether it has a value', async () => {
    await using kit = await spilled();
    const { value } = await kit.desk.look(B, '1.1', new AbortController().signal);
    expect(value).toEqual({ value: { f: 'raw', s: [SIZE], at: '1.1', refs: [] }, block: null });
    expect(kit.desk.list()[0]).toMatchObject({ opens: 0, where: 'spilled' });
  });
});

describe('who waits for room', () => {
  it.each([
    ['who withdraws', (kit: SpillingKit, end: AbortController) => void [kit, end.abort()]],
    ['who abandons', (kit: SpillingKit) => kit.desk.abandon(B, '2.1')],
    ['who dies', (kit: SpillingKit) => kit.desk.gone(B)],
  ])('is passed over: %s', async (_how, leave) => {
    await using kit = await openFull();
    const gate = kit.files.close();
    const end = new AbortController();
    const first = expect(kit.reserve(B, '2.1', SIZE, end.signal)).rejects.toMatchObject({
      name: expect.stringMatching(/AbortError|TwinkleError/),
    });
    const second = kit.reserve(C, '3.1', SIZE);
    await until(() => kit.files.begun.write === 1);
    leave(kit, end);
    await first;
    gate.resolve();
    kit.seal(C, '3.1', await second, 'c');
    expect(kit.files.begun.write).toBe(1);
    await expectNothingLeft(kit);
  });

  it('stands in line: nobody overtakes a larger one', async () => {
    await using kit = await openFull();
    const gate = kit.files.close();
    const order: string[] = [];
    const wait = (id: string, bytes: number): Promise<unknown> =>
      kit.reserve(B, id, bytes).then((block) => {
        order.push(id);
        kit.seal(B, id, block, 'b');
      });
    const all = [wait('2.1', 3 * SIZE), wait('2.2', SIZE), wait('2.3', SIZE)];
    gate.resolve();
    await Promise.all(all);
    expect(order).toEqual(['2.1', '2.2', '2.3']);
    await expectNothingLeft(kit);
  });

  it('waits for one object once; several clients may write the same', async () => {
    await using kit = await openFull();
    const gate = kit.files.close();
    const [one, other] = [kit.reserve(B, '9.1', SIZE), kit.reserve(C, '9.1', SIZE)];
    expect(() => kit.desk.reserve(B, { id: '9.1', bytes: SIZE }, new AbortController().signal)).toThrow(
      code('INVALID_REQUEST', /received two/),
    );
    expect(() => kit.seal(B, '9.1', { slab: 0, offset: 0, size: 0 }, 'b')).toThrow(code('INVALID_REQUEST'));
    gate.resolve();
    kit.seal(C, '9.1', await other, 'c', [C]);
    kit.seal(B, '9.1', await one, 'b', [B]);
    expect(await kit.open(A, '9.1')).toBe('c');
    await expectNothingLeft(kit);
  });
});

describe('a disk that refuses', () => {
  it('is an error for who wanted room, and no more: all is readable, and later it works', async () => {
    await using kit = await openFull();
    kit.files.failure = diskFull;
    const [first, second] = [kit.put(B, '2.1', SIZE, 'b'), kit.put(C, '3.1', SIZE, 'c')];
    await expect(first).rejects.toEqual(code('STORAGE_FAILED'));
    await expect(second).rejects.toEqual(code('STORAGE_FAILED'));
    for (const [id, letter] of [
      ['1.1', 'x'],
      ['1.2', 'y'],
      ['1.3', 'z'],
    ] as const) {
      expect(await kit.open(B, id)).toBe(letter);
      kit.close(B, id);
    }
    expect(kit.desk.status()).toMatchObject({ objects: 3, usedBytes: 3 * SIZE });
    kit.files.failure = () => null;
    await kit.put(B, '2.1', SIZE, 'b');
    expect(await kit.open(C, '2.1')).toBe('b');
    await expectNothingLeft(kit);
  });

  it('is an error for who opens what is on disk, which stays there', async () => {
    await using kit = await openFull();
    await kit.put(A, '1.4', SIZE, 'w');
    kit.drop(A, '1.2');
    kit.files.failure = diskFull;
    await expect(kit.open(B, '1.1')).rejects.toEqual(code('STORAGE_FAILED'));
    expect(kit.desk.status()).toMatchObject({ usedBytes: 2 * SIZE, spilledObjects: 1 });
    kit.files.failure = () => null;
    expect(await kit.open(B, '1.1')).toBe('x');
    await expectNothingLeft(kit);
  });
});
