import { describe, expect, it } from 'vitest';
import { DRIVER, large, OTHER, protocol, setUp, text, WORKER } from './object-kit.js';

describe('views', () => {
  it('outlive the last ref, and are counted for each client', () => {
    const { table, freed, row, put } = setUp();
    put('1.1', 7);
    const sealed = { kind: 'sealed', value: large(7), block: 7, blockBytes: 1000, spilled: false };
    expect(table.open(WORKER, '1.1')).toEqual(sealed);
    expect(table.open(WORKER, '1.1')).toEqual(sealed);
    table.open(OTHER, '1.1');
    expect(row('1.1')?.opens).toBe(3);
    table.drop(DRIVER, ['1.1']);
    table.close(OTHER, '1.1');
    table.close(OTHER, '1.1');
    table.close(WORKER, '1.1');
    expect(freed).toEqual([]);
    table.close(WORKER, '1.1');
    expect(freed).toEqual([7]);
    expect(table.open(WORKER, '1.1')).toEqual({ kind: 'gone' });
  });

  it('go with their client', () => {
    const { table, freed, put } = setUp();
    put('1.1', 7);
    table.open(WORKER, '1.1');
    table.open(WORKER, '1.1');
    table.drop(DRIVER, ['1.1']);
    table.clientGone(WORKER);
    expect(freed).toEqual([7]);
  });
});

describe('waits', () => {
  it('keep a promised object until they are answered', () => {
    const { table, told, ids } = setUp();
    table.promise(DRIVER, '1.1');
    table.wait(WORKER, '1.1', 1);
    table.drop(DRIVER, ['1.1']);
    expect(ids()).toEqual(['1.1']);
    table.seal(OTHER, '1.1', text('v'), []);
    expect(told.map(({ waiters }) => waiters)).toEqual([[{ client: WORKER, token: 1 }]]);
    expect(ids()).toEqual([]);
  });

  it('are not told once they are withdrawn, or their client is gone', () => {
    const { table, told, row } = setUp();
    table.promise(DRIVER, '1.1');
    table.wait(WORKER, '1.1', 1);
    table.wait(WORKER, '1.1', 2);
    table.wait(OTHER, '1.1', 1);
    table.forget(WORKER, 1);
    table.forget(WORKER, 1);
    expect(table.wait(WORKER, '1.1', 1)).toEqual({ kind: 'pending' });
    table.forget(WORKER, 1);
    table.clientGone(OTHER);
    expect(row('1.1')?.waiters).toBe(1);
    table.publish(DRIVER, '1.1', text('v'));
    expect(told.map(({ waiters }) => waiters)).toEqual([[{ client: WORKER, token: 2 }]]);
  });

  it('use a token once at a time, and again when it was answered', () => {
    const { table } = setUp();
    table.promise(DRIVER, '1.1');
    table.wait(WORKER, '1.1', 1);
    expect(() => table.wait(WORKER, '1.1', 1)).toThrow(protocol(/token 1 already/));
    table.fail(DRIVER, '1.1', text('e'));
    table.promise(DRIVER, '1.2');
    expect(table.wait(WORKER, '1.2', 1)).toEqual({ kind: 'pending' });
    expect(table.wait(WORKER, '1.3', 2)).toEqual({ kind: 'gone' });
  });

  it('that end withdrawn end an object that nobody else keeps', () => {
    const { table, ids } = setUp();
    table.promise(DRIVER, '1.1');
    table.wait(WORKER, '1.1', 1);
    table.drop(DRIVER, ['1.1']);
    table.forget(WORKER, 1);
    expect(ids()).toEqual([]);
  });
});

