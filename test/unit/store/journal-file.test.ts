import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { encodeLines, type JournalContent, readJournal, toJson } from '../../../src/store/journal-file.js';

const folder = mkdtempSync(join(tmpdir(), 'twinkle-journal-file-'));
const path = join(folder, 'file');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function read(): Promise<JournalContent & { values: unknown[] }> {
  const values: unknown[] = [];
  await using file = await open(path, 'r');
  return { ...(await readJournal(file, path, (record) => values.push(record))), values };
}

const RECORDS = [{ r: 'group', id: 'g' }, 'text with ümläut and 🙂', [1, 2, 3], null, { nested: { deep: [true] } }];
const lineOf = (record: unknown, sequence: number): string => encodeLines(sequence - 1, [toJson(record)]);
const WHOLE = Buffer.from(encodeLines(0, RECORDS.map(toJson)));

describe('a journal file', () => {
  it('cut at any byte opens and yields the records that are whole', async () => {
    for (let cut = 0; cut <= WHOLE.length; cut++) {
      writeFileSync(path, WHOLE.subarray(0, cut));
      const whole = WHOLE.subarray(0, cut).toString('latin1').split('\n').length - 1;
      const { values, records, bytes, tornBytes } = await read();
      expect(values).toEqual(RECORDS.slice(0, whole));
      expect(records).toBe(whole);
      expect(bytes + tornBytes).toBe(cut);
    }
  });

  it('cut anywhere yields a prefix, whatever it holds', async () => {
    const json = fc.array(fc.jsonValue(), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(json, fc.double({ min: 0, max: 1, noNaN: true }), async (records, share) => {
        const lines = records.map(toJson);
        const bytes = Buffer.from(encodeLines(0, lines));
        writeFileSync(path, bytes);
        truncateSync(path, Math.floor(share * bytes.length));
        const { values } = await read();
        expect(values).toEqual(lines.slice(0, values.length).map((line) => JSON.parse(line)));
      }),
      { numRuns: 60 },
    );
  });

  it('with any byte changed yields a prefix of whole records or says that it is damaged, never something else', async () => {
    const lastLine = WHOLE.length - lineOf(RECORDS.at(-1), RECORDS.length).length;
    await fc.assert(
      fc.asyncProperty(fc.nat(WHOLE.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const bytes = Buffer.from(WHOLE);
        bytes[at] = (bytes[at] as number) ^ change;
        writeFileSync(path, bytes);
        if (at < lastLine - 1) {
          await expect(read()).rejects.toMatchObject({ code: 'JOURNAL_DAMAGED' });
        } else {
          // The newline before the last line joins it to that one: neither can be told from a torn end.
          const { values } = await read();
          expect(values).toEqual(RECORDS.slice(0, at === lastLine - 1 ? -2 : -1));
        }
      }),
      { numRuns: 150 },
    );
  });

  it('damaged in the middle: names file, line and byte, and what to do', async () => {
    const first = lineOf('a', 1);
    writeFileSync(path, `${first}${lineOf('b', 2).replace('"b"', '"B"')}${lineOf('c', 3)}`);
    const reading = read();
    await expect(reading).rejects.toMatchObject({
      code: 'JOURNAL_DAMAGED',
      details: { path, line: 2, byte: first.length },
    });
    await expect(reading).rejects.toThrow(`truncate -s ${first.length} ${path}`);
  });

  it.each([
    ['missing', `${lineOf('a', 1)}${lineOf('c', 3)}`],
    ['twice there', `${lineOf('a', 1)}${lineOf('a', 1)}`],
    ['missing at the beginning', lineOf('b', 2)],
  ])('a line that is %s is damage, at the end too', async (_, text) => {
    writeFileSync(path, text);
    await expect(read()).rejects.toMatchObject({ code: 'JOURNAL_DAMAGED' });
  });

  it.each([
    ['zeros, as a file system may leave them', Buffer.alloc(5000)],
    ['several torn lines', Buffer.from('half\nanother half\n\n')],
    ['an empty line', Buffer.from('\n')],
  ])('ends torn with %s', async (_, torn) => {
    const good = Buffer.from(lineOf('a', 1));
    writeFileSync(path, Buffer.concat([good, torn]));
    expect(await read()).toEqual({ values: ['a'], records: 1, bytes: good.length, tornBytes: torn.length });
  });

  it('a line with the right checksum that is no JSON is damage, said as such', async () => {
    const first = lineOf('a', 1);
    const body = '2 {"half":';
    writeFileSync(path, `${first}${crc32(body).toString(16).padStart(8, '0')} ${body}\n${lineOf('c', 3)}`);
    await expect(read()).rejects.toMatchObject({
      code: 'JOURNAL_DAMAGED',
      message: expect.stringContaining(`line 2 (byte ${first.length}) has the right checksum but is no JSON`),
    });
  });

  it('is none when it has lines and none of them is valid', async () => {
    writeFileSync(path, 'half\nanother half\n');
    await expect(read()).rejects.toMatchObject({ code: 'JOURNAL_DAMAGED' });
  });

  it('reads records longer than what is read at a time', async () => {
    const long = 'ü'.repeat(3 * 1024 * 1024);
    const records = ['a', long, 'b', long, 'c'];
    writeFileSync(path, encodeLines(0, records.map(toJson)));
    const { values } = await read();
    expect(values.length).toBe(5);
    expect(values.every((value, at) => value === records[at])).toBe(true);
  });
});
