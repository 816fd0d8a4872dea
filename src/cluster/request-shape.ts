/** When two requests are the same to the scheduler, and which of them others cannot help. Pure. */
import type { GroupRequest, LabelSelector, Resources } from '../scheduler/types.js';

/** Equal for requests that every cluster answers alike. Unequal ones may still be alike. */
export function shapeKey(request: GroupRequest): string {
  const { strategy, softTarget, domain, occupied, tensorParallel, selectors } = request;
  const away = [...occupied].sort();
  const bundles = request.bundles.map((bundle, index) => bundleKey(bundle, selectors?.[index]));
  return JSON.stringify([strategy, softTarget, domain, away, tensorParallel, repeats(bundles)]);
}

/**
 * Whether taking something elsewhere can only make it harder to place: true for equal bundles and for one sum. Unequal bundles are placed
 * greedily, and there a choice that turns out otherwise may end better.
 */
export function isMonotone({ strategy, bundles, selectors }: GroupRequest): boolean {
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
