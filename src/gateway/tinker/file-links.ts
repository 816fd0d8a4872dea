/** Links to files that whoever has them may read for a while, as the SDK fetches them without a key. Pure but for the clock. */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { TwinkleError } from '../../errors.js';

/** What a link leads to. */
export interface Linked {
  readonly tenant: string;
  /** A checkpoint, as text. */
  readonly checkpoint: string;
  readonly file: string;
}

export class FileLinks {
  /** Links end with the server. */
  readonly #secret = randomBytes(32);

  /** @param nowMs Unix ms */
  constructor(private readonly nowMs: () => number) {}

  /** One path segment. @param until Unix ms */
  seal(linked: Linked, until: number): string {
    const text = Buffer.from(JSON.stringify([linked.tenant, linked.checkpoint, linked.file, until])).toString(
      'base64url',
    );
    return `${text}.${this.#sign(text).toString('base64url')}`;
  }

  /** @throws `CHECKPOINT_NOT_FOUND` for what is no link, or none any more */
  open(sealed: string): Linked {
    const [text = '', signature = ''] = sealed.split('.');
    const given = Buffer.from(signature, 'base64url');
    const own = this.#sign(text);
    if (given.length === own.length && timingSafeEqual(given, own)) {
      const [tenant, checkpoint, file, until] = JSON.parse(Buffer.from(text, 'base64url').toString()) as [
        string,
        string,
        string,
        number,
      ];
      if (until > this.nowMs()) return { tenant, checkpoint, file };
    }
    throw new TwinkleError('CHECKPOINT_NOT_FOUND', 'this link has ended: ask for external_weights_urls again');
  }

  #sign(text: string): Buffer {
    return createHmac('sha256', this.#secret).update(text).digest();
  }
}
