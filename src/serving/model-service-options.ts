/** What a {@link ModelService} is made with. */
import type { RouterKind } from './routing.js';

export interface ModelServiceOptions {
  readonly names: readonly string[];
  /** Unix seconds. */
  readonly created: number;
  /** Requests that may wait; one more is refused with 429. */
  readonly maxQueue: number;
  /** Default: `least-loaded`. */
  readonly routing?: RouterKind;
  /** No replica may run and none is missing: requests wait for one to come. */
  readonly fromZero?: boolean;
  /** Whether replicas that take no requests now will again without being started. Default: they will not. */
  away?(): boolean;
  nowMs(): number;
}
