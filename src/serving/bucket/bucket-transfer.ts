/** What goes to a bucket and comes from it, in pieces: so many at a time, each tried again, large files in parts. Knows nothing of what it is. */
import { randomInt } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { AtMost } from '../../util/at-most.js';
import { backoffMs } from '../../util/backoff.js';
import { type BucketPlace, placeBelow } from '../../util/bucket-url.js';
import { downloadObjects } from './download-objects.js';
import { FetchFailure, fetchFailure } from './fetch-failure.js';
import type { DeepObject, FilePart, PartedObject, StoredObject, WritableStore } from './s3-objects.js';

const PIECES_AT_A_TIME = 8;
const TRIES = 4;
const BACKOFF = { firstMs: 100, maxMs: 5_000, factor: 3 };
/** Stores take 5 GiB at once; less is less to send again, and of a copy within the store nothing is sent. */
const PART_BYTES = { send: 64 << 20, copy: 1 << 30 };
const MAX_PARTS = 10_000;

/** An object of a folder, and the name that its file has there. */
export interface PlacedObject extends StoredObject {
  readonly file: string;
}

/**
 * Names of objects are relative to the place. All calls reject with
 * `FetchFailure` (`again`: it may have been done all the same), and with the signal's reason once it is aborted.
 */
export class BucketTransfer {
  readonly #pieces = new AtMost(PIECES_AT_A_TIME);

  /**
   * @param signal ends everything
   * @param partBytes what is larger goes in parts of so many bytes
   */
  constructor(
    private readonly store: WritableStore,
    private readonly place: BucketPlace,
    private readonly signal: AbortSignal,
    private readonly partBytes = PART_BYTES,
  ) {}

  /** All objects of the place, by their names. */
  async list(): Promise<readonly DeepObject[]> {
    const start = this.#key('').length;
    const found = await this.#piece('read', () => this.store.listDeep(this.place, this.signal));
    return found.map((object) => ({ ...object, key: object.key.slice(start) }));
  }

  /** The objects right below a name. */
  async listBelow(name: string): Promise<readonly PlacedObject[]> {
    const place = placeBelow(this.place, name);
    const found = await this.#piece('read', () => this.store.list(place, this.signal));
    return found.map((object) => ({ ...object, file: object.key.slice(place.prefix.length + 1) }));
  }

  /** Into files of a folder, one after another. */
  async download(objects: readonly PlacedObject[], folder: string): Promise<void> {
    const done = new Map<string, string>();
    const { signal, store } = this;
    await this.#piece('read', () => downloadObjects(store, this.place.bucket, objects, folder, done, signal));
  }

  async readText(name: string): Promise<string> {
    return await this.#piece('read', async () => {
      const object = { key: this.#key(name), etag: null };
      return await text(await this.store.read(this.place.bucket, object, this.signal));
    });
  }

  async writeText(name: string, content: string): Promise<void> {
    const { bucket } = this.place;
    await this.#piece('written', () => this.store.writes.putText(bucket, this.#key(name), content, this.signal));
  }

  async upload(name: string, path: string, bytes: number): Promise<void> {
    const key = this.#key(name);
    const { bucket } = this.place;
    const whole = { path, from: 0, bytes };
    if (bytes <= this.partBytes.send)
      await this.#piece('written', () => this.store.writes.put(bucket, key, whole, this.signal));
    else
      await this.#inParts(key, whole, this.partBytes.send, (made, number, part) => made.put(number, part, this.signal));
  }

  async copy(from: string, to: string, bytes: number): Promise<void> {
    const [source, key] = [this.#key(from), this.#key(to)];
    const { bucket } = this.place;
    if (bytes <= this.partBytes.copy)
      await this.#piece('written', () => this.store.writes.copy(bucket, source, key, this.signal));
    else {
      const whole = { path: '', from: 0, bytes };
      await this.#inParts(key, whole, this.partBytes.copy, (made, number, part) =>
        made.copy(number, source, part, this.signal),
      );
    }
  }

  async remove(name: string): Promise<void> {
    const { bucket } = this.place;
    await this.#piece('written', () => this.store.writes.remove(bucket, this.#key(name), this.signal));
  }

  async #inParts(
    key: string,
    { bytes, path }: FilePart,
    least: number,
    send: (made: PartedObject, number: number, part: FilePart) => Promise<void>,
  ): Promise<void> {
    const size = Math.max(least, Math.ceil(bytes / MAX_PARTS));
    const made = await this.#piece('written', () => this.store.writes.begin(this.place.bucket, key, this.signal));
    try {
      const parts = Array.from({ length: Math.ceil(bytes / size) }, (_, at) => {
        const part = { path, from: at * size, bytes: Math.min(size, bytes - at * size) };
        return this.#piece('written', () => send(made, at + 1, part));
      });
      await allOf(parts);
      await this.#piece('written', () => made.complete(this.signal));
    } catch (error) {
      // What was sent costs its owner money until then; buckets can be told to do it by themselves.
      await made.abort(this.signal).catch(() => {});
      throw error;
    }
  }

  async #piece<T>(tried: 'read' | 'written', act: () => Promise<T>): Promise<T> {
    let unsure = false;
    for (let attempt = 0; ; attempt++) {
      this.signal.throwIfAborted();
      try {
        return await this.#pieces.run(act);
      } catch (thrown) {
        this.signal.throwIfAborted();
        const failure = fetchFailure(thrown, tried);
        unsure ||= failure.again;
        if (!failure.again && unsure) throw new FetchFailure(failure.code, failure.why, true, String(failure.cause));
        if (!failure.again || attempt + 1 >= TRIES) throw failure;
        const pause = backoffMs(BACKOFF, attempt, randomInt(1000) / 1000);
        await delay(pause, undefined, { signal: this.signal }).catch(() => {});
      }
    }
  }

  #key(name: string): string {
    const { prefix } = this.place;
    return prefix === '' ? name : `${prefix}/${name}`;
  }
}

/** Rejects when one does, and only once none is under way any more. */
export async function allOf(promises: readonly Promise<unknown>[]): Promise<void> {
  await Promise.allSettled(promises);
  await Promise.all(promises);
}
