/** The nearest known word to a mistyped one. */
import { distance } from 'fastest-levenshtein';

/**
 * The candidate that the writer probably meant, or null when none is near.
 * Near: at most a third of the letters differ (and always at least one may), or one begins with the other.
 */
export function nearest(word: string, candidates: Iterable<string>): string | null {
  const typed = word.toLowerCase();
  const allowed = Math.max(1, Math.floor(typed.length / 3));
  let best: string | null = null;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    const known = candidate.toLowerCase();
    // Swapped letters (prot, hots) are one slip, though two edits.
    const letters = sorted(typed) === sorted(known) ? Math.min(1, distance(typed, known)) : distance(typed, known);
    const prefix = typed.length >= 3 && (known.startsWith(typed) || typed.startsWith(known)) && known.length >= 3;
    if ((letters <= allowed || prefix) && letters < bestDistance) {
      best = candidate;
      bestDistance = letters;
    }
  }
  return best;
}

function sorted(word: string): string {
  return [...word].sort().join('');
}

/** `; did you mean \`x\`?`, or an empty string. Meant to end a sentence about an unknown word. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const found = nearest(word, candidates);
  return found === null ? '' : `; did you mean \`${found}\`?`;
}
