/** Where `--watch` shows its pictures: a terminal that is redrawn in place, or a stream that gets each change once. */
import type { CliIo, Output } from '../io.js';
import { painter } from '../render/style.js';
import { clip, wrap } from '../render/width.js';
import type { Picture } from './picture.js';
import type { Viewer } from './watch.js';

const ENTER = '\u001b[?1049h\u001b[?25l';
const LEAVE = '\u001b[?25h\u001b[?1049l';
const HOME = '\u001b[H';
const CLEAR_LINE_REST = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';

/** Whether the stream can be redrawn: a terminal that understands more than lines. */
export function isScreen({ stdout, env }: Pick<CliIo, 'stdout' | 'env'>): boolean {
  return stdout.isTTY === true && env.TERM !== 'dumb';
}

/** Prints a picture when it brings news, and a note when it was not in the picture before. */
export function streamViewer({ stdout, stderr }: Pick<CliIo, 'stdout' | 'stderr'>, separator: string): Viewer {
  let mark: string | null = null;
  let notes: readonly string[] = [];
  return {
    show(picture) {
      for (const note of picture.notes) if (!notes.includes(note)) stderr.write(`${note}\n`);
      notes = picture.notes;
      const now = picture.mark();
      if (now === mark) return;
      stdout.write(`${mark === null ? '' : separator}${picture.text(null)}`);
      mark = now;
    },
    close() {},
  };
}

/** What the screen needs beside its stream. */
export interface ScreenOptions {
  readonly io: Pick<CliIo, 'stdout' | 'env' | 'signals'>;
  /** First words of the head line. */
  readonly title: string;
  /** Stop this process, as Ctrl-Z asks. */
  suspend(): void;
}

/**
 * Redraws the alternate screen of a terminal: every frame is one write over the last one, cut to the size that the terminal has then.
 * A new size is drawn at once; Ctrl-Z leaves the terminal as it was.
 */
export function screenViewer({ io, title, suspend }: ScreenOptions): Viewer {
  const { stdout, signals } = io;
  const paint = painter(stdout, io.env);
  let last: { readonly picture: Picture; readonly wallMs: number } | null = null;
  const redraw = (): void => {
    if (last === null) return;
    // A character in the last column would be erased with the rest of its line.
    const size = { columns: Math.max(1, (stdout.columns ?? 80) - 1), rows: stdout.rows ?? 24 };
    const time = new Date(last.wallMs).toTimeString().slice(0, 8);
    const notes = last.picture.notes.flatMap((note) => wrap(note, size.columns).map((line) => paint('yellow', line)));
    const body = last.picture.text(size.columns).trimEnd().split('\n');
    const lines = cutToSize([paint('dim', `${title}  ${time}`), ...notes, ''], body, size);
    stdout.write(HOME + lines.map((line) => line + CLEAR_LINE_REST).join('\r\n') + CLEAR_BELOW);
  };
  const pause = (): void => {
    stdout.write(LEAVE);
    suspend();
  };
  const resume = (): void => {
    stdout.write(ENTER);
    redraw();
  };
  const listeners = [
    ['SIGWINCH', redraw],
    ['SIGTSTP', pause],
    ['SIGCONT', resume],
  ] as const;
  for (const [signal, listener] of listeners) signals.on(signal, listener);
  stdout.write(ENTER);
  return {
    show(picture, wallMs) {
      last = { picture, wallMs };
      redraw();
    },
    close() {
      for (const [signal, listener] of listeners) signals.off(signal, listener);
      stdout.write(LEAVE);
    },
  };
}

/** Exactly what fits: every line cut to the width, and a last line that tells how many had no room. */
export function cutToSize(
  head: readonly string[],
  body: readonly string[],
  size: Required<Pick<Output, 'columns' | 'rows'>>,
): string[] {
  const lines = [...head, ...body];
  const shown = lines.length <= size.rows ? lines : lines.slice(0, Math.max(0, size.rows - 1));
  const missing = lines.length - shown.length;
  return [...shown, ...(missing > 0 ? [`… ${missing} more lines`] : [])].map((line) => clip(line, size.columns));
}
