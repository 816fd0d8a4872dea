import {
  appendFileSync,
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Journal, type JournalOptions, openJournal } from '../../../src/store/journal.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinkle-journal-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const file = (): string => join(folder, 'ledger.journal');

async function openIt(over: Partial<JournalOptions> = {}): Promise<{ journal: Journal; records: unknown[] }> {
  const records: unknown[] = [];
  const onRecord = (record: unknown): void => void records.push(record);
  return { journal: await openJournal({ folder, name: 'ledger', sync: 'kernel', onRecord, ...over }), records };
}

/** What a process that opens it now would hear. */
async function reread(): Promise<unknown[]> {
  const { journal, records } = await openIt();
  await journal.close();
  return records;
}

describe.each(['kernel', 'disk'] as const)('a journal with sync: %s', (sync) => {
  it('gives back what was flushed, in order, also texts of every kind', async () => {
    const { journal, records } = await openIt({ sync });
    expect(records).toEqual([]);
    const written = [
      { a: 1 },
      null,
      'line\nbreak \u2028 \ud800 half, ü, 🙂',
      [1, [2]],
      0.1,
      true,
      { 'key "quoted"': {} },
    ];
    for (const record of written) journal.append(record);
    await journal.flush();
    expect(journal.records).toBe(written.length);
    expect(journal.size).toBe(statSync(file()).size);
    await journal.close();
    expect(await reread()).toEqual(written);
  });

  it('writes by itself at the end of the tick', async () => {
    const { journal } = await openIt({ sync });
    expect(journal.flushed).toBe(true);
    journal.append('unasked');
    expect(journal.flushed).toBe(false);
    await new Promise((resolve) => setImmediate(resolve));
    await journal.flush();
    expect(journal.flushed).toBe(true);
    expect(readFileSync(file(), 'utf8')).toContain('"unasked"');
    await journal.close();
  });

  it('keeps the order of appends and flushes that overlap, small and large', async () => {
    const { journal } = await openIt({ sync });
    const written: unknown[] = [];
    const flushes: Promise<void>[] = [];
    for (let at = 0; at < 60; at++) {
      const record = { at, text: 'x'.repeat(at % 7 === 0 ? 100_000 : 10) };
      written.push(record);
      journal.append(record);
      if (at % 3 === 0) flushes.push(journal.flush());
      if (at % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(flushes);
    await journal.close();
    expect(await reread()).toEqual(written);
  });

  it('compacts to the records given, and what was appended meanwhile follows', async () => {
    const { journal } = await openIt({ sync });
    for (let at = 0; at < 50; at++) journal.append({ old: at });
    await journal.flush();
    journal.append('before, not flushed');
    const compacted = journal.compact(['state', 'more state']);
    const later: string[] = [];
    let done = false;
    void compacted.then(() => {
      done = true;
    });
    while (!done) {
      later.push(`later ${later.length}`);
      journal.append(later.at(-1));
      await (later.length % 2 === 0 ? journal.flush() : new Promise((resolve) => setImmediate(resolve)));
    }
    await compacted;
    journal.append('after');
    await journal.flush();
    expect(journal.records).toBe(2 + later.length + 1);
    expect(journal.size).toBe(statSync(file()).size);
    await journal.close();
    expect(await reread()).toEqual(['state', 'more state', ...later, 'after']);
    expect(readdirSync(folder)).toEqual(['ledger.journal']);
  });

  it('reads the records of a compaction before it returns, so that they are of one moment', async () => {
    const { journal } = await openIt({ sync });
    const state = new Set(['a']);
    const compacted = journal.compact(state);
    state.add('b');
    journal.append('b');
    await compacted;
    await journal.close();
    expect(await reread()).toEqual(['a', 'b']);
  });
});

describe('a journal', () => {
  it('keeps its file for its owner alone, also one that was more open', async () => {
    writeFileSync(file(), '');
    chmodSync(file(), 0o644);
    const { journal } = await openIt();
    expect(statSync(file()).mode & 0o777).toBe(0o600);
    await journal.compact(['x']);
    expect(statSync(file()).mode & 0o777).toBe(0o600);
    await journal.close();
  });

  it('takes a record as it was when appended', async () => {
    const { journal } = await openIt();
    const record = { state: 'first' };
    journal.append(record);
    record.state = 'second';
    await journal.close();
    expect(await reread()).toEqual([{ state: 'first' }]);
  });

  it('refuses what JSON has no word for, and goes on', async () => {
    const { journal } = await openIt();
    expect(() => journal.append(undefined)).toThrowError(expect.objectContaining({ code: 'INTERNAL' }));
    const cycle: Record<string, unknown> = {};
    cycle.self = cycle;
    expect(() => journal.append(cycle)).toThrow(TypeError);
    journal.append('fine');
    await journal.close();
    expect(() => journal.append('late')).toThrowError(expect.objectContaining({ code: 'INTERNAL' }));
    expect(await reread()).toEqual(['fine']);
  });

  it('leaves the old content when a compaction cannot be made, and its appends with it', async () => {
    const { journal } = await openIt();
    journal.append('kept');
    await journal.flush();
    const broken = (function* () {
      yield 'half';
      throw new Error('the state is not ready');
    })();
    expect(() => journal.compact(broken)).toThrow('not ready');
    journal.append('also kept');
    await journal.compact(['whole']); // and the next one works
    await expect(Promise.all([journal.compact(['a']), journal.compact(['b'])])).rejects.toMatchObject({
      code: 'INTERNAL',
    });
    await journal.close();
    expect(await reread()).toEqual(['a']);
  });

  it('waits for a compaction when it is closed', async () => {
    const { journal } = await openIt();
    journal.append('old');
    const compacted = journal.compact(['new']);
    journal.append('meanwhile');
    await journal.close();
    await compacted;
    expect(await reread()).toEqual(['new', 'meanwhile']);
  });

  it('removes what a compaction left that its process did not survive', async () => {
    writeFileSync(`${file()}.draft`, 'half a file');
    expect(await reread()).toEqual([]);
    expect(readdirSync(folder)).toEqual(['ledger.journal']);
  });

  it('cuts a torn end off, says so, and appends behind what is good', async () => {
    const first = await openIt();
    first.journal.append('good');
    await first.journal.close();
    const good = statSync(file()).size;
    appendFileSync(file(), '0123abcd 2 "torn by a cra');
    const second = await openIt();
    expect(second.records).toEqual(['good']);
    expect(second.journal.replayed).toEqual({ records: 1, bytes: good, tornBytes: 25 });
    expect(statSync(file()).size).toBe(good);
    second.journal.append('next');
    await second.journal.close();
    expect(await reread()).toEqual(['good', 'next']);
  });

  it('lets go of file and lock when a record is refused by its reader', async () => {
    const { journal } = await openIt();
    journal.append('unknown kind');
    await journal.close();
    const onRecord = (): void => {
      throw new Error('no such kind');
    };
    await expect(openIt({ onRecord })).rejects.toThrow('no such kind');
    expect(await reread()).toEqual(['unknown kind']);
  });

  it('opens once at a time, and says who has it', async () => {
    const { journal } = await openIt();
    const second = openIt();
    await expect(second).rejects.toMatchObject({ code: 'JOURNAL_IN_USE', details: { pid: process.pid } });
    await expect(second).rejects.toThrow(String(process.pid));
    const other = await openIt({ name: 'other' });
    await other.journal.close();
    await journal.close();
    await journal.close(); // idempotent
    expect(await reread()).toEqual([]);
  });
});