describe('objects inside objects', () => {
  it('live as long as what contains them, each counted once for each container', () => {
    const { table, row, freed, put } = setUp();
    put('1.1', 7);
    table.publish(DRIVER, '1.2', text('a', ['1.1', '1.1']));
    table.publish(WORKER, '2.1', text('b', ['1.1']));
    table.drop(DRIVER, ['1.1', '1.2']);
    expect(row('1.1')).toMatchObject({ containedIn: 1, holders: [] });
    table.drop(WORKER, ['2.1']);
    expect(freed).toEqual([7]);
  });

  it('are kept by errors, too', () => {
    const { table, freed, put } = setUp();
    put('1.1', 7);
    table.promise(DRIVER, '1.2');
    table.fail(DRIVER, '1.2', text('e', ['1.1']));
    table.drop(DRIVER, ['1.1']);
    expect(freed).toEqual([]);
    table.drop(DRIVER, ['1.2']);
    expect(freed).toEqual([7]);
  });

  it('must be known: a value with others is refused and changes nothing', () => {
    const { table, row, ids, freed } = setUp();
    table.publish(DRIVER, '1.1', text('v'));
    table.reserve(DRIVER, '1.2', 7, 1000);
    const refused = expect.objectContaining({ code: 'PROTOCOL', details: { unknown: ['9.1', '9.2'] } });
    expect(() => table.seal(DRIVER, '1.2', large(7, ['1.1', '9.1', '9.2']), [OTHER])).toThrow(refused);
    expect(() => table.publish(DRIVER, '1.3', text('v', ['9.1', '1.1', '9.2']))).toThrow(refused);
    expect(ids()).toEqual(['1.1', '1.2']);
    expect(row('1.1')?.containedIn).toBe(0);
    expect(row('1.2')).toMatchObject({ state: 'reserved', holders: [DRIVER] });
    expect(freed).toEqual([]);
  });

  it('cannot contain themselves, at any depth', () => {
    const { table, row } = setUp();
    table.promise(DRIVER, '1.1');
    expect(() => table.publish(DRIVER, '1.1', text('v', ['1.1']))).toThrow(protocol(/leads back/));
    table.publish(DRIVER, '1.2', text('v', ['1.1']));
    table.publish(DRIVER, '1.3', text('v', ['1.2']));
    expect(() => table.fail(DRIVER, '1.1', text('e', ['1.3']))).toThrow(protocol(/leads back/));
    expect(row('1.1')?.state).toBe('promised');
    expect(table.publish(DRIVER, '1.1', text('v'))).toBe('stored');
  });

  it('end together along a chain of 100,000', () => {
    const { table, freed, put, ids } = setUp();
    put('1.0', 7);
    for (let n = 1; n < 100_000; n++) {
      table.publish(DRIVER, `1.${n}`, text('', [`1.${n - 1}`]));
      table.drop(DRIVER, [`1.${n - 1}`]);
    }
    expect(table.totals().objects).toBe(100_000);
    table.drop(DRIVER, ['1.99999']);
    expect([freed, ids()]).toEqual([[7], []]);
  });
});

