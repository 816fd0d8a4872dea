/**
 * Checkpoints on disk. `<root>/<tenant>/<run>/<kind>/<name>.json` is the record of one, and names the folder beside it that the ranks wrote. The record
 * is written last, in one step: before, the older one of that name is there; a folder without a record is torn, and is removed. Synchronous:
 * records are small, and saves are rare.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolders } from '../util/make-folders.js';
import type { CheckpointPath } from './checkpoint-path.js';
import type { Checkpoint } from './types.js';

const RECORD = '.json';
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

  /** Write its record over an older one, whose folder goes. */
  record(checkpoint: Checkpoint): void {
    const { folder, path, tenant } = checkpoint;
    const above = this.#above(tenant, path);
    const file = join(above, `${path.name}${RECORD}`);
    writeFileSync(`${file}.new`, JSON.stringify(checkpoint), { mode: 0o600, flush: true });
    renameSync(`${file}.new`, file);
    for (const entry of names(above)) {
      if (entry.startsWith(`${path.name}${MARK}`) && join(above, entry) !== folder) discard(join(above, entry));
    }
  }

  /** The record first: what is half removed is torn. */
  remove({ folder, path, tenant }: Checkpoint): void {
    discard(join(this.#above(tenant, path), `${path.name}${RECORD}`));
    discard(folder);
  }

  /** All that are whole; the others are removed. */
  scan(): Checkpoint[] {
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
      for (const entry of entries) if (!kept.has(join(above, entry))) discard(join(above, entry));
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
