/** Which replica takes a request: the least loaded one with room. Pure. */

export interface Candidate {
  readonly width: number;
  hasRoom(width: number): boolean;
}

/** The index of the chosen candidate, or null when none has room. Ties go to the one after `last`, in turn. */
export function chooseReplica(candidates: readonly Candidate[], width: number, last: number): number | null {
  let best: number | null = null;
  for (let step = 1; step <= candidates.length; step++) {
    const at = (last + step) % candidates.length;
    const candidate = candidates[at];
    if (candidate?.hasRoom(width) !== true) continue;
    if (best === null || candidate.width < (candidates[best]?.width ?? Number.POSITIVE_INFINITY)) best = at;
  }
  return best;
}
