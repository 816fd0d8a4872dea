/** Shows a what-if to people: a table of bundles, or of nodes with the reason of each. Pure. */
import { type Cell, type Column, layOut } from '../render/layout.js';
import type { Paint } from '../render/style.js';
import { wrap } from '../render/width.js';
import { explained } from './explain-view.js';
import type { WhatIf } from './group.js';
import { describeDevices } from './seat-devices.js';

/** Rows of a table; what is more, `--json` has. */
const MOST_ROWS = 64;
/** Nodes that are named in a row. */
const NAMED = 4;

const COLOURS = { placed: 'green', pending: 'yellow', infeasible: 'red' } as const;

const MEANING = {
  pending: 'It waits: it is placed when enough is given back.',
  never: 'It waits, but these nodes could not hold it even if nothing were in use: add nodes or ask for less.',
  infeasible: 'It can never fit these nodes: it is tried again when a node joins.',
} as const;

/**
 * Lines for a terminal.
 * @param explain all nodes one by one, and the choices
 * @param width of the terminal; null: as wide as it gets
 */
export function viewOf(answer: WhatIf, explain: boolean, width: number | null, paint: Paint): string[] {
  const { outcome, strategy, bundles, nodes } = answer;
  const what = `${strategy}, ${bundles.length} ${bundles.length === 1 ? 'bundle' : 'bundles'}`;
  if (outcome === 'placed') {
    const used = new Set(bundles.map(({ node }) => node)).size;
    return [
      `${paint(COLOURS.placed, outcome)}  ${what} on ${used} of ${nodes} ${nodes === 1 ? 'node' : 'nodes'}`,
      ...bundleTable(answer, width, paint),
      ...explained(answer, width, paint),
    ];
  }
  const [first = '', ...rest] = wrap(`${outcome}  ${what}: ${answer.reason}`, width);
  return [
    paint(COLOURS[outcome], outcome) + first.slice(outcome.length),
    ...rest,
    ...reasonTable(answer, explain, width, paint),
    ...wrap(MEANING[answer.fitsWhenEmpty === false && outcome === 'pending' ? 'never' : outcome], width),
  ];
}

function bundleTable({ bundles }: WhatIf, width: number | null, paint: Paint): readonly string[] {
  const columns: Column<WhatIf['bundles'][number]>[] = [
    { head: 'BUNDLE', cell: ({ bundle }) => String(bundle) },
    { head: 'NODE', cell: ({ node }) => node ?? '-' },
    { head: 'DEVICES', cell: ({ devices }) => describeDevices(devices) },
    { head: 'ASKS FOR', cell: ({ resources }) => describe(resources), drop: 1 },
  ];
  return rowsOf(columns, bundles, width, paint);
}

function describe(resources: Readonly<Record<string, number>>): string {
  return (
    Object.entries(resources)
      .map(([name, quantity]) => `${name} ${quantity}`)
      .join(', ') || 'nothing (it rounds to zero)'
  );
}

interface ReasonRow {
  readonly nodes: string[];
  readonly kind: string;
  readonly reason: string;
}

function reasonTable({ reasons }: WhatIf, oneByOne: boolean, width: number | null, paint: Paint): readonly string[] {
  const rows = new Map<string, ReasonRow>();
  for (const { node, kind, reason } of reasons) {
    const key = oneByOne ? node : `${kind} ${reason}`;
    const row = rows.get(key) ?? { nodes: [], kind, reason };
    row.nodes.push(node);
    rows.set(key, row);
  }
  const colour = (kind: string): Cell =>
    kind === 'infeasible' ? { text: kind, format: 'red' } : { text: kind, format: kind === 'busy' ? 'yellow' : 'dim' };
  const columns: Column<ReasonRow>[] = [
    { head: 'NODE', cell: ({ nodes }) => nameNodes(nodes) },
    { head: 'STATE', cell: ({ kind }) => colour(kind) },
    { head: 'WHY', cell: ({ reason }) => reason },
  ];
  const all = [...rows.values()];
  // Reasons are sentences: where they do not fit beside the names they go below.
  const beside = layOut(columns, laid(columns, all.slice(0, MOST_ROWS)), null, (_, text) => text).lines;
  const narrow = width !== null && beside.some((line) => line.length > width);
  const heads = narrow ? columns.slice(0, 2) : columns;
  const below = ({ reason }: ReasonRow): readonly Cell[] => (narrow ? [reason] : []);
  return rowsOf(heads, all, width, paint, below);
}

/** `gpu-0, gpu-1, gpu-2 and 13 more`. */
function nameNodes(nodes: readonly string[]): string {
  const named = nodes.slice(0, nodes.length === NAMED + 1 ? NAMED + 1 : NAMED);
  return named.join(', ') + (nodes.length > named.length ? ` and ${nodes.length - named.length} more` : '');
}

function rowsOf<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  width: number | null,
  paint: Paint,
  below: (row: Row) => readonly Cell[] = () => [],
): readonly string[] {
  const { lines, hidden } = layOut(columns, laid(columns, rows.slice(0, MOST_ROWS), below), width, paint);
  const more = rows.length - MOST_ROWS;
  return [
    ...lines,
    ...(more > 0 ? [paint('dim', `… and ${more} more rows: see --json`)] : []),
    ...(hidden.length > 0 ? [paint('dim', `not shown for lack of width: ${hidden.join(', ')}`)] : []),
  ];
}

function laid<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  below: (row: Row) => readonly Cell[] = () => [],
): { readonly cells: readonly Cell[]; readonly below: readonly Cell[] }[] {
  return rows.map((row) => ({ cells: columns.map((column) => column.cell(row)), below: below(row) }));
}
