/**
 * How a checkpoint lies in a store: names of its objects, as on disk, and its record, which is read with distrust: others may write there. Pure.
 */
import { basename, join } from 'node:path';
import { isName, isNamedKind, isRun } from './checkpoint-path.js';
import type { Checkpoint } from './types/checkpoints.js';

const RECORD = '.json';
/** A folder's name: that of the checkpoint, and what makes it another one. */
const FOLDER = /^(.+)@[0-9a-f]{12}$/;

/** The name of its record: one for each path. */
export function recordKey({ path, tenant }: Pick<Checkpoint, 'path' | 'tenant'>): string {
  return `${tenant}/${path.run}/${path.kind}/${path.name}${RECORD}`;
}

/** What the names of its files begin with, without the slash. */
export function folderKey({ folder, path, tenant }: Pick<Checkpoint, 'folder' | 'path' | 'tenant'>): string {
  return `${tenant}/${path.run}/${path.kind}/${basename(folder)}`;
}

/** What the name of an object means; null: it is nobody's here. */
export type StoredName = { readonly record: string; readonly folder: string | null };

/** @returns the record that it is or belongs to, and the folder that it lies in (null: it is the record) */
export function readKey(key: string): StoredName | null {
  const [tenant = '', run = '', kind = '', name = '', file, more] = key.split('/');
  if (more !== undefined || !isName(tenant) || !isRun(run) || !isNamedKind(kind)) return null;
  const above = `${tenant}/${run}/${kind}`;
  if (file === undefined) return name.endsWith(RECORD) ? { record: key, folder: null } : null;
  const of = FOLDER.exec(name)?.[1];
  if (of === undefined || !isName(of) || !isName(file)) return null;
  return { record: `${above}/${of}${RECORD}`, folder: `${above}/${name}` };
}

/** A record as JSON: places are relative, as the next server may have another home. */
export function writeStored(checkpoint: Checkpoint, root: string): string {
  const { copyOf } = checkpoint;
  const relative = copyOf?.startsWith(`${root}/`) === true ? { copyOf: copyOf.slice(root.length + 1) } : {};
  return JSON.stringify({ ...checkpoint, copyOf: undefined, ...relative, folder: basename(checkpoint.folder) });
}

/**
 * The checkpoint of a record, with the folder that it has or would have here; null: it is none, or not the one that its name says.
 * @param root absolute: of all checkpoints on this machine
 */
export function readStored(key: string, json: string, root: string): Checkpoint | null {
  let read: Checkpoint;
  try {
    read = JSON.parse(json) as Checkpoint;
    if (!isSound(read) || recordKey(read) !== key) return null;
  } catch {
    return null; // no JSON, or no object where one is expected
  }
  const { copyOf, ...rest } = read;
  const folder = join(root, folderKey(read));
  const from = copyOf !== undefined && readKey(`${copyOf}/file`) !== null ? { copyOf: join(root, copyOf) } : {};
  return { ...rest, ...from, folder };
}

function isSound({ bytes, expires, folder, path, public: isPublic, run, stored, tenant, time }: Checkpoint): boolean {
  const { kind, name, run: id } = path;
  const mayBeNamed = isName(tenant) && isRun(id) && isNamedKind(kind) && isName(name);
  const lies = FOLDER.exec(folder)?.[1] === name;
  const numbers = [bytes, time, expires ?? 0, run.rank, ...(stored ?? []).map((file) => file.bytes)];
  const sizes = numbers.every((one) => Number.isFinite(one) && one >= 0);
  const flags = [isPublic, run.attn, run.mlp, run.unembed].every((one) => typeof one === 'boolean');
  const seeded = run.seed === null || Number.isFinite(run.seed);
  const files = stored !== undefined && stored.length > 0 && stored.every((file) => isName(file.name));
  return mayBeNamed && lies && sizes && flags && seeded && files && typeof run.baseModel === 'string';
}
