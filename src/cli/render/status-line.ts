/** One line at the bottom of a terminal that is written over, and plain lines for everything else. */
import type { Output } from '../io.js';

/** Progress on a stream. On a terminal `update` replaces its line; elsewhere a line appears only when its heading changes. */
export class StatusLine {
  readonly #stream: Output;
  #shown = false;
  #heading = '';

  constructor(stream: Output) {
    this.#stream = stream;
  }

  /** A line that stays. */
  line(text: string): void {
    this.clear();
    this.#heading = text;
    this.#stream.write(`${text}\n`);
  }

  /** Show `heading` and, on a terminal only, the passing `detail`. */
  update(heading: string, detail = ''): void {
    if (this.#stream.isTTY === true) {
      const width = Math.max(20, (this.#stream.columns ?? 80) - 1);
      const text = [...(detail === '' ? heading : `${heading}: ${detail}`)].slice(0, width).join('');
      this.#stream.write(`\r\u001b[2K${text}`);
      this.#shown = true;
    } else if (heading !== this.#heading) {
      this.#stream.write(`${heading}\n`);
    }
    this.#heading = heading;
  }

  /** Remove the passing line. */
  clear(): void {
    if (this.#shown) this.#stream.write('\r\u001b[2K');
    this.#shown = false;
  }
}
