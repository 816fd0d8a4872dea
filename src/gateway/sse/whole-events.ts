/** Bytes of an event stream → text of whole events, so that a comment or an error of ours never lands inside of one. Pure. */
import { StringDecoder } from 'node:string_decoder';

/** Where the last whole event of `text` ends; 0: there is none. */
function endOfEvents(text: string): number {
  const plain = text.lastIndexOf('\n\n');
  const wide = text.lastIndexOf('\r\n\r\n');
  return Math.max(plain < 0 ? 0 : plain + 2, wide < 0 ? 0 : wide + 4);
}

/** One per stream. */
export class WholeEvents {
  readonly #decoder = new StringDecoder('utf8');
  #rest = '';

  /** The events that became whole with these bytes; may be empty. */
  take(bytes: Uint8Array): string {
    const text = this.#rest + this.#decoder.write(bytes as Buffer);
    const end = endOfEvents(text);
    this.#rest = text.slice(end);
    return text.slice(0, end);
  }

  /** What is left when the stream has ended well, ended as an event is. */
  rest(): string {
    const text = this.#rest + this.#decoder.end();
    this.#rest = '';
    return text === '' ? '' : `${text}\n\n`;
  }
}
