/** Objects whose bytes are on another box: for who reads them here, and for the other boxes that read what is here. */
import { describe, expect, it } from 'vitest';
import { type LetGo, SERVICE } from '../../../src/actors/object-desk.js';
import { TwinkleError } from '../../../src/errors.js';
import { deferred } from '../../../src/util/deferred.js';
import { inline, until } from './played-client.js';
import { diskFull, largeValue, NEVER, PlayedSource, SpillingKit } from './spilling-kit.js';

const [A, B, C] = [1, 2, 3];
const SIZE = 64 * 1024;

/** Room for three objects. */
function open(more: Partial<ConstructorParameters<typeof SpillingKit>[0]> = {}): SpillingKit {
  const kit = new SpillingKit({ capacity: 3 * SIZE, ...more });
  for (const client of [A, B, C]) kit.desk.joined(client);
  return kit;
}
const code = (name: string, message = /./) =>
  expect.objectContaining({ code: name, message: expect.stringMatching(message) });
const away = (letter = 'a', bytes = SIZE): PlayedSource => new PlayedSource(bytes, letter);

/** When all clients have gone, there is no byte here, and each of the sources was removed once. */
async function expectNothingLeft(kit: SpillingKit, ...sources: readonly PlayedSource[]): Promise<void> {
  for (const client of [A, B, C]) kit.desk.gone(client);
  await kit.desk.settled();
  expect(kit.desk.status()).toMatchObject({
    objects: 0,
    usedBytes: 0,
    spilledBytes: 0,
    spilledObjects: 0,
    awayBytes: 0,
  });
  expect([kit.filesLeft, ...sources.map(({ removals }) => removals)]).toEqual([0, ...sources.map(() => 1)]);
}

