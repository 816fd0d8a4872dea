import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { isFailed, ObjectRef, RefTable, Slot, type Stored } from '../../../src/work/refs.js';

const stored = (keep: readonly string[] = []): Stored => ({
  value: { f: 'raw', s: [0], at: '', refs: [...keep] },
  body: new Uint8Array(0),
  keep,
});

function played() {
  const gone: string[] = [];
  const table: RefTable = new RefTable(({ id }) => gone.push(id));
  return { table, gone };
}

describe('a table of references', () => {
  it('counts, and says when the last one went', () => {
    const { table, gone } = played();
    const slot = table.take('1.1');
    expect(table.take('1.1', true)).toBe(slot);
    expect([slot.count, slot.borrowed, slot.known, table.size]).toEqual([2, false, false, 1]);
    table.release('1.1');
    expect(gone).toEqual([]);
    table.release('1.1');
    table.release('1.1'); // not there any more
    table.release('9.9');
    expect([gone, table.size, table.find('1.1')]).toEqual([['1.1'], 0, null]);
    expect(table.take('1.1', true)).toMatchObject({ count: 1, borrowed: true, known: true });
  });

  it('lets go of what is inside of a value with it', () => {
    const { table, gone } = played();
    table.take('outer').fulfil(stored(['a', 'b']));
    table.take('a');
    table.take('a');
    table.take('b');
    table.release('outer');
    expect(gone.sort()).toEqual(['b', 'outer']);
    expect(table.find('a')?.count).toBe(1);
  });

  it('lets go of what is inside of a value that comes when nobody wants it any more', () => {
    const { table, gone } = played();
    const slot = table.take('late');
    table.release('late');
    table.take('inside');
    slot.fulfil(stored(['inside']));
    expect(gone).toEqual(['late', 'inside']);
  });

  it('lets go of values within values 100,000 deep', () => {
    const { table } = played();
    for (let at = 0; at < 100_000; at++) table.take(`${at}`).fulfil(stored([`${at + 1}`]));
    table.release('0');
    expect(table.size).toBe(0);
  });
});

describe('a slot', () => {
  it('takes its first value, and tells whoever asked in their order', () => {
    const slot = new Slot('1', false);
    const heard: string[] = [];
    slot.whenDone(() => heard.push('first'));
    slot.whenDone(({ id }) => heard.push(id));
    expect(slot.done).toBe(false);
    const value = stored();
    slot.fulfil(value);
    slot.fulfil({ error: new Error('late') });
    expect(slot.stored).toBe(value);
    slot.whenDone(() => heard.push('at once'));
    expect(heard).toEqual(['first', '1', 'at once']);
  });

  it('tells one after another, not one within another', () => {
    const [first, second] = [new Slot('1', false), new Slot('2', false)];
    const heard: string[] = [];
    first.whenDone(() => {
      heard.push('begin');
      second.fulfil(stored());
      heard.push('end');
    });
    first.whenDone(() => heard.push('the other'));
    second.whenDone(() => heard.push('second'));
    first.fulfil(stored());
    expect(heard).toEqual(['begin', 'end', 'the other', 'second']);
  });

  it('goes through 10,000 that wait for each other', () => {
    const slots = Array.from({ length: 10_000 }, (_, at) => new Slot(`${at}`, false));
    slots.forEach((slot, at) => {
      slot.whenDone(({ stored: result }) => slots[at + 1]?.fulfil(result as Stored));
    });
    slots[0]?.fulfil({ error: new Error('all of them') });
    expect(slots.every(({ stored: result }) => result !== null && isFailed(result))).toBe(true);
  });

  it('has failed with an error of this process, or of another', () => {
    expect(isFailed({ error: new Error('x') })).toBe(true);
    expect(isFailed({ value: { f: 'error', s: [1], at: '', refs: [] }, body: Uint8Array.of(0), keep: [] })).toBe(true);
    expect(isFailed(stored())).toBe(false);
  });
});

describe('a reference', () => {
  it('counts until it is disposed of, once', () => {
    const { table, gone } = played();
    {
      using ref = new ObjectRef(table.take('1.1'), table);
      using again = new ObjectRef(table.take('1.1'), table);
      expect([ref.id, again.slotOf(table)]).toEqual(['1.1', table.find('1.1')]);
      again[Symbol.dispose]();
      expect(gone).toEqual([]);
    }
    expect(gone).toEqual(['1.1']);
  });

  it('is of no use after that, nor with another runtime', () => {
    const { table } = played();
    const ref = new ObjectRef(table.take('1.1'), table);
    const refused = (message: string) => expect.objectContaining({ code: 'INVALID_REQUEST', message });
    expect(() => ref.slotOf(played().table)).toThrow(refused('the reference 1.1 is of another runtime'));
    ref[Symbol.dispose]();
    expect(() => ref.slotOf(table)).toThrow(refused('the reference 1.1 was disposed of'));
  });

  it('is let go of when nobody has it any more, unless it was disposed of before', () => {
    const script = `
      import { ObjectRef, RefTable } from ${JSON.stringify(new URL('../../../dist/work/refs.js', import.meta.url).href)};
      const gone = [];
      const table = new RefTable(({ id }) => gone.push(id));
      const kept = new ObjectRef(table.take('kept'), table);
      table.take('twice');
      (() => {
        new ObjectRef(table.take('lost'), table);
        new ObjectRef(table.take('twice'), table)[Symbol.dispose]();
      })();
      for (let left = 1000; left > 0 && gone.length === 0; left--) {
        globalThis.gc();
        await new Promise((resolve) => setImmediate(resolve));
      }
      for (let left = 50; left > 0; left--) {
        globalThis.gc();
        await new Promise((resolve) => setImmediate(resolve));
      }
      console.log(JSON.stringify([gone, table.size, kept.id]));`;
    const out = execFileSync(process.execPath, ['--expose-gc', '--input-type=module', '-e', script], {
      encoding: 'utf8',
    });
    expect(JSON.parse(out)).toEqual([['lost'], 2, 'kept']);
  });
});
