/** What is kept of a gang's failure, on the disk and in memory. */
import { appendFileSync, closeSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { reportIncident } from '../../../src/supervisor/incident.js';
import { openRankLog } from '../../../src/supervisor/rank-log.js';

let folder: string;
let log: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinkle-incident-'));
  log = join(folder, 'rank0.log');
});
afterEach(() => rmSync(folder, { recursive: true }));

const failure = { kind: 'exit', rank: 0, message: 'rank 0 (pid 7) exited with code 3', retry: true } as const;
const report = (into = join(folder, 'incidents'), from: string | null = log) =>
  reportIncident(into, { instance: 'i', gang: 'm/0', epoch: 2, failure, end: null, log: from });

function started(epoch: number, ...lines: string[]): void {
  closeSync(openRankLog(log, `epoch ${epoch}`));
  appendFileSync(log, lines.map((line) => `${line}\n`).join(''));
}

it('last words are those of the start that failed; the file has what came before, too', () => {
  started(1, 'of before');
  started(2, 'Traceback', 'ImportError: libfoo.so');
  const { path, ...kept } = report();
  expect(kept).toEqual({ epoch: 2, failure, log, lastWords: ['Traceback', 'ImportError: libfoo.so'] });
  const written = JSON.parse(readFileSync(path ?? '', 'utf8')) as { tail: string[] };
  expect(written).toMatchObject({ gang: 'm/0', epoch: 2, failure });
  expect(written.tail).toEqual(['==== epoch 1', 'of before', '==== epoch 2', 'Traceback', 'ImportError: libfoo.so']);
});

it('of many lines the last 20 are kept', () => {
  const lines = Array.from({ length: 500 }, (_, at) => `line ${at}`);
  started(1, ...lines);
  expect(report().lastWords).toEqual(lines.slice(-20));
});

it.each([
  ['a folder that cannot be written to', () => report('/dev/null/incidents'), { path: null, lastWords: ['x'] }],
  ['a log that cannot be read', () => report(undefined, folder), { lastWords: [] }],
  ['no rank to blame', () => report(undefined, null), { log: null, lastWords: [] }],
])('%s changes nothing for the rest', (_what, make, kept) => {
  started(1, 'x');
  expect(make()).toMatchObject({ failure, ...kept });
});