describe('an object on another box', () => {
  it('takes no memory until it is opened, and is read once for all who open it at once', async () => {
    await using kit = open();
    const source = away('a');
    expect(kit.putAway(A, '1.1', source)).toBe('stored');
    expect(kit.where()).toEqual({ '1.1': 'away' });
    expect(kit.desk.status()).toMatchObject({ usedBytes: 0, spilledBytes: 0, spilledObjects: 0, awayBytes: SIZE });
    source.gate = deferred();
    const all = Promise.all([kit.open(A, '1.1'), kit.open(B, '1.1'), kit.open(C, '1.1')]);
    await until(() => source.reads === 1);
    source.gate.resolve();
    expect([await all, source.reads]).toEqual([['a', 'a', 'a'], 1]);
    expect(kit.where()).toEqual({ '1.1': 'slab' });
    expect(kit.desk.status()).toMatchObject({ usedBytes: SIZE, awayBytes: 0, spillReadBytes: 0 });
    await expectNothingLeft(kit, source);
  });

  it('leaves memory without being written to disk, also where there are only such', async () => {
    await using kit = open();
    const sources = ['a', 'b', 'c', 'd', 'e'].map((letter) => away(letter));
    for (const [at, source] of sources.entries()) kit.putAway(A, `1.${at}`, source);
    for (let round = 0; round < 2; round++) {
      for (const at of sources.keys()) {
        expect(await kit.open(B, `1.${at}`)).toBe('abcde'[at]);
        kit.close(B, `1.${at}`);
      }
    }
    expect(Object.values(kit.where()).sort()).toEqual(['away', 'away', 'slab', 'slab', 'slab']);
    expect(kit.files.begun).toEqual({ write: 0, read: 0 });
    expect(kit.desk.status()).toMatchObject({ spilledObjects: 0, awayBytes: 2 * SIZE });
    await expectNothingLeft(kit, ...sources);
  });

  it('takes the place of others, which go to disk', async () => {
    await using kit = open();
    for (const [id, letter] of Object.entries({ '1.1': 'x', '1.2': 'y', '1.3': 'z' }))
      await kit.put(A, id, SIZE, letter);
    const source = away();
    kit.putAway(B, '2.1', source);
    expect(await kit.open(B, '2.1')).toBe('a');
    expect(kit.where()).toMatchObject({ '1.1': 'spilled', '2.1': 'slab' });
    expect(kit.desk.status()).toMatchObject({ spilledObjects: 1, spilledBytes: SIZE });
    await expectNothingLeft(kit, source);
  });

  it('that cannot be read is an error for all who opened it, with its details; it stays, and a later try reads again', async () => {
    await using kit = open();
    const source = away();
    source.failure = () => new TwinkleError('OBJECT_LOST', 'its node is gone', { details: { node: 'n-2' } });
    kit.putAway(A, '1.1', source);
    for (const one of await Promise.allSettled([kit.open(A, '1.1'), kit.open(B, '1.1')])) {
      expect(one).toMatchObject({ reason: { code: 'OBJECT_LOST', details: { node: 'n-2' } } });
    }
    expect(kit.desk.list()).toMatchObject([{ where: 'away', opens: 0 }]);
    expect([kit.desk.status().usedBytes, source.reads, source.removals]).toEqual([0, 1, 0]);
    source.failure = () => null;
    expect(await kit.open(B, '1.1')).toBe('a');
    await expectNothingLeft(kit, source);
  });

  it.each([false, true])(
    'that nobody wants any more is not read on; who opens it then reads it anew (the source goes on: %s)',
    async (deaf) => {
      await using kit = open();
      const source = Object.assign(away(), { gate: deferred<void>(), deaf });
      kit.putAway(A, '1.1', source);
      const [first, second] = [new AbortController(), new AbortController()];
      const both = [kit.open(B, '1.1', first.signal), kit.open(C, '1.1', second.signal)] as const;
      await until(() => source.reads === 1);
      first.abort();
      await expect(both[0]).rejects.toMatchObject({ name: 'AbortError' });
      expect(kit.desk.status().usedBytes).toBe(SIZE); // the other wants it
      second.abort();
      await expect(both[1]).rejects.toMatchObject({ name: 'AbortError' });
      const again = kit.open(C, '1.1');
      await until(() => source.reads === 2);
      source.gate.resolve();
      expect(await again).toBe('a');
      await kit.desk.settled();
      expect([kit.desk.status().usedBytes, source.removals]).toEqual([SIZE, 0]);
      await expectNothingLeft(kit, source);
    },
  );

  it('is waited for by the end of the store while its read goes on, though nobody wants it', async () => {
    await using kit = open();
    const source = Object.assign(away(), { gate: deferred<void>(), deaf: true });
    kit.putAway(A, '1.1', source);
    const died = new AbortController();
    const opening = kit.open(A, '1.1', died.signal);
    await until(() => source.reads === 1);
    died.abort();
    await expect(opening).rejects.toMatchObject({ name: 'AbortError' });
    kit.desk.gone(A);
    expect(source.removals).toBe(1);
    let settled = false;
    const end = kit.desk.settled().then(() => {
      settled = true;
    });
    for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
    expect(settled).toBe(false); // it still writes to memory
    source.gate.resolve();
    await end;
    await expectNothingLeft(kit, source);
  });

  it('is told to who waits for it as a large one, which it is also when nobody else kept it', async () => {
    await using kit = open();
    const [kept, lost] = [away(), away()];
    kit.desk.publish(A, { ids: ['1.1', '1.2'], values: [null, null] }, Buffer.alloc(0));
    const opening = kit.open(B, '1.1');
    const looking = kit.desk.look(B, '1.1', NEVER);
    const late = kit.desk.look(B, '1.2', NEVER);
    await new Promise(setImmediate);
    expect(kit.putAway(A, '1.1', kept, [])).toBe('stored');
    kit.drop(A, '1.2'); // its promise stays
    expect(kit.putAway(A, '1.2', lost, [])).toBe('gone');
    expect(lost.removals).toBe(1);
    expect(await opening).toBe('a');
    expect((await looking).value).toEqual({ value: largeValue('1.1', SIZE), block: null });
    await expect(late).rejects.toEqual(code('OBJECT_LOST'));
    await expectNothingLeft(kit, kept, lost);
  });

  it('that is late, or that nobody keeps, leaves its source at once, and room that was reserved for it', async () => {
    await using kit = open();
    const sources = [away('a'), away('b'), away('c')] as const;
    await kit.reserve(A, '1.1', SIZE);
    expect(kit.putAway(A, '1.1', sources[0])).toBe('stored');
    expect(kit.desk.status().usedBytes).toBe(0);
    expect(kit.putAway(B, '1.1', sources[1], [B])).toBe('late');
    expect(kit.putAway(B, '1.2', sources[2], [99])).toBe('gone');
    expect(sources.map(({ removals }) => removals)).toEqual([0, 1, 1]);
    kit.drop(A, '1.1');
    expect(await kit.open(C, '1.1')).toBe('a'); // the one who was late holds it
    await expectNothingLeft(kit, ...sources);
  });

  it('that is refused leaves its source to who brought it', async () => {
    await using kit = open();
    const source = away();
    const seal = (bytes: number, refs: string[]) =>
      kit.desk.sealAway(A, { id: '1.1', value: largeValue('1.1', bytes, refs), holders: [A] }, source);
    expect(() => seal(SIZE + 1, [])).toThrow(code('INVALID_REQUEST', /its source has 65536/));
    expect(() => seal(SIZE, ['9.9'])).toThrow(code('PROTOCOL'));
    expect(() => kit.putAway(A, '1.1', away('a', 0))).toThrow(code('INVALID_REQUEST'));
    expect([kit.desk.status().objects, source.removals]).toEqual([0, 0]);
  });

  it('keeps what it contains, where that is counted here', async () => {
    await using kit = open();
    const source = away();
    kit.desk.publish(A, { ids: ['1.1'], values: [inline(1)] }, Buffer.from('x'));
    kit.desk.sealAway(A, { id: '1.2', value: largeValue('1.2', SIZE, ['1.1']), holders: [A] }, source);
    kit.drop(A, '1.1');
    expect(kit.desk.list()[0]).toMatchObject({ id: '1.1', containedIn: 1 });
    await expectNothingLeft(kit, source);
  });

  it('does not go when the disk is full of what is in memory, too', async () => {
    await using kit = open();
    const source = away();
    kit.putAway(A, '1.1', source);
    expect(await kit.open(A, '1.1')).toBe('a');
    await kit.put(A, '1.2', SIZE, 'x');
    await kit.put(A, '1.3', SIZE, 'y');
    await kit.put(A, '1.4', SIZE, 'z'); // 1.2 goes
    await kit.open(A, '1.2'); // comes back, and keeps its file; 1.3 goes
    expect([kit.filesLeft, kit.where()['1.2']]).toEqual([2, 'slab']);
    let refusals = 0;
    kit.files.failure = () => (refusals++ === 0 ? diskFull() : null);
    await kit.put(A, '1.5', SIZE, 'w');
    expect(refusals).toBe(2);
    expect(kit.where()).toMatchObject({ '1.1': 'slab', '1.2': 'slab', '1.4': 'spilled' });
    kit.close(A, '1.1');
    for (const id of ['1.6', '1.7']) await kit.put(A, id, SIZE, 'v');
    expect([kit.where()['1.1'], source.removals]).toEqual(['away', 0]);
    await expectNothingLeft(kit, source);
  });

  it('is adopted once: held by the service, whatever it contains, until that lets it go', async () => {
    await using kit = open();
    const [source, again] = [away('a'), away('b')];
    const value = largeValue('9.1', SIZE, ['9.8']);
    expect(kit.desk.has('9.1')).toBe(false);
    expect([kit.desk.adoptAway('9.1', value, source), kit.desk.adoptAway('9.1', value, again)]).toEqual([
      'stored',
      'late',
    ]);
    expect([kit.desk.has('9.1'), source.removals, again.removals]).toEqual([true, 0, 1]);
    expect((await kit.desk.look(B, '9.1', NEVER)).value).toEqual({ value, block: null });
    expect(await kit.open(B, '9.1')).toBe('a');
    kit.drop(SERVICE, '9.1');
    expect(source.removals).toBe(0); // B reads it
    kit.close(B, '9.1');
    expect([kit.desk.has('9.1'), source.removals]).toEqual([false, 1]);
    await expectNothingLeft(kit, source, again);
  });
});

