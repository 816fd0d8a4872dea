/**
 * Checkpoints on disk. `<root>/<tenant>/<run>/<kind>/<name>.json` is the record of one, and names the folder beside it that the ranks wrote. The record
 * is written last, in one step: before, the older one of that name is there; a folder without a record is torn, and is removed. Synchronous:
 * records are small, and saves are rare.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { makeFolders } from '../util/make-folders.js';
import type { CheckpointPath } from './checkpoint-path.js';
import type { Checkpoint, CheckpointFile, StoredFile } from './types/checkpoints.js';

const RECORD = '.json';
/** What the ranks noted of the files: checksums, and how to go on. */
const MANIFEST = 'manifest.json';
/** Between a name and what makes its folder another one; no name has it. */
const MARK = '@';

export class CheckpointFiles {
  constructor(readonly root: string) {}

  /** A folder that does not exist yet, in one that does. */
  newFolder(tenant: string, path: CheckpointPath): string {
    const above = this.#above(tenant, path);
    makeFolders(above);
    return join(above, `${path.name}${MARK}${randomBytes(6).toString('hex')}`);
  }

  /** Write its record over an older one, whose folder is the caller's to discard: until then it is torn. */
  record(checkpoint: Checkpoint): void {
    const { path, tenant } = checkpoint;
    const above = this.#above(tenant, path);
    const file = join(above, `${path.name}${RECORD}`);
    writeFileSync(`${file}.new`, JSON.stringify(checkpoint), { mode: 0o600, flush: true });
    renameSync(`${file}.new`, file);
  }

  /** Its folder is torn from now on. @param durable also after a power failure */
  unrecord({ path, tenant }: Checkpoint, durable = false): void {
    const above = this.#above(tenant, path);
    discard(join(above, `${path.name}${RECORD}`));
    if (!durable) return;
    const folder = openSync(above, 'r');
    try {
      fsyncSync(folder);
    } finally {
      closeSync(folder);
    }
  }

  /** Remove its folder. */
  discard({ folder }: Pick<Checkpoint, 'folder'>): void {
    discard(folder);
  }

  /** The same files in another folder; they are never written again, so the file system need not keep them twice. */
  copy({ folder: from }: Checkpoint, folder: string): void {
    mkdirSync(folder);
    for (const name of names(from)) {
      try {
        linkSync(join(from, name), join(folder, name));
      } catch {
        copyFileSync(join(from, name), join(folder, name)); // a file system without links
      }
    }
  }

  /** Its files, our own notes aside. Those of what a store has need not be here. */
  list({ folder, stored }: Checkpoint): CheckpointFile[] {
    const own = (stored ?? this.sizes({ folder })).filter(({ name }) => name !== MANIFEST);
    return own.map(({ bytes, name }) => ({ name, path: join(folder, name), bytes }));
  }

  /** All files of its folder. */
  sizes({ folder }: Pick<Checkpoint, 'folder'>): StoredFile[] {
    return names(folder).map((name) => ({ name, bytes: statSync(join(folder, name)).size }));
  }

  /** All that are whole and have their record here; the others are removed. @param stored whose folders stay without one */
  scan(stored: readonly Checkpoint[]): Checkpoint[] {
    const elsewhere = new Set(stored.map(({ folder }) => folder));
    const kinds = names(this.root).flatMap((tenant) =>
      names(join(this.root, tenant)).flatMap((run) =>
        names(join(this.root, tenant, run)).map((kind) => join(this.root, tenant, run, kind)),
      ),
    );
    return kinds.flatMap((above) => {
      const entries = names(above);
      const records = entries.filter((entry) => entry.endsWith(RECORD)).map((entry) => readRecord(join(above, entry)));
      const whole = records.filter((record) => record !== null);
      const kept = new Set(whole.flatMap(({ folder, path }) => [folder, join(above, `${path.name}${RECORD}`)]));
      const stays = (path: string): boolean => kept.has(path) || elsewhere.has(path);
      for (const entry of entries) if (!stays(join(above, entry))) discard(join(above, entry));
      return whole;
    });
  }

  #above(tenant: string, { kind, run }: CheckpointPath): string {
    return join(this.root, tenant, run, kind);
  }
}

function discard(path: string): void {
  rmSync(path, { recursive: true, force: true });
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Null: it is torn, or its folder is gone. */
function readRecord(file: string): Checkpoint | null {
  try {
    const record = JSON.parse(readFileSync(file, 'utf8')) as Checkpoint;
    return existsSync(record.folder) ? record : null;
  } catch {
    return null;
  }
}
