import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { SILENT } from '../../../../src/observability/logger.js';
import { type Kept, TrainingJournal } from '../../../../src/training/journal/training-journal.js';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'twinkle-journal-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

it('that could not be taken up is let go, and the next attempt takes it up', async () => {
  let attempts = 0;
  const kept: Kept = {
    restore: () => {
      attempts += 1;
      if (attempts === 1) throw new Error('what it says makes no sense');
    },
    resume: () => {},
    records: () => [],
    keeps: () => false,
    move: () => {},
    bytes: 0,
  } as unknown as Kept;
  let now = 0;
  const journal = new TrainingJournal({ folder: join(root, 'training'), log: SILENT, nowMs: () => now });
  journal.attach(kept);
  journal.append({ kind: 'ended', session: 's' });
  await expect(journal.written()).rejects.toThrow('makes no sense');
  expect(() => journal.checkWritable()).toThrow('makes no sense');
  now += 10_000;
  expect(() => journal.checkWritable()).toThrow('makes no sense'); // and tries again
  await journal.close();
  expect(attempts).toBe(2);
});
