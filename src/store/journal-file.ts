/**
 * The file of a journal: one record a line, `<crc32, 8 hex digits> <sequence number> <JSON>`, the checksum over all behind it. Lines count
 * from 1 without a gap. Reads and tells a torn end from damage; writing is the journal's.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { TwinkleError } from '../errors.js';

/** A record as one line of JSON. Throws what `JSON.stringify` throws, and INTERNAL for what JSON has no word for. */
export function toJson(record: unknown): string {
  const json = JSON.stringify(record) as string | undefined;
  if (json === undefined)
    throw new TwinkleError('INTERNAL', `expected JSON for a record but received ${typeof record}`);
  return json;
}

/**
 * Lines with their newlines, numbered from `after` + 1.
 * @param records one line of JSON each, from {@link toJson}
 */
export function encodeLines(after: number, records: readonly string[]): string {
  let text = '';
  let sequence = after;
  for (const json of records) {
    sequence += 1;
    const body = `${sequence} ${json}`;
    text += `${checksum(body)} ${body}\n`;
  }
  return text;
}

/** Characters that are written at a time. */
const PIECE_CHARS = 4 * 1024 * 1024;

/** Write lines at `position`. Returns the position behind them. */
export async function writeLines(
  file: FileHandle,
  position: number,
  after: number,
  records: readonly string[],
): Promise<number> {
  let at = position;
  for (let from = 0; from < records.length; ) {
    let to = from;
    for (let chars = 0; to < records.length && chars < PIECE_CHARS; to++) chars += (records[to] as string).length;
    const bytes = Buffer.from(encodeLines(after + from, records.slice(from, to)));
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await file.write(bytes, done, bytes.length - done, at + done);
      done += bytesWritten;
    }
    at += bytes.length;
    from = to;
  }
  return at;
}

/** Make names in a folder (new files, renames) survive a power failure. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** What a file holds. */
export interface JournalContent {
  readonly records: number;
  /** Length of the good part in bytes. */
  readonly bytes: number;
  /** Bytes behind it that no record was made of: the end of a write that its process did not survive. */
  readonly tornBytes: number;
}

const NEWLINE = 0x0a;
const SPACE = 0x20;
const CHUNK_BYTES = 4 * 1024 * 1024;

/**
 * Read all records, in order.
 * @throws JOURNAL_DAMAGED when valid lines follow an invalid one, or lines are missing; what `onRecord` throws
 */
export async function readJournal(
  file: FileHandle,
  path: string,
  onRecord: (record: unknown) => void,
): Promise<JournalContent> {
  return await readLines(file, path, (json) => onRecord(JSON.parse(json.toString())));
}

/** As {@link readJournal}, for who parses records itself: `onLine` gets the JSON of each, and throws SyntaxError for what is none. */
export async function readLines(
  file: FileHandle,
  path: string,
  onLine: (json: Buffer) => void,
): Promise<JournalContent> {
  const reader = new LineReader(path, onLine);
  for (;;) {
    // A fresh buffer each time: the reader keeps the beginning of an unfinished line.
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(CHUNK_BYTES), 0, CHUNK_BYTES, null);
    if (bytesRead === 0) return reader.end();
    reader.take(buffer.subarray(0, bytesRead));
  }
}

class LineReader {
  readonly #path: string;
  readonly #onLine: (json: Buffer) => void;
  #records = 0;
  #goodBytes = 0;
  #seenBytes = 0;
  #tornAt: number | null = null;
  #tornLines = 0;
  /** The beginning of a line whose end has not come. */
  #begun: Buffer[] = [];

  constructor(path: string, onLine: (json: Buffer) => void) {
    this.#path = path;
    this.#onLine = onLine;
  }

  take(chunk: Buffer): void {
    let from = 0;
    for (let to = chunk.indexOf(NEWLINE); to >= 0; to = chunk.indexOf(NEWLINE, from)) {
      const rest = chunk.subarray(from, to);
      this.#line(this.#begun.length === 0 ? rest : Buffer.concat([...this.#begun, rest]));
      this.#begun = [];
      from = to + 1;
    }
    if (from < chunk.length) this.#begun.push(chunk.subarray(from));
    this.#seenBytes += chunk.length;
  }

  end(): JournalContent {
    // The first write of a journal may be torn; a file of many lines of which none is valid is no journal.
    if (this.#records === 0 && this.#tornLines > 1) throw this.#damaged('fails its checksum, as do all others');
    return { records: this.#records, bytes: this.#goodBytes, tornBytes: this.#seenBytes - this.#goodBytes };
  }

  #line(line: Buffer): void {
    if (!isWhole(line)) {
      this.#tornAt ??= this.#records + 1;
      this.#tornLines += 1;
      return;
    }
    if (this.#tornAt !== null) throw this.#damaged('fails its checksum, and valid lines follow');
    const gap = line.indexOf(SPACE, 9);
    const sequence = line.toString('latin1', 9, gap);
    if (sequence !== String(this.#records + 1)) throw this.#damaged(`has the number ${sequence}: lines are missing`);
    this.#take(line.subarray(gap + 1));
    this.#records += 1;
    this.#goodBytes += line.length + 1;
  }

  #take(json: Buffer): void {
    try {
      this.#onLine(json);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      throw this.#damaged('has the right checksum but is no JSON: something else has written to it');
    }
  }

  #damaged(what: string): TwinkleError {
    const line = this.#records + 1;
    const where = `the journal \`${this.#path}\` is damaged: line ${line} (byte ${this.#goodBytes}) ${what}`;
    const cut = `keep the ${this.#records} records before it with \`truncate -s ${this.#goodBytes} ${this.#path}\``;
    const advice = `restore the file from a copy, or ${cut} (a copy first), or move it away to begin with nothing`;
    const details = { path: this.#path, line, byte: this.#goodBytes };
    return new TwinkleError('JOURNAL_DAMAGED', `${where}; ${advice}`, { details });
  }
}

/** Whether the checksum is right. */
function isWhole(line: Buffer): boolean {
  return line.length > 10 && line[8] === SPACE && line.toString('latin1', 0, 8) === checksum(line.subarray(9));
}

function checksum(body: string | Buffer): string {
  return crc32(body).toString(16).padStart(8, '0');
}
