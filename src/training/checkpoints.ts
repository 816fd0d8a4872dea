/** The checkpoints that there are: whose they are, how long they stay, who else may read them. */
import { TwinkleError } from '../errors.js';
import type { CheckpointFiles } from './checkpoint-files.js';
import { type CheckpointPath, pathText } from './checkpoint-path.js';
import type { Checkpoint } from './types.js';

const S = 1000;

export class Checkpoints {
  readonly #all = new Map<string, Checkpoint>();
  #scanned = false;

  /** @param now Unix ms */
  constructor(
    private readonly files: CheckpointFiles,
    private readonly now: () => number,
  ) {}

  /** @throws `INVALID_REQUEST` when there is one of that name already */
  checkFree(path: CheckpointPath): void {
    if (!this.#known().has(pathText(path))) return;
    throw new TwinkleError('INVALID_REQUEST', `checkpoint \`${pathText(path)}\` exists: take another name`, {
      param: 'path',
    });
  }

  /** Where ranks write one; nothing is changed before it is added. */
  newFolder(tenant: string, path: CheckpointPath): string {
    return this.files.newFolder(tenant, path);
  }

  /** It has been written. */
  add(checkpoint: Checkpoint): void {
    this.files.record(checkpoint);
    this.#known().set(pathText(checkpoint.path), checkpoint);
  }

  /** One that a tenant may read: its own, or a public one. @throws `CHECKPOINT_NOT_FOUND` */
  readable(tenant: string, path: CheckpointPath): Checkpoint {
    const found = this.#find(path);
    if (found !== null && (found.tenant === tenant || found.public)) return found;
    throw missing(path);
  }

  /** Of a tenant, oldest first. */
  of(tenant: string): readonly Checkpoint[] {
    return [...this.#known().values()].filter((one) => one.tenant === tenant).sort((a, b) => a.time - b.time);
  }

  /** @throws `CHECKPOINT_NOT_FOUND` */
  remove(tenant: string, path: CheckpointPath): void {
    this.#remove(this.#own(tenant, path));
  }

  /** @throws `CHECKPOINT_NOT_FOUND` */
  publish(tenant: string, path: CheckpointPath, isPublic: boolean): void {
    this.add({ ...this.#own(tenant, path), public: isPublic });
  }

  /** @param seconds from now on; null: for ever. @throws `CHECKPOINT_NOT_FOUND` */
  keepFor(tenant: string, path: CheckpointPath, seconds: number | null): void {
    this.add({ ...this.#own(tenant, path), expires: this.until(seconds) });
  }

  /** Unix ms of so many seconds from now; null: never. */
  until(seconds: number | null): number | null {
    return seconds === null ? null : this.now() + seconds * S;
  }

  /** Remove those whose time is up. To be called now and then. */
  sweep(): void {
    for (const checkpoint of this.#all.values()) if (this.#over(checkpoint)) this.#remove(checkpoint);
  }

  #own(tenant: string, path: CheckpointPath): Checkpoint {
    const found = this.#find(path);
    if (found?.tenant === tenant) return found;
    throw missing(path);
  }

  #find(path: CheckpointPath): Checkpoint | null {
    const found = this.#known().get(pathText(path));
    return found === undefined || this.#over(found) ? null : found;
  }

  #over({ expires }: Checkpoint): boolean {
    return expires !== null && expires <= this.now();
  }

  #remove(checkpoint: Checkpoint): void {
    this.files.remove(checkpoint);
    this.#all.delete(pathText(checkpoint.path));
  }

  /** Read with the first question: a server that only samples reads nothing. */
  #known(): Map<string, Checkpoint> {
    if (!this.#scanned) {
      this.#scanned = true;
      for (const checkpoint of this.files.scan()) this.#all.set(pathText(checkpoint.path), checkpoint);
    }
    return this.#all;
  }
}

function missing(path: CheckpointPath): TwinkleError {
  return new TwinkleError('CHECKPOINT_NOT_FOUND', `there is no checkpoint \`${pathText(path)}\` here`, {
    param: 'path',
  });
}
