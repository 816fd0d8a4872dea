/** A store of checkpoints, played by the test: holds and fails on order, and keeps what was put there. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { TwinkleError } from '../../../src/errors.js';
import { pathText } from '../../../src/training/checkpoint-path.js';
import { type CheckpointStore, UNSURE } from '../../../src/training/checkpoint-store.js';
import type { Checkpoint } from '../../../src/training/types/checkpoints.js';

type Call = Exclude<keyof CheckpointStore, 'list'>;

export class FakeStore implements CheckpointStore {
  readonly records = new Map<string, Checkpoint>();
  /** Name of the folder → its files. */
  readonly files = new Map<string, ReadonlyMap<string, Buffer>>();
  /** `put one@…`, in order, as they began. */
  readonly calls: string[] = [];
  /** What the next calls of a kind wait for, or fail with. */
  readonly next = new Map<Call, (() => Promise<void>)[]>();

  async list(): Promise<readonly Checkpoint[]> {
    return [...this.records.values()];
  }

  async put(one: Checkpoint): Promise<void> {
    // Before it fails: some may have come.
    const names = existsSync(one.folder) ? readdirSync(one.folder) : [];
    this.files.set(basename(one.folder), new Map(names.map((name) => [name, readFileSync(join(one.folder, name))])));
    await this.#begin('put', one);
  }

  async copy(from: Checkpoint, to: Checkpoint): Promise<void> {
    await this.#begin('copy', to);
    this.files.set(basename(to.folder), this.files.get(basename(from.folder)) ?? new Map());
  }

  async record(one: Checkpoint): Promise<void> {
    await this.#begin('record', one);
    this.records.set(pathText(one.path), one);
  }

  async unrecord(one: Checkpoint): Promise<void> {
    await this.#begin('unrecord', one);
    this.records.delete(pathText(one.path));
  }

  async remove(one: Checkpoint): Promise<void> {
    await this.#begin('remove', one);
    this.files.delete(basename(one.folder));
  }

  async fetch(one: Checkpoint, folder: string): Promise<void> {
    for (const [name, content] of this.files.get(basename(one.folder)) ?? [])
      writeFileSync(join(folder, name), content);
    await this.#begin('fetch', one);
  }

  /** The next call of that kind does so before it ends. */
  first(call: Call, act: () => Promise<void>): void {
    this.next.set(call, [...(this.next.get(call) ?? []), act]);
  }

  /** What was asked for, by the names of the checkpoints. */
  asked(): string[] {
    return this.calls.map((call) => call.replace(/@.*/, ''));
  }

  async #begin(call: Call, { folder }: Checkpoint): Promise<void> {
    this.calls.push(`${call} ${basename(folder)}`);
    await this.next.get(call)?.shift()?.();
  }
}

export const failing =
  (unsure = false) =>
  async (): Promise<never> => {
    throw new TwinkleError('STORAGE_FAILED', 'the store is away', { details: { [UNSURE]: unsure } });
  };
