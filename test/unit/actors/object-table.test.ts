import { describe, expect, it } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import { DRIVER, large, OTHER, protocol, setUp, text, WORKER } from './object-kit.js';

describe('writing a large object', () => {
  it('cannot be read before it is sealed', () => {
    const { table, row } = setUp();
    table.reserve(WORKER, '1.1', 7, 1000);
    expect(row('1.1')).toMatchObject({
      state: 'reserved',
      where: 'slab',
      bytes: 1000,
      holders: [WORKER],
      owner: WORKER,
    });
    expect(table.open(DRIVER, '1.1')).toEqual({ kind: 'pending' });
    expect(row('1.1')?.opens).toBe(0);
  });

  it('is read by its holders once sealed, and freed after the last of them', () => {
    const { table, freed, row, ids } = setUp();
    table.reserve(WORKER, '1.1', 7, 1000);
    expect(table.seal(WORKER, '1.1', large(7), [DRIVER, OTHER])).toBe('stored');
    expect(row('1.1')).toMatchObject({ state: 'sealed', where: 'slab', bytes: 1010, holders: [DRIVER, OTHER] });
    table.drop(DRIVER, ['1.1']);
    expect(freed).toEqual([]);
    table.drop(OTHER, ['1.1']);
    expect(freed).toEqual([7]);
    expect(ids()).toEqual([]);
  });

  it('gives the block back when the writer dies', () => {
    const { table, freed, ids } = setUp();
    table.reserve(WORKER, '1.1', 7, 1000);
    table.clientGone(WORKER);
    expect([freed, ids()]).toEqual([[7], []]);
    expect(table.totals()).toEqual({ objects: 0, inlineBytes: 0, slabBytes: 0, spilledBytes: 0, awayBytes: 0 });
  });

  it('gives the block back when the writer abandons it, and keeps a hold that the writer has besides', () => {
    const { table, freed, row } = setUp();
    table.promise(DRIVER, '1.1');
    table.hold(WORKER, ['1.1']);
    table.reserve(WORKER, '1.1', 7, 1000);
    table.abandon(WORKER, '1.1');
    table.abandon(WORKER, '1.1');
    expect(freed).toEqual([7]);
    expect(row('1.1')).toMatchObject({ state: 'promised', holders: [DRIVER, WORKER], bytes: 0, where: 'inline' });
  });

  it('goes on when the writer drops a ref of the same object', () => {
    const { table, freed } = setUp();
    table.promise(DRIVER, '1.1');
    table.hold(WORKER, ['1.1']);
    table.reserve(WORKER, '1.1', 7, 1000);
    table.drop(WORKER, ['1.1']);
    expect(freed).toEqual([]);
    expect(table.seal(WORKER, '1.1', large(7), [DRIVER])).toBe('stored');
  });

  it('frees a block that the value does not name after all', () => {
    const { table, freed, row } = setUp();
    table.reserve(WORKER, '1.1', 7, 1000);
    table.seal(WORKER, '1.1', text('small'), [DRIVER]);
    expect(freed).toEqual([7]);
    expect(row('1.1')).toMatchObject({ where: 'inline', bytes: 5 });
  });

  it('ends at once when no holder is alive', () => {
    const { table, freed, ids } = setUp();
    table.reserve(WORKER, '1.1', 7, 1000);
    table.clientGone(DRIVER);
    table.seal(WORKER, '1.1', large(7), [DRIVER]);
    expect([freed, ids()]).toEqual([[7], []]);
  });

  it('is refused with a block that the client did not reserve', () => {
    const { table, row, put } = setUp();
    put('1.1', 7);
    expect(() => table.seal(WORKER, '2.1', large(7), [WORKER])).toThrow(protocol(/reserved block for `2.1`/));
    table.reserve(WORKER, '2.1', 8, 10);
    expect(() => table.seal(WORKER, '2.1', large(7), [WORKER])).toThrow(protocol(/client 2 sent 7/));
    expect(row('2.1')?.state).toBe('reserved');
    expect(() => table.reserve(WORKER, '2.1', 9, 10)).toThrow(protocol(/writes object `2.1` already/));
  });

  it('takes the first of two writers; the other block is freed when that writer is done with it', () => {
    const { table, freed, row } = setUp();
    table.reserve(WORKER, '1.1', 7, 1000);
    table.reserve(OTHER, '1.1', 8, 1000);
    expect(table.seal(OTHER, '1.1', large(8), [DRIVER])).toBe('stored');
    expect(freed).toEqual([]);
    expect(table.seal(WORKER, '1.1', large(7), [WORKER])).toBe('late');
    expect(freed).toEqual([7]);
    expect(row('1.1')).toMatchObject({ holders: [DRIVER, WORKER], bytes: 1010 });
  });
});

