/** Numbers that a client sends for the tokens of its sequences, in any of the forms that it may: put in the places of the tokens. Pure. */
import { TwinkleError } from '../../errors.js';
import { shown } from '../arguments.js';
import { IGNORED } from '../feature-fields.js';

/** A sequence that numbers are for. */
export interface Place {
  readonly labels: readonly number[];
  /** Its entries as they were sent, with padding. */
  readonly sent: number;
}

interface Options {
  /** Whether one number may stand for all tokens of a sequence. */
  readonly scalars: boolean;
}

const refused = (message: string, param: string): TwinkleError =>
  new TwinkleError('INVALID_REQUEST', message, { param });

/**
 * Numbers at the places of tokens, 0 where none counts. For a sequence may come one number for all its tokens; one for each token that
 * counts; or one for each of its tokens, filled up on the right to the longest of the batch or beyond.
 * @param name of the argument, for messages
 * @throws `INVALID_REQUEST` for another length, which names the sequence
 */
export function align(
  name: string,
  data: unknown,
  places: readonly Place[],
  { scalars }: Options,
): readonly (readonly number[])[] {
  const longest = places.reduce((most, { sent }) => Math.max(most, sent), 0);
  const rows = rowsOf(name, data, places.length);
  return places.map((place, at) =>
    alignOne(`\`${name}\` of sequence ${at}`, name, rows[at] ?? [], place, longest, scalars),
  );
}

/** One row for each sequence; a batch may be nested once more, as passes of a forward give it back. */
function rowsOf(name: string, data: unknown, count: number): readonly (readonly unknown[])[] {
  const list: readonly unknown[] | null = Array.isArray(data) ? data : typeof data === 'number' ? [data] : null;
  if (list === null)
    throw refused(`expected a list for each sequence for \`${name}\` but received ${shown(data)}`, name);
  const rows = list.flatMap((one) => (Array.isArray(one) && Array.isArray(one[0]) ? (one as unknown[]) : [one]));
  if (rows.length !== count) {
    const kind = rows.some((one) => Array.isArray(one)) ? 'lists' : 'numbers';
    throw refused(
      `expected ${count} entries, one for each sequence, for \`${name}\` but received ${rows.length} ${kind}`,
      name,
    );
  }
  return rows.map((one) => (Array.isArray(one) ? (one as unknown[]) : [one]));
}

function alignOne(
  what: string,
  name: string,
  row: readonly unknown[],
  { labels, sent }: Place,
  longest: number,
  scalars: boolean,
): readonly number[] {
  const wrong = row.findIndex((one) => typeof one !== 'number' || !Number.isFinite(one));
  if (wrong !== -1)
    throw refused(`expected finite numbers for ${what} but received ${shown(row[wrong])} at position ${wrong}`, name);
  const numbers = row as readonly number[];
  const counting = labels.reduce((sum, label) => sum + (label === IGNORED ? 0 : 1), 0);
  const at = (read: (token: number, place: number) => number | undefined) => {
    let token = 0;
    return labels.map((label, place) => (label === IGNORED ? 0 : (read(token++, place) ?? 0)));
  };
  const { length } = numbers;
  if (length === counting) return at((token) => numbers[token]);
  if (length === sent || length === labels.length || length >= longest) return at((_, place) => numbers[place]);
  if (length === 1 && scalars) return at(() => numbers[0]);
  const one = scalars ? '1 number, ' : '';
  const full = sent === longest ? `${longest}` : `${sent} or at least ${longest}`;
  throw refused(
    `expected ${one}${counting} (one for each token that counts) or ${full} (one for each of its tokens) for ${what} but received ${length}`,
    name,
  );
}