describe('an object that another box reads', () => {
  it('stays where it is until all who read it have closed it, each once', async () => {
    await using kit = open();
    await kit.put(A, '1.1', SIZE, 'x');
    const [first, second] = [await kit.desk.takeOut('1.1'), await kit.desk.takeOut('1.1')];
    kit.drop(A, '1.1');
    expect([first.size, Buffer.from(first.part(SIZE - 3, 100)).toString()]).toEqual([SIZE, 'xxx']);
    first.close();
    first.close();
    expect(kit.desk.list()).toMatchObject([{ opens: 1 }]);
    expect(() => first.part(0, 1)).toThrow(/was closed/);
    expect(second.part(0, SIZE)).toHaveLength(SIZE);
    second.close();
    await expectNothingLeft(kit);
  });

  it('comes back from disk for it; a reader that does not want it any more leaves nothing', async () => {
    await using kit = open();
    for (const id of ['1.1', '1.2', '1.3', '1.4']) await kit.put(A, id, SIZE, 'x');
    expect(kit.where()['1.1']).toBe('spilled');
    const gate = kit.files.close();
    const end = new AbortController();
    const withdrawn = kit.desk.takeOut('1.1', end.signal);
    await until(() => kit.files.begun.write === 2);
    end.abort();
    await expect(withdrawn).rejects.toMatchObject({ name: 'AbortError' });
    gate.resolve();
    const out = await kit.desk.takeOut('1.1');
    expect(Buffer.from(out.part(0, 3)).toString()).toBe('xxx');
    expect(kit.desk.list()[0]).toMatchObject({ opens: 1 });
    out.close();
    await expectNothingLeft(kit);
  });

  it('is lost where its bytes are not: unknown, promised, reserved, small, or only adopted', async () => {
    await using kit = open();
    const source = away();
    kit.desk.adoptAway('1.1', largeValue('1.1', SIZE), source);
    kit.desk.publish(A, { ids: ['1.2', '1.3'], values: [null, inline(1)] }, Buffer.from('x'));
    await kit.reserve(A, '1.4', SIZE);
    kit.desk.represent(A, '1.5', [], () => {});
    for (const id of ['1.2', '1.3', '1.4', '1.5', '1.6']) {
      await expect(kit.desk.takeOut(id)).rejects.toEqual(code('OBJECT_LOST'));
      expect(kit.desk.has(id)).toBe(false);
    }
    await expect(kit.desk.takeOut('1.1')).rejects.toMatchObject({ code: 'OBJECT_LOST', details: { node: 'n-2' } });
    expect([kit.desk.has('1.1'), source.reads]).toEqual([true, 0]);
    expect(await kit.open(B, '1.1')).toBe('a');
    (await kit.desk.takeOut('1.1')).close(); // now it is here, too
    kit.drop(SERVICE, '1.1');
    await expectNothingLeft(kit, source);
  });

  it('is brought here first, by who counts it, and is as long as its value', async () => {
    await using kit = open();
    const source = away('a', 1000);
    kit.putAway(A, '1.1', source);
    await kit.reserve(A, '1.2', 1024).then((block) => {
      kit.slabs.memory(block).part(0, 1024).fill(98);
      kit.desk.seal(A, { id: '1.2', value: largeValue('1.2', 1000), holders: [A] });
    });
    for (const [id, letter] of Object.entries({ '1.1': 'a', '1.2': 'b' })) {
      const out = await kit.desk.takeOut(id);
      expect([out.size, Buffer.from(out.part(998, 100)).toString()]).toEqual([1000, letter.repeat(2)]);
      out.close();
    }
    expect(source.reads).toBe(1);
    await expectNothingLeft(kit, source);
  });

  it('is waited for by who needs room, as who reads it is soon done; nobody is asked to let it go', async () => {
    const asked: (readonly number[])[] = [];
    const letGo: LetGo = (openers) => {
      asked.push(openers);
      return null;
    };
    await using kit = open({ letGo });
    for (const id of ['1.1', '1.2', '1.3']) await kit.put(A, id, SIZE, 'x');
    const out = await Promise.all(['1.1', '1.2', '1.3'].map((id) => kit.desk.takeOut(id)));
    const fourth = kit.put(B, '2.1', SIZE, 'w');
    await until(() => asked.length === 1);
    out[1]?.close();
    await fourth;
    expect(kit.where()).toMatchObject({ '1.2': 'spilled', '2.1': 'slab' });
    expect(asked.flat()).toEqual([]);
    await kit.open(B, '1.1'); // who reads it here may keep it
    await kit.open(B, '1.3');
    await kit.open(B, '2.1');
    await expect(kit.put(C, '3.1', SIZE, 'v')).rejects.toEqual(code('SHM_FULL'));
    for (const one of out) one.close();
    await expectNothingLeft(kit);
  });
});
