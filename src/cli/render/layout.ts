/** Tables that fit a terminal: coloured cells, lines below a row, and columns that give way when there is no room. Pure. */
import type { styleText } from 'node:util';
import type { Paint } from './style.js';
import { displayWidth, printable, wrap } from './width.js';

type Format = Parameters<typeof styleText>[0];

/** Plain text, or text in a colour. Control characters in it are replaced. */
export type Cell = string | { readonly text: string; readonly format: Format };

/** A column and how it makes its cells. */
export interface Column<Row> {
  readonly head: string;
  cell(row: Row): Cell;
  /** The higher, the earlier the column is left out where the table is too wide. Absent: it stays. */
  readonly drop?: number;
  /** Its cells change by themselves (an age): alone they are no news. */
  readonly passing?: true;
}

/** A row's cells and what stands below it, indented. */
export interface Laid {
  readonly cells: readonly Cell[];
  readonly below: readonly Cell[];
}

const GAP = '  ';
const INDENT = '    ';

/**
 * Rows as lines, the head first.
 * @param width of the terminal; null: as wide as it gets
 * @returns the lines, and the heads of the columns that had to give way
 */
export function layOut<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Laid[],
  width: number | null,
  paint: Paint,
): { readonly lines: readonly string[]; readonly hidden: readonly string[] } {
  const widths = columns.map(({ head }, at) =>
    rows.reduce((most, { cells }) => Math.max(most, displayWidth(textOf(cells[at]))), head.length),
  );
  const kept = new Set(columns.keys());
  const total = (): number => [...kept].reduce((sum, at) => sum + (widths[at] ?? 0) + GAP.length, -GAP.length);
  const first = [...kept]
    .filter((at) => columns[at]?.drop !== undefined)
    .sort((a, b) => (columns[b]?.drop ?? 0) - (columns[a]?.drop ?? 0));
  for (const at of first) {
    if (width === null || total() <= width) break;
    kept.delete(at);
  }
  const line = (cells: readonly Cell[]): string => joined(cells, [...kept], widths, paint);
  const lines = [line(columns.map(({ head }) => head))];
  for (const { cells, below } of rows) {
    lines.push(line(cells), ...below.flatMap((cell) => belowLines(cell, width, paint)));
  }
  return { lines, hidden: columns.filter((_, at) => !kept.has(at)).map(({ head }) => head) };
}

function belowLines(cell: Cell, width: number | null, paint: Paint): string[] {
  return wrap(textOf(cell), width === null ? null : width - INDENT.length).map((text) => {
    return INDENT + painted(typeof cell === 'string' ? text : { ...cell, text }, paint);
  });
}

function joined(cells: readonly Cell[], kept: readonly number[], widths: readonly number[], paint: Paint): string {
  let line = '';
  let owed = 0;
  for (const at of kept) {
    const cell = cells[at] ?? '';
    const text = painted(cell, paint);
    // Blanks only before something: no line ends in them.
    if (text !== '') line += ' '.repeat(owed) + text;
    const rest = (widths[at] ?? 0) - displayWidth(textOf(cell)) + GAP.length;
    owed = text === '' ? owed + rest : rest;
  }
  return line;
}

function textOf(cell: Cell | undefined): string {
  return printable(cell === undefined ? '' : typeof cell === 'string' ? cell : cell.text);
}

function painted(cell: Cell, paint: Paint): string {
  const text = textOf(cell);
  return typeof cell === 'string' || text === '' ? text : paint(cell.format, text);
}
