/** Bundles as typed on a command line: JSON, and Python's `[…] * 4` and `[…] + […]`. Nothing is evaluated. Pure. */
import { TextReader } from './text-reader.js';
import { MAX_BUNDLES } from './validate.js';
import { invalid } from './written.js';

/**
 * Read `[{"GPU":1}]*4 + [{"CPU":1}]`.
 * @returns what is written, unchecked: `compileGroup` looks into the bundles
 * @throws `PLACEMENT_INVALID` with the column, which begins at 1
 */
export function parseBundles(text: string): unknown[] {
  const reader = new TextReader(text, (what, at, found) =>
    invalid(`bundles, column ${at + 1}: expected ${what} but ${found}; write [{"GPU": 1}]*4 or JSON`),
  );
  const bundles: unknown[] = [];
  do {
    const { list, times, at } = term(reader);
    if (bundles.length + list.length * times > MAX_BUNDLES) throw reader.error(`at most ${MAX_BUNDLES} bundles`, at);
    for (let repeat = 0; repeat < times; repeat++) bundles.push(...list);
  } while (reader.skip('+'));
  if (!reader.atEnd()) throw reader.error('+, * or the end');
  return bundles;
}

/** A list, how often, and where that stands. */
function term(reader: TextReader): { readonly list: unknown[]; readonly times: number; readonly at: number } {
  const before = repetition(reader);
  if (before !== null && !reader.skip('*')) throw reader.error('* after the number');
  reader.blanks();
  const start = reader.at;
  const list = reader.list();
  if (before !== null) return { list, ...before };
  if (!reader.skip('*')) return { list, times: 1, at: start };
  const after = repetition(reader);
  if (after === null) throw reader.error('a whole number after *');
  return { list, ...after };
}

function repetition(reader: TextReader): { readonly times: number; readonly at: number } | null {
  reader.blanks();
  const { at } = reader;
  const times = reader.integer();
  if (times === null) return null;
  if (times < 1) throw reader.error('1 or more', at);
  return { times, at };
}
