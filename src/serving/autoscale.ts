/**
 * How many replicas a model should have, by Ray Serve's rules: requests over target, a wish that must hold for a delay, and bounds. Pure: the
 * clock and the load are given. Knows nothing of how replicas come and go.
 */

/** How a model scales: `Autoscaling` of the configuration, which serving does not know. */
export interface ScalePolicy {
  readonly min: number;
  readonly max: number;
  readonly initial: number;
  readonly targetOngoing: number;
  readonly upscaleDelayMs: number;
  readonly downscaleDelayMs: number;
  readonly downscaleToZeroDelayMs: number;
  readonly upscalingFactor: number;
  readonly downscalingFactor: number;
}

/** What the policy remembers between two looks. */
export interface ScaleMemory {
  /** Replicas that there should be. */
  readonly wanted: number;
  /** Another number has been wished for since then, without a break in that direction; null: none is. */
  readonly wish: { readonly direction: 'up' | 'down'; readonly sinceMs: number } | null;
}

/** What it sees. */
export interface ScaleView {
  readonly nowMs: number;
  /** Requests that run or wait, as one number of the last while (load-window.ts). */
  readonly load: number;
  /** Somebody waits this moment. */
  readonly waiting: boolean;
  /** Replicas that take requests. */
  readonly ready: number;
}

/** Before the first look. */
export function newScale({ initial }: ScalePolicy): ScaleMemory {
  return { wanted: initial, wish: null };
}

/** One look. */
export function decideScale(policy: ScalePolicy, memory: ScaleMemory, view: ScaleView): ScaleMemory {
  const { wanted } = memory;
  if (wanted === 0) {
    // Nobody can be served by nobody: no delay.
    const first = Math.max(1, bounded(Math.ceil(view.load / policy.targetOngoing), policy));
    return view.waiting ? { wanted: first, wish: null } : { wanted, wish: null };
  }
  const desired = desiredReplicas(policy, view.ready, view.load);
  if (desired === wanted) return { wanted, wish: null };
  const direction = desired > wanted ? 'up' : 'down';
  const sinceMs = memory.wish?.direction === direction ? memory.wish.sinceMs : view.nowMs;
  const held = view.nowMs - sinceMs;
  if (direction === 'up') {
    return held >= policy.upscaleDelayMs ? { wanted: desired, wish: null } : { wanted, wish: { direction, sinceMs } };
  }
  // The last one has a delay of its own, so it does not go along with others.
  const last = wanted === 1;
  const delay = last ? policy.downscaleToZeroDelayMs : policy.downscaleDelayMs;
  if (held < delay) return { wanted, wish: { direction, sinceMs } };
  return { wanted: last ? desired : Math.max(1, desired), wish: null };
}

/** Replicas that a load asks for, before any delay. */
export function desiredReplicas(policy: ScalePolicy, ready: number, load: number): number {
  const raw = load / policy.targetOngoing;
  if (ready === 0) return bounded(Math.ceil(raw), policy);
  const factor = raw > ready ? policy.upscalingFactor : policy.downscalingFactor;
  let desired = Math.ceil(ready + factor * (raw - ready));
  // A small factor would never take the last step down.
  if (Math.ceil(raw) < ready && desired === ready) desired -= 1;
  // Nor may a large one take the last replica from under a load.
  return bounded(load > 0 ? Math.max(1, desired) : desired, policy);
}

function bounded(replicas: number, { min, max }: ScalePolicy): number {
  return Math.min(max, Math.max(min, replicas));
}
