/** Where the files of adapters come from, as `adapters.ts` sees it. Knows no folder and no bucket. */

/** An adapter's files on this machine. */
export interface AdapterFiles {
  /** What the engine is told to load: a folder, or a hub id. */
  readonly path: string;
  /** Where clients are told that it came from; default: the path. */
  readonly origin?: string;
  /** Nobody needs them any more through this handle. Idempotent. */
  release(): void;
}

/** Where adapters come from that nobody loaded by name. */
export interface AdapterSource {
  /** Whether a request may name it: cheap, for every request with an unknown name asks. */
  has(name: string): boolean;
  /** Files that the engine may load. Throws `MODEL_NOT_FOUND` when there are none of that name or they lead elsewhere. */
  fetch(name: string): Promise<AdapterFiles>;
}

/** Files of somebody else, who keeps them. */
export function lasting(path: string): AdapterFiles {
  return { path, release: () => {} };
}
