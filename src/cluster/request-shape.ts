/** When two requests are the same to the scheduler, and which of them others cannot help. Pure. */
import type { GroupRequest, LabelSelector, Resources, TaskRequest } from '../scheduler/types.js';

/** What a lease asks for, and what of it it keeps. */
export interface LeaseRequest extends TaskRequest {
  /** At most `resources`; may be empty. */
  readonly held: Resources;
}

/** What waits for a place. */
export type PlacementRequest = GroupRequest | LeaseRequest;

/** Whether a single node is asked for by the rules of tasks. */
export function isLease(request: PlacementRequest): request is LeaseRequest {
  return 'held' in request;
}

/** Equal for requests that every cluster answers alike. Unequal ones may still be alike. */
export function shapeKey(request: PlacementRequest): string {
  if (isLease(request)) {
    // Which node is preferred decides where it goes, never whether: thousands of boxes ask in one shape.
    return JSON.stringify(['lease', bundleKey(request.resources), request.strategy, request.selectors]);
  }
  const { strategy, softTarget, domain, occupied, tensorParallel, selectors } = request;
  const away = [...occupied].sort();
  const bundles = request.bundles.map((bundle, index) => bundleKey(bundle, selectors?.[index]));
  return JSON.stringify([strategy, softTarget, domain, away, tensorParallel, repeats(bundles)]);
}

/**
 * Whether taking something elsewhere can only make it harder to place: true for equal bundles and for one sum. Unequal bundles are placed
 * greedily, and there a choice that turns out otherwise may end better.
 */
export function isMonotone(request: PlacementRequest): boolean {
  if (isLease(request)) return true;
  const { strategy, bundles, selectors } = request;
  if (strategy === 'STRICT_PACK' || bundles.length === 1) return true;
  return repeats(bundles.map((bundle, index) => bundleKey(bundle, selectors?.[index]))).length === 1;
}

function bundleKey(bundle: Resources, selector: LabelSelector = []): string {
  const wanted = [...bundle].map(([name, units]) => `${name}=${units}`).join(',');
  return selector.length === 0 ? wanted : `${wanted} ${JSON.stringify(selector)}`;
}

/** `[a, a, b]` → `[[a, 2], [b, 1]]`. */
function repeats(keys: readonly string[]): [string, number][] {
  const runs: [string, number][] = [];
  for (const key of keys) {
    const last = runs.at(-1);
    if (last !== undefined && last[0] === key) last[1] += 1;
    else runs.push([key, 1]);
  }
  return runs;
}
