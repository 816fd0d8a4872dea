/** What a head is started with besides its configuration. */
import type { EngineName } from '../config/types.js';
import type { Native } from '../native/types.js';
import type { Logger } from '../observability/logger.js';
import type { PythonEnvironment } from '../python/types.js';
import type { PlacementSource } from './place-replicas.js';
import type { HeadEvents } from './types.js';

export interface HeadOptions {
  /** The interpreter of each engine in use. */
  readonly pythons: ReadonlyMap<EngineName, PythonEnvironment>;
  /** Default: the file `head.log` beside the ranks' logs. */
  readonly logger?: Logger;
  /** By default the real addon. */
  readonly native?: Native;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Who gives out devices; it stays the caller's to close. Default: a ledger of this head over `config.node`. */
  readonly placement?: PlacementSource;
  /** Listen on HTTP and on the admin socket. Default true. */
  readonly listen?: boolean;
  /**
   * This Node process exists for the head alone (the CLI): orphans of engines are adopted and ranks get PDEATHSIG.
   * Default false: in somebody's backend both would change how that process sees its own children.
   */
  readonly ownProcess?: boolean;
  /** Ends a start that still fetches adapters. */
  readonly signal?: AbortSignal;
  /** Listeners from before the first event: a small model is ready before {@link startHead} resolves. */
  readonly on?: Readonly<Partial<HeadEvents>>;
}
