/** A picture of the moment: JSON for programs or a table for people, and the mark by which `--watch` knows news. Pure. */
import { type Cell, type Column, type Laid, layOut } from '../render/layout.js';
import type { Paint } from '../render/style.js';
import type { Fields } from './filter.js';
import type { Selection } from './selection.js';

/** A kind of thing that can be listed. Its rows are what `--json` prints. */
export interface Kind<Row extends object> {
  /** Plural, for sentences: `placement groups`. */
  readonly things: string;
  /** The words that `state` of a row may be. */
  readonly states: readonly string[];
  readonly fields: Fields<Row>;
  /** Fields that change by themselves (ages): alone they are no news. */
  readonly passing: readonly (keyof Row)[];
}

/** What there is now. */
export interface Moment<Row> {
  readonly rows: readonly Row[];
  /** Who could not be asked, and why. */
  readonly notes: readonly string[];
  /** What the table says when there are no rows at all. */
  readonly nothing: string;
  /** Columns for these rows: one that would be empty in each may be left out. */
  columns(rows: readonly Row[]): readonly Column<Row>[];
  /** Lines under a row. */
  below?(row: Row): readonly Cell[];
  /** What `--json` prints for the rows; absent: the array of them. */
  document?(rows: readonly Row[]): unknown;
  /** Lines after the table. */
  after?(paint: Paint): readonly string[];
}

/** A drawn moment. */
export interface Picture {
  /** What stdout gets, ending in a line feed. @param width columns of the terminal; null: no limit */
  text(width: number | null): string;
  /** Two pictures of the same mark bring no news. */
  mark(): string;
  readonly notes: readonly string[];
}

const plainly: Paint = (_, text) => text;

/** What `--json` prints: one document on one line. */
export function drawJson<Row extends object>(kind: Kind<Row>, moment: Moment<Row>, selection: Selection): Picture {
  const rows = moment.rows.filter((row) => selection.accepts(row)).slice(0, selection.limit);
  const still = Object.fromEntries(kind.passing.map((key) => [key, null]));
  return {
    text: () => `${JSON.stringify(moment.document?.(rows) ?? rows)}\n`,
    mark: () => JSON.stringify(rows.map((row) => ({ ...row, ...still }))),
    notes: moment.notes,
  };
}

/** What people get: a table, and what did not make it into the table. */
export function drawTable<Row extends object>(
  { things }: Pick<Kind<Row>, 'things'>,
  moment: Moment<Row>,
  selection: Selection,
  paint: Paint,
): Picture {
  const matching = moment.rows.filter((row) => selection.accepts(row));
  const rows = matching.slice(0, selection.limit);
  const columns = moment.columns(rows);
  const lay = (some: readonly Column<Row>[]): Laid[] =>
    rows.map((row) => ({ cells: some.map((column) => column.cell(row)), below: moment.below?.(row) ?? [] }));
  const table = (width: number | null): string[] => {
    if (rows.length === 0)
      return [moment.rows.length === 0 ? moment.nothing : `none of ${moment.rows.length} ${things} matches`];
    const { lines, hidden } = layOut(columns, lay(columns), width, paint);
    const more = matching.length - rows.length;
    return [
      ...lines,
      ...(more > 0 ? [paint('dim', `… ${more} more (--limit ${selection.limit})`)] : []),
      ...(hidden.length > 0 ? [paint('dim', `no room for ${hidden.join(', ')} (--json has all)`)] : []),
    ];
  };
  return {
    text: (width) => `${[...table(width), ...(moment.after?.(paint) ?? [])].join('\n')}\n`,
    mark: () => {
      const lasting = columns.filter(({ passing }) => passing !== true);
      const { lines } = layOut(lasting, lay(lasting), null, plainly);
      return [moment.rows.length, matching.length, ...lines, ...(moment.after?.(plainly) ?? [])].join('\n');
    },
    notes: moment.notes,
  };
}
