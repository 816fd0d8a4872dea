/**
 * Folders that clients put here, for the workers of this node: each lies once, under the key of its content, and stays while a client or an actor
 * needs it, and longer where there is room.
 */
import { appendFileSync, existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { TwinkleError } from '../errors.js';
import type { FolderPart } from '../protocol/work.js';

/** Unpack a zip file. Resolves with the bytes that it takes. Throws `INVALID_REQUEST` for one that leaves its folder, or is too large. */
export type Unpack = (python: string, zip: string, into: string) => Promise<number>;

/** Of all folders, those that nobody needs included. As Ray's. */
const ROOM = 10 * 1024 ** 3;
/** Of one packed folder: 512 MiB of files, and their names. */
const LARGEST = 640 * 1024 ** 2;

export class FolderStore implements AsyncDisposable {
  readonly #root: string;
  readonly #unpack: Unpack;
  readonly #room: number;
  readonly #keepsZips: boolean;
  /** Bytes by key; the one used the longest ago comes first. */
  readonly #folders = new Map<string, number>();
  /** What clients and actors need. */
  readonly #users = new Map<number | string, Set<string>>();
  /** Zip files that clients have begun. */
  readonly #coming = new Map<number | string, Set<string>>();
  readonly #work = new Set<Promise<unknown>>();
  /** On their way from another box, by key. */
  readonly #brought = new Map<string, Promise<void>>();

  /**
   * @param root is made when the first one comes, and removed at the end
   * @param keepsZips they stay beside what was in them, for other boxes
   */
  constructor(root: string, unpack: Unpack, keepsZips = false, room = ROOM) {
    this.#root = root;
    this.#unpack = unpack;
    this.#room = room;
    this.#keepsZips = keepsZips;
  }

  /** Whether it is here; then it stays for that client. */
  has(client: number, key: string): boolean {
    if (!this.#folders.has(key)) return false;
    this.keep(client, [key]);
    return true;
  }

  /**
   * The next part of one; the last one unpacks it.
   * @throws `INVALID_REQUEST`, `STORAGE_FAILED`
   */
  async put(client: number, python: string, { key, at, last }: FolderPart, body: Buffer): Promise<void> {
    checkKey(key);
    const zip = join(this.#root, `.${client}-${key}.zip`);
    if (at + body.byteLength > LARGEST) throw invalid(`at most ${LARGEST} bytes`, 'at', at + body.byteLength);
    try {
      mkdirSync(this.#root, { recursive: true, mode: 0o700 });
      const there = at === 0 ? 0 : (statSync(zip, { throwIfNoEntry: false })?.size ?? 0);
      if (there !== at) throw invalid(`the part from byte ${there}`, 'at', at);
      this.keep(client, [key]);
      this.#coming.set(client, (this.#coming.get(client) ?? new Set()).add(zip));
      appendFileSync(zip, body, { mode: 0o600, flag: at === 0 ? 'w' : 'a' });
    } catch (error) {
      if (error instanceof TwinkleError) throw error;
      const code = (error as NodeJS.ErrnoException).code ?? String(error);
      throw new TwinkleError('STORAGE_FAILED', `a folder cannot be kept in ${this.#root}: ${code}`, { cause: error });
    }
    if (!last) return;
    this.#coming.get(client)?.delete(zip);
    const work = this.#place(python, key, zip);
    this.#work.add(work);
    await work.finally(() => this.#work.delete(work));
  }

  /**
   * Have one here that another box has; it stays for that user.
   * @param fetch writes its zip file to that path
   * @throws `INVALID_REQUEST`, what `fetch` and unpacking throw
   */
  async bring(
    user: number | string,
    python: string,
    key: string,
    fetch: (path: string) => Promise<void>,
  ): Promise<void> {
    checkKey(key);
    this.keep(user, [key]);
    if (this.#folders.has(key)) return;
    const coming = this.#brought.get(key) ?? this.#fetched(python, key, fetch);
    await coming;
  }

  /** Path of the zip file that it came as. Throws `RUNTIME_ENV` when it is not here. */
  zip(key: string): string {
    this.path(key);
    return join(this.#root, `${key}.zip`);
  }

  /** Where it is. Throws `RUNTIME_ENV` when it is not here. */
  path(key: string): string {
    const bytes = this.#folders.get(key);
    if (bytes === undefined) {
      throw new TwinkleError('RUNTIME_ENV', `a folder of \`runtime_env\` is not known here: ${key.slice(0, 80)}`);
    }
    this.#folders.delete(key);
    this.#folders.set(key, bytes);
    return join(this.#root, key);
  }

  /** They stay for that user until it lets go. */
  keep(user: number | string, keys: readonly string[]): void {
    const kept = this.#users.get(user) ?? new Set();
    for (const key of keys) kept.add(key);
    if (kept.size > 0) this.#users.set(user, kept);
  }

  /** It needs none any more. */
  letGo(user: number | string): void {
    if (!this.#users.delete(user)) return;
    for (const zip of this.#coming.get(user) ?? []) rmSync(zip, { force: true });
    this.#coming.delete(user);
    this.#makeRoom();
  }

  /** Removes everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#work);
    await rm(this.#root, { recursive: true, force: true });
  }

  #fetched(python: string, key: string, fetch: (path: string) => Promise<void>): Promise<void> {
    mkdirSync(this.#root, { recursive: true, mode: 0o700 });
    const zip = join(this.#root, `.far-${key}.zip`);
    const work = fetch(zip)
      .then(() => this.#place(python, key, zip))
      .finally(() => {
        rmSync(zip, { force: true });
        this.#brought.delete(key);
        this.#work.delete(work);
      });
    this.#brought.set(key, work);
    this.#work.add(work);
    return work;
  }

  async #place(python: string, key: string, zip: string): Promise<void> {
    const draft = `${zip.slice(0, -4)}.draft`;
    try {
      const bytes = await this.#unpack(python, zip, draft);
      const place = join(this.#root, key);
      // Somebody else may have brought the same meanwhile. In one turn, so that nobody does in between.
      if (!existsSync(place)) {
        renameSync(draft, place);
        if (this.#keepsZips) renameSync(zip, `${place}.zip`);
      }
      this.#folders.set(key, bytes);
      this.#makeRoom();
    } finally {
      await Promise.all([zip, draft].map((path) => rm(path, { recursive: true, force: true })));
    }
  }

  #makeRoom(): void {
    const needed = new Set([...this.#users.values()].flatMap((keys) => [...keys]));
    let bytes = [...this.#folders.values()].reduce((sum, one) => sum + one, 0);
    for (const [key, size] of this.#folders) {
      if (bytes <= this.#room) return;
      if (needed.has(key)) continue;
      this.#folders.delete(key);
      bytes -= size;
      // Its name is free at once: the same content may come again.
      const old = join(this.#root, `.${key}.${Math.random().toString(36).slice(2)}.old`);
      renameSync(join(this.#root, key), old);
      rmSync(join(this.#root, `${key}.zip`), { force: true });
      const work = rm(old, { recursive: true, force: true }).catch(() => {});
      this.#work.add(work);
      void work.then(() => this.#work.delete(work));
    }
  }
}

/** It becomes a file's name. */
function checkKey(key: string): void {
  if (!/^[0-9a-f]{64}$/.test(key)) throw invalid('a SHA-256 in hex', 'key', JSON.stringify(key.slice(0, 80)));
}

function invalid(expected: string, name: string, received: unknown): TwinkleError {
  return new TwinkleError('INVALID_REQUEST', `expected ${expected} for \`${name}\` but received ${received}`);
}
