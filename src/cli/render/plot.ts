/** A curve in the characters of a terminal, with numbers at its axes. Pure. */
import { BrailleCanvas, type Canvas, StarCanvas } from './canvas.js';
import type { Paint } from './style.js';

/** A point of a curve; x ascends. */
export interface PlotPoint {
  readonly x: number;
  readonly y: number;
}

/** How a curve is drawn. */
export interface PlotOptions {
  /** Columns in all. */
  readonly width: number;
  /** Rows of the curve, odd; its horizontal axis takes two more. */
  readonly height: number;
  /** Characters of ASCII alone. */
  readonly ascii: boolean;
  readonly paint: Paint;
}

/** Lines; none for no points. What lies closer together than the characters is shown from its lowest to its highest. */
export function plot(points: readonly PlotPoint[], options: PlotOptions): string[] {
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined) return [];
  const { ascii, height, paint, width } = options;
  const ys = points.map(({ y }) => y);
  const [low, high] = apart(Math.min(...ys), Math.max(...ys));
  const label = labeller(low, high);
  const labels = new Map([
    [0, label(high)],
    [(height - 1) / 2, label((low + high) / 2)],
    [height - 1, label(low)],
  ]);
  const margin = Math.max(...Array.from(labels.values(), ({ length }) => length));
  const columns = Math.max(8, width - margin - 2);
  const canvas = ascii ? new StarCanvas(columns, height) : new BrailleCanvas(columns, height);
  trace(canvas, points, low, high);
  const marks = ascii
    ? { tick: '+', side: '|', corner: '+', floor: '-' }
    : { tick: '┤', side: '│', corner: '└', floor: '─' };
  const rows = canvas.rows().map((row, at) => {
    const text = labels.get(at) ?? '';
    const axis = labels.has(at) ? marks.tick : marks.side;
    return `${text.padStart(margin)} ${axis}${row === '' ? '' : paint('cyan', row)}`;
  });
  const indent = ' '.repeat(margin + 1);
  return [
    ...rows,
    `${indent}${marks.corner}${marks.floor.repeat(columns)}`,
    `${indent} ${ends(first.x, last.x, columns)}`,
  ];
}

/** A level curve lies in the middle of some room. */
function apart(low: number, high: number): [number, number] {
  if (low < high) return [low, high];
  const room = Math.abs(low) / 2 || 1;
  return [low - room, high + room];
}

/** Values of an axis, with as many digits as tell a hundredth of it. */
function labeller(low: number, high: number): (y: number) => string {
  const decimals = Math.max(0, 2 - Math.floor(Math.log10(high - low)));
  const short = decimals <= 9 && Math.max(Math.abs(low), Math.abs(high)) < 1e6;
  return (y) => (short ? y.toFixed(decimals) : y.toExponential(3));
}

/** The first number on the left, the last one on the right. */
function ends(first: number, last: number, columns: number): string {
  const [left, right] = [String(first), String(last)];
  return first === last ? left : left + right.padStart(columns - left.length);
}

function trace(canvas: Canvas, points: readonly PlotPoint[], low: number, high: number): void {
  const [from, to] = [points[0]?.x ?? 0, points.at(-1)?.x ?? 0];
  const dots = points.map(({ x, y }) => ({
    x: to === from ? 0 : ((x - from) / (to - from)) * (canvas.width - 1),
    y: ((high - y) / (high - low)) * (canvas.height - 1),
  }));
  dots.forEach((end, at) => {
    const start = dots[at - 1] ?? end;
    for (let column = Math.round(start.x); column <= Math.round(end.x); column++) {
      const [a, b] = [between(start, end, column - 0.5), between(start, end, column + 0.5)];
      for (let row = Math.round(Math.min(a, b)); row <= Math.round(Math.max(a, b)); row++) canvas.set(column, row);
    }
  });
}

/** Height of a line at a place, or at the end that is nearest to it. */
function between(start: PlotPoint, end: PlotPoint, x: number): number {
  if (x <= start.x) return start.y;
  return x >= end.x ? end.y : start.y + ((end.y - start.y) * (x - start.x)) / (end.x - start.x);
}
