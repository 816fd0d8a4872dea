/** Dots in the characters of a terminal. Knows no curve. */

/** Dots from the left and from above. */
export interface Canvas {
  /** Dots. */
  readonly width: number;
  readonly height: number;
  set(column: number, row: number): void;
  /** Lines of text, without blanks at their ends. */
  rows(): string[];
}

/** Bits of U+2800 on, by row and column of a character. */
const DOTS = [
  [0x01, 0x08],
  [0x02, 0x10],
  [0x04, 0x20],
  [0x40, 0x80],
] as const;

/** Two by four dots a character. */
export class BrailleCanvas implements Canvas {
  readonly width: number;
  readonly height: number;
  readonly #cells: Uint8Array;

  /** @param columns of characters @param lines of characters */
  constructor(
    private readonly columns: number,
    private readonly lines: number,
  ) {
    this.width = columns * 2;
    this.height = lines * 4;
    this.#cells = new Uint8Array(columns * lines);
  }

  set(column: number, row: number): void {
    const at = (row >> 2) * this.columns + (column >> 1);
    const dot = DOTS[row & 3]?.[column & 1] ?? 0;
    this.#cells[at] = (this.#cells[at] ?? 0) | dot;
  }

  rows(): string[] {
    return Array.from({ length: this.lines }, (_, line) =>
      Array.from(this.#cells.subarray(line * this.columns, (line + 1) * this.columns), (bits) =>
        bits === 0 ? ' ' : String.fromCodePoint(0x2800 + bits),
      )
        .join('')
        .trimEnd(),
    );
  }
}

/** A `*` a dot. */
export class StarCanvas implements Canvas {
  readonly #lines: string[][];

  constructor(
    readonly width: number,
    readonly height: number,
  ) {
    this.#lines = Array.from({ length: height }, () => Array.from({ length: width }, () => ' '));
  }

  set(column: number, row: number): void {
    const line = this.#lines[row];
    if (line !== undefined) line[column] = '*';
  }

  rows(): string[] {
    return this.#lines.map((line) => line.join('').trimEnd());
  }
}
