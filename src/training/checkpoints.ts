/** The checkpoints that there are: whose they are, how long they stay, who else may read them. Knows of no store, and waits for nothing. */
import { TwinkleError } from '../errors.js';
import type { CheckpointFiles } from './checkpoint-files.js';
import { type CheckpointKind, type CheckpointPath, isNamedKind, type NamedKind, pathText } from './checkpoint-path.js';
import { TenantCount } from './limits.js';
import type { Checkpoint } from './types/checkpoints.js';

const S = 1000;

export class Checkpoints {
  readonly #all = new Map<string, Checkpoint>();
  #scanned = false;

  /**
   * @param now Unix ms
   * @param bytes of those that clients can name, by tenant
   */
  constructor(
    private readonly files: CheckpointFiles,
    readonly now: () => number,
    private readonly bytes: TenantCount = new TenantCount(),
  ) {}

  /** @param bytes of one that is to be added. @throws `INVALID_REQUEST` when its tenant's would be too many */
  checkRoom(tenant: string, path: CheckpointPath, bytes: number): void {
    const older = this.at(path);
    this.bytes.check(tenant, bytes - (older?.tenant === tenant ? older.bytes : 0));
  }

  /** As {@link checkRoom}; the bytes count until the returned function is called. */
  reserve(tenant: string, path: CheckpointPath, bytes: number): () => void {
    this.checkRoom(tenant, path, bytes);
    this.bytes.add(tenant, bytes);
    return () => this.bytes.add(tenant, -bytes);
  }

  /** @param taken there will be one. @throws `INVALID_REQUEST` when there is one of that name already */
  checkFree(path: CheckpointPath, taken = false): void {
    if (!taken && !this.#known().has(pathText(path))) return;
    throw new TwinkleError('INVALID_REQUEST', `checkpoint \`${pathText(path)}\` exists: take another name`, {
      param: 'path',
    });
  }

  /** Where ranks write one; nothing is changed before it is added. */
  newFolder(tenant: string, path: CheckpointPath): string {
    this.#known(); // what is not recorded by then is taken for torn
    return this.files.newFolder(tenant, path);
  }

  /** It has been written. */
  add(checkpoint: Checkpoint): void {
    this.addBeside(checkpoint)();
  }

  /** As {@link add}. @returns removes the files of the older one of that name: until then they can be read */
  addBeside(checkpoint: Checkpoint): () => void {
    const older = this.at(checkpoint.path);
    // Of two records one would be out of date some day: what is in a store has its record there alone.
    if (checkpoint.stored === undefined) this.files.record(checkpoint);
    else if (older !== null && older.stored === undefined) this.files.unrecord(older);
    this.#put(checkpoint);
    return () => {
      if (older !== null && older.folder !== checkpoint.folder) this.files.discard(older);
    };
  }

  /** Whose ever it is, and though its time may be up; null: there is none. */
  at(path: CheckpointPath): Checkpoint | null {
    return this.#known().get(pathText(path)) ?? null;
  }

  /** One that a tenant may read: its own, or a public one. @throws `CHECKPOINT_NOT_FOUND` */
  readable(tenant: string, path: CheckpointPath): Checkpoint {
    const found = this.#find(path);
    if (found !== null && (found.tenant === tenant || found.public)) return found;
    throw missing(path);
  }

  /** Of a tenant, oldest first. */
  of(tenant: string): readonly Checkpoint[] {
    const named = [...this.#known().values()].filter(({ path }) => isNamedKind(path.kind));
    return named.filter((one) => one.tenant === tenant).sort((a, b) => a.time - b.time);
  }

  /** Of all tenants: those that no client can name. */
  ofKind(kind: Exclude<CheckpointKind, NamedKind>): readonly Checkpoint[] {
    return [...this.#all.values()].filter(({ path }) => path.kind === kind);
  }

  /** Whether it is known which there are. */
  get scanned(): boolean {
    return this.#scanned;
  }

  /** Null: the tenant has none of that path. */
  find(tenant: string, path: CheckpointPath): Checkpoint | null {
    const found = this.#find(path);
    return found?.tenant === tenant ? found : null;
  }

  /** As {@link find}. @throws `CHECKPOINT_NOT_FOUND` */
  own(tenant: string, path: CheckpointPath): Checkpoint {
    const found = this.find(tenant, path);
    if (found !== null) return found;
    throw missing(path);
  }

  /** It is not known any more, and its files are still there. @param durable also after a power failure */
  forget(checkpoint: Checkpoint, durable = false): void {
    if (this.#all.delete(pathText(checkpoint.path))) this.#count(checkpoint, -1);
    this.files.unrecord(checkpoint, durable);
  }

  /** Remove the files of one that is not known any more, or never was. */
  discard(checkpoint: Pick<Checkpoint, 'folder'>): void {
    this.files.discard(checkpoint);
  }

  /** Unix ms of so many seconds from now; null: never. */
  until(seconds: number | null): number | null {
    return seconds === null ? null : this.now() + seconds * S;
  }

  /** Those whose time is up. */
  over(): readonly Checkpoint[] {
    return [...this.#all.values()].filter((one) => this.#over(one));
  }

  /** Learn which there are. @param stored those that a store has; what is on disk of others has a record of its own */
  scan(stored: readonly Checkpoint[] = []): void {
    this.#scanned = true;
    for (const checkpoint of this.files.scan(stored)) this.#put(checkpoint);
    for (const checkpoint of stored) this.#put(checkpoint);
  }

  #put(checkpoint: Checkpoint): void {
    const older = this.at(checkpoint.path);
    if (older !== null) this.#count(older, -1);
    this.#all.set(pathText(checkpoint.path), checkpoint);
    this.#count(checkpoint, 1);
  }

  #count({ bytes, path, tenant }: Checkpoint, times: 1 | -1): void {
    if (isNamedKind(path.kind)) this.bytes.add(tenant, times * bytes);
  }

  #find(path: CheckpointPath): Checkpoint | null {
    const found = this.#known().get(pathText(path));
    return found === undefined || this.#over(found) ? null : found;
  }

  #over({ expires }: Checkpoint): boolean {
    return expires !== null && expires <= this.now();
  }

  /** Read with the first question: a server that only samples reads nothing. */
  #known(): Map<string, Checkpoint> {
    if (!this.#scanned) this.scan();
    return this.#all;
  }
}

function missing(path: CheckpointPath): TwinkleError {
  return new TwinkleError('CHECKPOINT_NOT_FOUND', `there is no checkpoint \`${pathText(path)}\` here`, {
    param: 'path',
  });
}
