import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openJournal } from '../../src/store/journal.js';
import { Sources } from '../support/child-node.js';

const sources = new Sources('store/journal');
afterAll(() => sources[Symbol.dispose]());

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinkle-kill-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

async function reread(): Promise<{ values: { n: number }[]; tornBytes: number }> {
  const values: { n: number }[] = [];
  const onRecord = (record: unknown): void => void values.push(record as { n: number });
  await using journal = await openJournal({ folder, name: 'j', sync: 'kernel', onRecord });
  return { values, tornBytes: journal.replayed.tornBytes };
}

/** Appends numbers as fast as it can, prints what it was told is safe, compacts now and then. */
const WRITER = `
import { writeSync } from 'node:fs';
import { openJournal } from './store/journal.js';
const [folder, sync] = process.argv.slice(1);
let n = 0;
const journal = await openJournal({ folder, name: 'j', sync, onRecord(record) { n = record.n; } });
for (;;) {
  const burst = 1 + Math.floor(Math.random() * 20);
  for (let i = 0; i < burst; i++) journal.append({ n: ++n, pad: 'x'.repeat(Math.random() < 0.05 ? 200_000 : 50) });
  const safe = n;
  await journal.flush();
  writeSync(1, safe + '\\n');
  if (Math.random() < 0.05) void journal.compact([{ n }]).catch(() => {});
  if (Math.random() < 0.2) await new Promise((resolve) => setImmediate(resolve));
}
`;

describe('a journal under kill -9', () => {
  it.each([
    ['kernel', 16],
    ['disk', 6],
  ] as const)('sync: %s keeps all that was flushed, and opens, %i times over', async (sync, rounds) => {
    let last = 0;
    for (let round = 0; round < rounds; round++) {
      const child = sources.start(WRITER, folder, sync);
      const until = last + 1 + Math.floor(Math.random() * 300);
      while (Number(await child.line()) < until);
      await child.kill();
      const told = Math.max(...child.lines.map(Number));
      const { values } = await reread();
      // A compaction leaves one record for all before it: numbers have no gap from the first to the last.
      expect(values.map(({ n }) => n)).toEqual(values.map((_, at) => (values[0]?.n ?? 0) + at));
      last = values.at(-1)?.n ?? 0;
      expect(last).toBeGreaterThanOrEqual(told);
    }
  });

  it('is free as soon as its process is dead, and names the pid before', async () => {
    const child = sources.start(WRITER, folder, 'kernel');
    await child.line();
    await expect(reread()).rejects.toMatchObject({ code: 'JOURNAL_IN_USE', details: { pid: child.pid } });
    await child.kill();
    expect((await reread()).values.length).toBeGreaterThan(0);
  });
});

/** Does what it is told, one line at a time, until its input ends. */
const OBEDIENT = `
import { createInterface } from 'node:readline';
import { openJournal } from './store/journal.js';
const journal = await openJournal({ folder: process.argv[1], name: 'j', sync: process.argv[2], onRecord() {}, onError() {} });
console.log('open');
let n = 0;
for await (const line of createInterface({ input: process.stdin })) {
  const [count, length] = line.split(' ').map(Number);
  for (let i = 0; i < count; i++) journal.append({ n: ++n, pad: 'x'.repeat(length) });
  console.log(await journal.flush().then(() => 'flushed', (error) => error.code));
}
await journal.close();
console.log('closed');
`;

describe('a journal whose disk is full', { timeout: 20_000 }, () => {
  /** The limit on the size of a file fails a write in its middle, as a full disk does. */
  const limit = (pid: number, bytes: string): void => {
    execFileSync('prlimit', ['--pid', String(pid), `--fsize=${bytes}:`]);
  };

  it.each([
    ['kernel', 1000],
    ['kernel', 100_000],
    ['disk', 1000],
  ] as const)(
    'sync: %s, records of %i: refuses, and goes on without a gap when there is room',
    async (sync, length) => {
      const child = sources.start(OBEDIENT, folder, sync);
      expect(await child.line()).toBe('open');
      limit(child.pid, '25000');
      child.say('10 1000');
      expect(await child.line()).toBe('flushed');
      child.say(`20 ${length}`);
      expect(await child.line()).toBe('EFBIG');
      child.say('1 10');
      expect(await child.line()).toBe('EFBIG');
      limit(child.pid, 'unlimited');
      child.say('3 10');
      expect(await child.line()).toBe('flushed');
      child.process.stdin?.end();
      expect(await child.line()).toBe('closed');
      expect(await child.ended).toEqual([0, null]);
      const { values, tornBytes } = await reread();
      expect(tornBytes).toBe(0);
      expect(values.map(({ n }) => n)).toEqual(Array.from({ length: 34 }, (_, at) => at + 1));
    },
  );

  it('killed while it is full: what was flushed is there', async () => {
    const child = sources.start(OBEDIENT, folder, 'kernel');
    expect(await child.line()).toBe('open');
    limit(child.pid, '25000');
    child.say('10 1000');
    expect(await child.line()).toBe('flushed');
    child.say('20 1000');
    expect(await child.line()).toBe('EFBIG');
    await child.kill();
    expect((await reread()).values.length).toBeGreaterThanOrEqual(10);
  });
});

it('a process that has closed its journal ends by itself, and one that only flushed it too', async () => {
  for (const end of ['await journal.close();', '']) {
    const child = sources.start(
      `import { openJournal } from './store/journal.js';
       const journal = await openJournal({ folder: process.argv[1], name: 'j', sync: 'kernel', onRecord() {} });
       journal.append({ n: 1 });
       await journal.flush();
       ${end}`,
      folder,
    );
    expect(await child.ended).toEqual([0, null]);
  }
  expect((await reread()).values.length).toBe(2);
});
