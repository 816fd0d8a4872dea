/** Lists of small numbers as people write them: `0-3,5`. Knows nothing of devices. */
import { TwinkleError } from '../errors.js';

const PART = /^(\d{1,5})(?:-(\d{1,5}))?$/;

/**
 * Parse `0-3,5` into `[0, 1, 2, 3, 5]`, in the order written.
 * @param name what the text is for, e.g. `--gpus`; appears in the message
 * @throws `CONFIG_INVALID` for an empty list, a descending range, a number named twice or anything else
 */
export function parseRanges(text: string, name: string): number[] {
  const fail = (why: string): never => {
    throw new TwinkleError(
      'CONFIG_INVALID',
      `expected numbers or ranges such as "0-3,5" for \`${name}\` but received "${text}": ${why}`,
    );
  };
  const numbers: number[] = [];
  for (const part of text.split(',')) {
    const match = PART.exec(part.trim());
    if (match === null) return fail(part.trim() === '' ? 'a part is empty' : `"${part.trim()}" is neither`);
    const first = Number(match[1]);
    const last = match[2] === undefined ? first : Number(match[2]);
    if (last < first) return fail(`"${part.trim()}" runs backwards; write ${last}-${first}`);
    for (let n = first; n <= last; n++) {
      if (numbers.includes(n)) return fail(`${n} is named twice`);
      numbers.push(n);
    }
  }
  return numbers;
}

/** The inverse of {@link parseRanges} for display: `[0, 1, 2, 5]` becomes `0-2,5`; the order is kept. */
export function formatRanges(numbers: readonly number[]): string {
  const parts: string[] = [];
  for (let i = 0; i < numbers.length; ) {
    let end = i;
    while (end + 1 < numbers.length && numbers[end + 1] === (numbers[end] as number) + 1) end++;
    parts.push(end === i ? String(numbers[i]) : `${numbers[i]}-${numbers[end]}`);
    i = end + 1;
  }
  return parts.join(',');
}