describe('moving bytes', () => {
  const spillable = (table: ReturnType<typeof setUp>['table']) => Array.from(table.spillable(), ({ id }) => id);

  it('offers sealed objects with a block that nobody has open, the longest unused first', () => {
    const { table, put } = setUp();
    put('1.1', 1);
    put('1.2', 2);
    put('1.3', 3);
    table.publish(DRIVER, '1.4', text('small'));
    table.reserve(DRIVER, '1.5', 5, 10);
    expect([...table.spillable()][0]).toEqual({ id: '1.1', block: 1, bytes: 1000 });
    table.open(DRIVER, '1.1');
    expect(spillable(table)).toEqual(['1.2', '1.3']);
    table.close(DRIVER, '1.1');
    expect(spillable(table)).toEqual(['1.2', '1.3', '1.1']);
    table.moved('1.2', 9);
    expect(spillable(table)).toEqual(['1.2', '1.3', '1.1']);
  });

  it('gives the block away when the bytes are spilled, and the copy when they come back', () => {
    const { table, freed, unspilled, row, put } = setUp();
    put('1.1', 7);
    for (const { id } of table.spillable()) expect(table.moved(id, 'spilled')).toBe('moved');
    expect([freed, unspilled]).toEqual([[7], []]);
    expect(row('1.1')?.where).toBe('spilled');
    expect(table.totals()).toEqual({ objects: 1, inlineBytes: 10, slabBytes: 0, spilledBytes: 1000, awayBytes: 0 });
    expect(table.open(WORKER, '1.1')).toMatchObject({ block: null, spilled: true, blockBytes: 1000 });
    expect(table.moved('1.1', 8)).toBe('moved');
    expect([freed, unspilled]).toEqual([[7], ['1.1']]);
    expect(table.totals()).toEqual({ objects: 1, inlineBytes: 10, slabBytes: 1000, spilledBytes: 0, awayBytes: 0 });
    expect(spillable(table)).toEqual([]);
    expect(table.open(WORKER, '1.1')).toMatchObject({ block: 8, spilled: false });
  });

  it('refuses to move what is open, small, or there already', () => {
    const { table, freed, put } = setUp();
    put('1.1', 7);
    expect(table.moved('1.1', 7)).toBe('refused');
    table.open(DRIVER, '1.1');
    expect(table.moved('1.1', 'spilled')).toBe('refused');
    expect(table.moved('1.1', 8)).toBe('refused');
    table.publish(DRIVER, '1.2', text('small'));
    expect(table.moved('1.2', 'spilled')).toBe('refused');
    table.reserve(DRIVER, '1.3', 9, 10);
    expect(table.moved('1.3', 'spilled')).toBe('gone');
    expect(table.moved('1.4', 'spilled')).toBe('gone');
    expect(freed).toEqual([]);
  });

  it('gives the copy away when a spilled object ends', () => {
    const { table, freed, unspilled, put } = setUp();
    put('1.1', 7);
    table.moved('1.1', 'spilled');
    expect(table.moved('1.1', 'spilled')).toBe('refused');
    table.drop(DRIVER, ['1.1']);
    expect([freed, unspilled]).toEqual([[7], ['1.1']]);
    expect(table.totals()).toEqual({ objects: 0, inlineBytes: 0, slabBytes: 0, spilledBytes: 0, awayBytes: 0 });
  });

  it('knows those on other boxes by themselves: they come into memory, and leave it without a copy here', () => {
    const { table, freed, unspilled, row } = setUp();
    expect(table.sealAway(DRIVER, '1.1', large(null), 1000, [DRIVER])).toBe('stored');
    expect(row('1.1')).toMatchObject({ state: 'sealed', where: 'away', bytes: 1010, holders: [DRIVER] });
    expect(table.totals()).toEqual({ objects: 1, inlineBytes: 10, slabBytes: 0, spilledBytes: 0, awayBytes: 1000 });
    expect([...table.spillable()]).toEqual([]);
    for (const to of ['spilled', 'away'] as const) expect(table.moved('1.1', to)).toBe('refused');
    expect(table.open(WORKER, '1.1')).toMatchObject({ block: null, spilled: true, blockBytes: 1000 });
    expect(table.moved('1.1', 8)).toBe('moved');
    expect(table.moved('1.1', 'away')).toBe('refused');
    table.close(WORKER, '1.1');
    expect(row('1.1')?.where).toBe('slab');
    expect(table.moved('1.1', 'away')).toBe('moved');
    expect([freed, unspilled]).toEqual([[8], ['1.1']]);
    expect(table.totals()).toEqual({ objects: 1, inlineBytes: 10, slabBytes: 0, spilledBytes: 0, awayBytes: 1000 });
    table.drop(DRIVER, ['1.1']);
    expect(unspilled).toEqual(['1.1', '1.1']);
    expect(table.totals()).toEqual({ objects: 0, inlineBytes: 0, slabBytes: 0, spilledBytes: 0, awayBytes: 0 });
  });
});
