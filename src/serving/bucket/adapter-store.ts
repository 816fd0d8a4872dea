/**
 * Adapters of buckets as folders on this machine: fetched once however many ask, never seen half, and removed when nobody needs them.
 * What an adapter consists of is `adapter-objects.ts`'s to know; what engines do with the folders nobody here knows.
 */
import { randomInt } from 'node:crypto';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { TwinkleError } from '../../errors.js';
import { backoffMs } from '../../util/backoff.js';
import type { BucketPlace } from '../../util/bucket-url.js';
import type { AdapterFiles } from '../adapter-source.js';
import { adapterObjects, adapterVersion } from './adapter-objects.js';
import { downloadObjects } from './download-objects.js';
import { type FetchFailure, fetchFailure } from './fetch-failure.js';
import { type ObjectStore, openS3 } from './s3-objects.js';

/** How long to try. */
export interface FetchPolicy {
  /** Of one try, in ms; null: no limit. */
  readonly timeoutMs: number | null;
  readonly tries: number;
}

/** A download under way, and how many wait for it. */
interface Flight {
  waiters: number;
  readonly path: Promise<string>;
}

const BACKOFF = { firstMs: 100, maxMs: 10_000, factor: 2 };

export class AdapterStore implements AsyncDisposable {
  readonly #flights = new Map<string, Flight>();
  /** Folder → who needs it; what is here is whole. */
  readonly #uses = new Map<string, number>();
  /** Version → folder. */
  readonly #folders = new Map<string, string>();
  readonly #closing = new AbortController();
  #client: Promise<ObjectStore> | null = null;
  #made = 0;

  /**
   * @param folder of this server alone; made with the first adapter, removed at the end
   * @param failed told of each try that failed; the place is for the operator's eyes
   */
  constructor(
    readonly folder: string,
    readonly failed: (place: BucketPlace, failure: FetchFailure) => void = () => {},
    private readonly open: () => Promise<ObjectStore> = openS3,
  ) {}

  /**
   * The adapter at that place, as it is now: what is here in that version already is not fetched again.
   * @throws FetchFailure; `CONFIG_INVALID` without the SDK; `DRAINING` when the server ends meanwhile
   */
  async fetch(place: BucketPlace, policy: FetchPolicy): Promise<AdapterFiles> {
    const key = `${place.bucket}/${place.prefix}`;
    let flight = this.#flights.get(key);
    if (flight === undefined) {
      const path = this.#bring(place, policy).then(
        (came) => {
          // In one step for all that wait: none may give it back, and so away, before the last has it.
          const { waiters = 1 } = this.#flights.get(key) ?? {};
          this.#flights.delete(key);
          this.#uses.set(came, (this.#uses.get(came) ?? 0) + waiters - 1);
          return came;
        },
        (error: unknown) => {
          this.#flights.delete(key);
          throw error;
        },
      );
      flight = { waiters: 0, path };
      this.#flights.set(key, flight);
    }
    flight.waiters += 1;
    const path = await flight.path;
    let held = true;
    const release = (): void => {
      if (held) this.#release(path);
      held = false;
    };
    return { path, release };
  }

  /** Ends downloads and removes everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new TwinkleError('DRAINING', 'the server is shutting down'));
    await Promise.allSettled([...this.#flights.values()].map(({ path }) => path));
    await this.#client?.then(
      (client) => client.close(),
      () => {},
    );
    await rm(this.folder, { recursive: true, force: true });
  }

  async #bring(place: BucketPlace, { timeoutMs, tries }: FetchPolicy): Promise<string> {
    this.#closing.signal.throwIfAborted();
    this.#client ??= this.open();
    const client = await this.#client.catch((error: unknown) => {
      this.#client = null; // somebody may install it meanwhile
      throw error;
    });
    this.#made += 1;
    const number = this.#made;
    const draft = join(this.folder, `.draft-${number}`);
    const done = new Map<string, string>();
    try {
      for (let left = tries - 1; ; left--) {
        const limit = timeoutMs === null ? [] : [AbortSignal.timeout(timeoutMs)];
        const signal = AbortSignal.any([this.#closing.signal, ...limit]);
        try {
          return await this.#try(client, place, draft, number, done, signal);
        } catch (error) {
          this.#closing.signal.throwIfAborted();
          const failure = fetchFailure(signal.aborted ? signal.reason : error);
          this.failed(place, failure);
          if (!failure.again || left <= 0) throw failure;
          const pause = backoffMs(BACKOFF, tries - 1 - left, randomInt(1000) / 1000);
          await delay(pause, undefined, { signal: this.#closing.signal }).catch(() => {});
        }
      }
    } finally {
      await rm(draft, { recursive: true, force: true });
    }
  }

  /** The folder, held once for whoever waits for it. */
  async #try(
    client: ObjectStore,
    place: BucketPlace,
    draft: string,
    number: number,
    done: Map<string, string>,
    signal: AbortSignal,
  ): Promise<string> {
    const objects = adapterObjects(place, await client.list(place, signal));
    const version = adapterVersion(place, objects);
    const known = this.#folders.get(version);
    if (known !== undefined) return this.#hold(known);
    await mkdir(draft, { recursive: true, mode: 0o700 });
    await downloadObjects(client, place.bucket, objects, draft, done, signal);
    const name =
      place.prefix
        .split('/')
        .at(-1)
        ?.replace(/[^\w.-]+/g, '-') || 'adapter';
    // The number, because a folder of this version may be going away just now.
    const path = join(this.folder, `${name.slice(0, 100)}-${version}-${number}`);
    await rename(draft, path);
    this.#folders.set(version, path);
    return this.#hold(path);
  }

  #hold(path: string): string {
    this.#uses.set(path, (this.#uses.get(path) ?? 0) + 1);
    return path;
  }

  #release(path: string): void {
    const uses = (this.#uses.get(path) ?? 0) - 1;
    this.#uses.set(path, uses);
    if (uses > 0) return;
    this.#uses.delete(path);
    for (const [version, folder] of this.#folders) if (folder === path) this.#folders.delete(version);
    void rm(path, { recursive: true, force: true }).catch(() => {}); // the end of the server tries again
  }
}
