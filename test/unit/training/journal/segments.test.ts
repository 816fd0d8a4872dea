import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { TrainingRecord } from '../../../../src/training/journal/records.js';
import { type Living, openSegments, type Segments } from '../../../../src/training/journal/segments.js';

let folder: string;
let living: Living & { bytes: number; readonly alive: Map<string, number> };
let opened: Segments[];
beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), 'twinkle-segments-')), 'training');
  const alive = new Map<string, number>();
  opened = [];
  living = {
    alive,
    bytes: 0,
    snapshot: () => [{ kind: 'ended', session: 'snapshot' }],
    keeps: (segment) => [...alive.values()].includes(segment),
    move: (segment) => {
      for (const [id, at] of alive) if (at === segment) alive.set(id, opened.at(-1)?.append(drop(id)) ?? 0);
    },
    keptBytes: () => living.bytes,
  };
});
afterEach(async () => {
  for (const one of opened) await one.close();
  rmSync(join(folder, '..'), { recursive: true, force: true });
});

const drop = (id: string): TrainingRecord => ({ kind: 'drop', id });
const names = (): string[] => readdirSync(folder).filter((name) => name.endsWith('.journal'));

async function openIt(segmentBytes = 1000): Promise<{ segments: Segments; read: [string, number][] }> {
  const read: [string, number][] = [];
  const segments = await openSegments({
    folder,
    segmentBytes,
    living,
    onRecord: (record, segment) => void read.push(['id' in record ? record.id : record.kind, segment]),
    onError: (error) => {
      throw error;
    },
  });
  opened.push(segments);
  return { segments, read };
}

/** Write until so many segments are full. */
async function fill(segments: Segments, until: number, pad = 200): Promise<void> {
  while (segments.number < until) {
    const { number } = segments;
    for (let n = 0; n < 6; n++) {
      const id = `${number}.${n}${'x'.repeat(pad)}`;
      living.alive.set(id, segments.append(drop(id)));
      await segments.flush();
    }
    // The one before may still be closing.
    await vi.waitFor(
      () => {
        living.alive.set('last', segments.append(drop('last')));
        expect(segments.number).toBeGreaterThan(number);
      },
      { interval: 1 },
    );
  }
}

it('are read in order by the next process, which begins one of its own', async () => {
  const { segments } = await openIt();
  segments.begin();
  await fill(segments, 3);
  await segments.close();
  const { read, segments: next } = await openIt();
  expect(next.number).toBe(4);
  expect(read.map(([, segment]) => segment)).toEqual(read.map(([, segment]) => segment).sort());
  // Each begins with what must be known.
  for (const segment of [1, 2, 3]) expect(read.find(([, at]) => at === segment)?.[0]).toBe('ended');
  expect(new Set(read.flatMap(([id]) => (id === 'ended' ? [] : [id])))).toEqual(new Set(living.alive.keys()));
});

it('go oldest first when nothing in them lives, but for the last two', async () => {
  const { segments } = await openIt();
  await fill(segments, 5);
  living.bytes = 1_000_000;
  await segments.trim();
  expect(names()).toHaveLength(5);
  for (const [id, at] of living.alive) if (at !== 2) living.alive.delete(id);
  await segments.trim();
  expect(names().sort()).toEqual(['2.journal', '3.journal', '4.journal', '5.journal']);
  living.alive.clear();
  await segments.trim();
  expect(names().sort()).toEqual(['4.journal', '5.journal']);
});

it('are cleaned when little in them lives, and what lives is moved first', async () => {
  const { segments } = await openIt();
  await fill(segments, 12);
  const [first] = living.alive.keys(); // of segment 1
  living.alive.clear();
  living.alive.set(first ?? '', 1);
  await segments.trim();
  expect(names().sort()).toEqual(['11.journal', '12.journal']);
  expect(living.alive.get(first ?? '')).toBe(12);
  await segments.close();
  const { read } = await openIt();
  expect(read).toContainEqual([first, 12]);
});

it('are not cleaned while enough in them lives', async () => {
  const { segments } = await openIt();
  await fill(segments, 12);
  const [first] = living.alive.keys(); // of segment 1
  living.alive.clear();
  living.alive.set(first ?? '', 1);
  living.bytes = 1_000_000;
  await segments.trim();
  expect(names()).toHaveLength(12);
});

it('belong to one process', async () => {
  const { segments } = await openIt();
  await expect(openIt()).rejects.toMatchObject({ code: 'JOURNAL_IN_USE', details: { pid: process.pid } });
  await segments.close();
  expect((await openIt()).segments.number).toBe(2);
});

it('may end in the middle of a write, not be damaged before that', async () => {
  const { segments } = await openIt();
  segments.append(drop('whole'));
  await segments.close();
  appendFileSync(join(folder, '1.journal'), '0bad0bad 2 {"kind":"dr');
  const { read, segments: next } = await openIt();
  expect(read).toEqual([['whole', 1]]);
  next.append(drop('a'));
  next.append(drop('b'));
  await next.close();
  const path = join(folder, '2.journal');
  writeFileSync(path, readFileSync(path, 'utf8').replace('"a"', '"X"'));
  await expect(openIt()).rejects.toMatchObject({ code: 'JOURNAL_DAMAGED', details: { path } });
  // The lock is free again.
  await expect(openIt()).rejects.toMatchObject({ code: 'JOURNAL_DAMAGED' });
});