describe('promises', () => {
  it.each([
    ['seal', { kind: 'sealed', value: large(7), block: 7, blockBytes: 1000, spilled: false }],
    ['publish', { kind: 'sealed', value: text('v'), block: null, blockBytes: 0, spilled: false }],
    ['fail', { kind: 'failed', error: text('e') }],
  ])('are fulfilled by %s, once', (how, outcome) => {
    const { table, told } = setUp();
    table.promise(DRIVER, '1.1');
    expect(table.wait(OTHER, '1.1', 4)).toEqual({ kind: 'pending' });
    if (how === 'seal') {
      table.reserve(WORKER, '1.1', 7, 1000);
      table.seal(WORKER, '1.1', large(7), []);
    } else if (how === 'publish') table.publish(DRIVER, '1.1', text('v'));
    else table.fail(DRIVER, '1.1', text('e'));
    expect(told).toEqual([{ id: '1.1', outcome, waiters: [{ client: OTHER, token: 4 }] }]);
    expect(table.publish(DRIVER, '1.1', text('second'))).toBe('late');
    expect(table.fail(DRIVER, '1.1', text('third'))).toBe('late');
    expect(table.wait(WORKER, '1.1', 4)).toEqual(outcome);
    expect(told).toHaveLength(1);
  });

  it('become errors for those who wait or hold when the owner dies, though a worker still writes', () => {
    const { table, told, freed, row } = setUp();
    table.promise(DRIVER, '1.1');
    table.hold(OTHER, ['1.1']);
    table.wait(OTHER, '1.1', 4);
    table.reserve(WORKER, '1.1', 7, 1000);
    table.clientGone(DRIVER);
    const outcome = { kind: 'lost', owner: DRIVER, reason: 'OWNER_DIED' };
    expect(told).toEqual([{ id: '1.1', outcome, waiters: [{ client: OTHER, token: 4 }] }]);
    expect(table.open(OTHER, '1.1')).toEqual(outcome);
    expect(row('1.1')?.state).toBe('failed');
    expect(table.seal(WORKER, '1.1', large(7), [DRIVER])).toBe('late');
    expect(freed).toEqual([7]);
  });

  it('end when only a wait kept them and the owner dies', () => {
    const { table, told, ids } = setUp();
    table.promise(DRIVER, '1.1');
    table.wait(OTHER, '1.1', 4);
    table.drop(DRIVER, ['1.1']);
    table.clientGone(DRIVER);
    expect(told).toHaveLength(1);
    expect(ids()).toEqual([]);
  });

  it('are told as lost when the only writer of what nobody promised gives up', () => {
    const { table, told } = setUp();
    table.reserve(WORKER, '1.1', 7, 1000);
    table.wait(DRIVER, '1.1', 4);
    table.abandon(WORKER, '1.1');
    expect(told[0]?.outcome).toEqual({ kind: 'lost', owner: WORKER, reason: 'ABANDONED' });
  });

  it('are told as lost when the only writer of what nobody promised dies', () => {
    const { table, told } = setUp();
    table.reserve(WORKER, '1.1', 7, 1000);
    table.wait(DRIVER, '1.1', 4);
    table.clientGone(WORKER);
    expect(told[0]?.outcome).toEqual({ kind: 'lost', owner: WORKER, reason: 'OWNER_DIED' });
  });

  it('belong to one client, and a late one only holds', () => {
    const { table, row } = setUp();
    table.promise(DRIVER, '1.1');
    expect(() => table.promise(WORKER, '1.1')).toThrow(protocol(/only its owner/));
    table.publish(WORKER, '1.2', text('v'));
    table.promise(DRIVER, '1.2');
    expect(row('1.2')).toMatchObject({ state: 'sealed', holders: [DRIVER, WORKER] });
    table.clientGone(DRIVER);
    expect(row('1.2')?.state).toBe('sealed');
  });

  it('are not there for fail when nobody keeps them', () => {
    const { table, ids } = setUp();
    expect(table.fail(DRIVER, '1.1', text('e'))).toBe('gone');
    expect(ids()).toEqual([]);
  });
});

describe('holds and drops', () => {
  it('holds all or none, and says what is gone', () => {
    const { table, row } = setUp();
    table.publish(DRIVER, '1.1', text('v'));
    expect(table.hold(WORKER, ['1.1', '1.2', '1.3'])).toEqual({ held: false, gone: ['1.2', '1.3'] });
    expect(row('1.1')?.holders).toEqual([DRIVER]);
    expect(table.hold(WORKER, ['1.1', '1.1'])).toEqual({ held: true });
    expect(row('1.1')?.holders).toEqual([DRIVER, WORKER]);
  });

  it('ignores drops of what the client does not hold', () => {
    const { table, ids } = setUp();
    table.publish(DRIVER, '1.1', text('v'));
    table.drop(WORKER, ['1.1', '1.9']);
    expect(ids()).toEqual(['1.1']);
    table.drop(DRIVER, ['1.1', '1.1']);
    table.drop(DRIVER, ['1.1']);
    expect(ids()).toEqual([]);
  });

  it('gives nothing to a client that is gone, and lets its late messages pass', () => {
    const { table } = setUp();
    table.publish(DRIVER, '1.1', text('v'));
    table.clientGone(WORKER);
    table.clientGone(WORKER);
    for (const operation of [
      () => table.hold(WORKER, ['1.1']),
      () => table.open(WORKER, '1.1'),
      () => table.wait(WORKER, '1.1', 1),
      () => table.reserve(WORKER, '2.1', 1, 1),
      () => table.publish(WORKER, '2.1', text('v')),
      () => table.fail(WORKER, '1.1', text('e')),
    ]) {
      expect(operation).toThrow(protocol(/client 2 is not there/));
    }
    table.drop(WORKER, ['1.1']);
    table.close(WORKER, '1.1');
    table.forget(WORKER, 1);
    table.abandon(WORKER, '2.1');
    expect(() => table.clientJoined(DRIVER)).toThrow(TwinkleError);
  });
});
