/** The book of adapters, against a naive model of it. */
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { AdapterBook, type AdapterLease } from '../../../src/serving/adapter-book.js';
import { type AdapterFiles, lasting } from '../../../src/serving/adapter-source.js';

const NEW = { pinned: false, is3d: null } as const;

function loaded(book: AdapterBook, name: string, pinned = false): void {
  book.add(name, lasting(`/a/${name}`), { pinned, is3d: null });
  book.commit(name, { files: lasting(`/a/${name}`), pinned, is3d: null });
}

function filesOf(book: AdapterBook, name: string): AdapterFiles {
  const record = book.get(name);
  if (record === undefined) throw new Error(`no adapter ${name}`);
  return record.files;
}

describe('who has to go', () => {
  it('is the least recently used that nobody uses or has pinned', () => {
    const book = new AdapterBook(3);
    loaded(book, 'pinned', true);
    loaded(book, 'a');
    expect(book.victim()).toBeNull();
    loaded(book, 'b');
    expect(book.victim()?.name).toBe('a');
    const lease = book.lease('a');
    expect(book.victim()?.name).toBe('b');
    const other = book.lease('b');
    expect(book.victim()).toBeUndefined();
    lease?.release();
    lease?.release();
    expect(book.victim()?.name).toBe('a');
    other?.release();
    // `b` was used last; now `a` is.
    expect(book.victim()?.name).toBe('a');
    book.lease('a')?.release();
    expect(book.victim()?.name).toBe('b');
  });

  it('is none that is still loading, which counts already', () => {
    const book = new AdapterBook(1);
    book.add('a', lasting('/a'), NEW);
    expect(book.lease('a')).toBeNull();
    expect(book.list()).toEqual([]);
    expect(book.victim()).toBeUndefined();
    book.commit('a', { files: lasting('/a'), ...NEW });
    expect(book.victim()?.name).toBe('a');
  });

  it('holds for any history: no use is lost, none that is in use goes, the limit stands, ids stay', () => {
    const names = ['a', 'b', 'c', 'd', 'e'];
    const step = fc.record({ do: fc.constantFrom('use', 'end', 'remove'), name: fc.constantFrom(...names) });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 60, size: 'max' }), (max, steps) => {
        const book = new AdapterBook(max);
        /** Least recently used first. */
        let order: string[] = [];
        const uses = new Map<string, AdapterLease[]>(names.map((name) => [name, []]));
        const ids = new Map<string, number>();
        const current = (name: string): AdapterLease[] => uses.get(name) ?? [];
        for (const { do: act, name } of steps) {
          if (act === 'use') {
            if (!order.includes(name)) {
              const victim = book.victim();
              const expected = order.find((one) => current(one).length === 0);
              expect(victim === null ? null : victim?.name).toBe(order.length < max ? null : expected);
              if (victim === undefined) continue;
              if (victim !== null) {
                book.remove(victim.name);
                order = order.filter((one) => one !== victim.name);
              }
              loaded(book, name);
            }
            order = [...order.filter((one) => one !== name), name];
            const lease = book.lease(name);
            expect(lease?.name).toBe(name);
            if (lease !== null) current(name).push(lease);
          } else if (act === 'end') {
            current(name).pop()?.release();
          } else {
            book.remove(name);
            order = order.filter((one) => one !== name);
            // What was running goes on with what it has; a new adapter of that name has no uses.
            uses.set(name, []);
          }
          expect(book.size).toBe(order.length);
          expect(book.size).toBeLessThanOrEqual(max);
          for (const { id, inUse, name: one } of book.list()) {
            expect(inUse).toBe(current(one).length);
            expect(ids.get(one) ?? id).toBe(id);
            ids.set(one, id);
          }
          expect(new Set(ids.values()).size).toBe(ids.size);
        }
      }),
    );
  });
});

it('of hidden ones takes more while all are in use, and keeps no ids', () => {
  const book = new AdapterBook(1, new Map(), true);
  loaded(book, 'a');
  const lease = book.lease('a');
  expect(book.victim()).toBeUndefined();
  loaded(book, 'b');
  expect(book.list()).toMatchObject([{ id: 0 }, { id: 0 }]);
  expect(book.victim(0)?.name).toBe('b');
  book.remove('b');
  expect(book.victim(0)).toBeNull();
  lease?.release();
  expect(book.victim()?.name).toBe('a');
});

it('tells when the last use is over, once, and at once when there is none', () => {
  const book = new AdapterBook(2);
  loaded(book, 'a');
  const record = book.get('a');
  if (record === undefined) throw new Error('no record');
  const leases = [book.lease('a'), book.lease('a')];
  const tell = vi.fn();
  book.remove('a');
  book.whenIdle(record, tell);
  leases[0]?.release();
  leases[0]?.release();
  expect(tell).not.toHaveBeenCalled();
  leases[1]?.release();
  expect(tell).toHaveBeenCalledTimes(1);
  book.whenIdle(record, tell);
  expect(tell).toHaveBeenCalledTimes(2);
});

describe('what a replica must do', () => {
  it('after each start: all that are ready, nothing else, until it has them', () => {
    const book = new AdapterBook(5);
    loaded(book, 'a');
    book.add('loading', lasting('/a/loading'), NEW);
    expect(book.nextStep('r', 1)).toEqual({ do: 'load', name: 'a' });
    book.hold('r', 1, 'a', filesOf(book, 'a'));
    expect(book.nextStep('r', 1)).toBeNull();
    expect(book.nextStep('r', 2)).toEqual({ do: 'load', name: 'a' });
    // Late word of the first start is no word of the second.
    book.hold('r', 1, 'a', filesOf(book, 'a'));
    expect(book.holds('r', 2, 'a')).toBe(false);
    expect(book.nextStep('other', 1)).toEqual({ do: 'load', name: 'a' });
  });

  it('forgets what the book has forgotten, and replaces what has another path', () => {
    const book = new AdapterBook(5);
    loaded(book, 'a');
    book.hold('r', 1, 'a', filesOf(book, 'a'));
    book.commit('a', { files: lasting('/new'), pinned: false, is3d: null });
    expect(book.nextStep('r', 1)).toEqual({ do: 'replace', name: 'a' });
    book.hold('r', 1, 'a', filesOf(book, 'a'));
    expect(book.nextStep('r', 1)).toBeNull();
    // The same path, and other weights in it.
    book.commit('a', { files: lasting('/new'), pinned: false, is3d: null });
    expect(book.nextStep('r', 1)).toEqual({ do: 'replace', name: 'a' });
    book.remove('a');
    expect(book.nextStep('r', 1)).toEqual({ do: 'unload', name: 'a' });
    book.drop('r', 1, 'a');
    expect(book.nextStep('r', 1)).toBeNull();
  });

  it('an engine brings its fixed ones itself, at each start', () => {
    const book = new AdapterBook(5, new Map([['fixed', '/f']]));
    expect(book.list()).toMatchObject([{ name: 'fixed', path: '/f', pinned: true, id: 1 }]);
    expect(book.nextStep('r', 1)).toBeNull();
    book.remove('fixed');
    expect(book.nextStep('r', 2)).toEqual({ do: 'unload', name: 'fixed' });
  });
});
