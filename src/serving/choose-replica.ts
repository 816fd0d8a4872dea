/** Which replica takes a request: the least loaded one with room, or the one that has computed its beginning before. Pure. */

export interface Candidate {
  readonly width: number;
  hasRoom(width: number): boolean;
}

/** The index of the chosen candidate, or null when none has room. Ties go to the one after `last`, in turn. */
export function chooseReplica(candidates: readonly Candidate[], width: number, last: number): number | null {
  return cheapest(candidates, width, last, (candidate) => candidate.width);
}

/** Choices that a replica may run beyond the least loaded one for a prompt that it has seen whole. */
const WORTH = 8;
/** The same as a share of what the least loaded one runs: where all are busy, a difference weighs less. */
const WORTH_SHARE = 0.5;
/** A prompt of fewer blocks (about 256 tokens) is soon computed: it is worth as much less. */
const WHOLE_BLOCKS = 8;

/**
 * The same, where each candidate has computed `matched` of the prompt's `blocks` before: each costs what it runs and what it would have to
 * compute, so that a beginning goes where it is known unless that replica is markedly busier.
 */
export function choosePrefixed(
  candidates: readonly Candidate[],
  width: number,
  last: number,
  blocks: number,
  matched: readonly number[],
): number | null {
  const least = chooseReplica(candidates, width, last);
  if (least === null || blocks === 0) return least;
  const worth = (WORTH + WORTH_SHARE * (candidates[least]?.width ?? 0)) / Math.max(blocks, WHOLE_BLOCKS);
  return cheapest(candidates, width, last, (candidate, at) => candidate.width - worth * (matched[at] ?? 0));
}

function cheapest<C extends Candidate>(
  candidates: readonly C[],
  width: number,
  last: number,
  cost: (candidate: C, at: number) => number,
): number | null {
  let best: number | null = null;
  let least = Number.POSITIVE_INFINITY;
  for (let step = 1; step <= candidates.length; step++) {
    const at = (last + step) % candidates.length;
    const candidate = candidates[at];
    if (candidate?.hasRoom(width) !== true) continue;
    const costs = cost(candidate, at);
    if (costs < least) {
      best = at;
      least = costs;
    }
  }
  return best;
}
