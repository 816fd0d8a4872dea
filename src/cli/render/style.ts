/** Colours for terminals only: none for pipes, files, NO_COLOR or a dumb terminal. */
import { styleText } from 'node:util';
import type { CliIo, Output } from '../io.js';

type Format = Parameters<typeof styleText>[0];

/** Paints text, or leaves it as it is. */
export type Paint = (format: Format, text: string) => string;

/** How to paint on a stream. */
export function painter(stream: Output, env: CliIo['env']): Paint {
  const forced = env.FORCE_COLOR !== undefined && env.FORCE_COLOR !== '' && env.FORCE_COLOR !== '0';
  const refused = (env.NO_COLOR !== undefined && env.NO_COLOR !== '') || env.TERM === 'dumb';
  const coloured = !refused && (forced || stream.isTTY === true);
  // Node 20's styleText has no options; newer ones would ask the process's own stdout unless told not to.
  const paint = styleText as (format: Format, text: string, options?: { validateStream: boolean }) => string;
  return (format, text) => (coloured ? paint(format, text, { validateStream: false }) : text);
}

/** Whether a terminal shows characters of ASCII alone: a dumb one, or one whose locale says so. */
export function isPlain({ TERM, LC_ALL, LC_CTYPE, LANG }: CliIo['env']): boolean {
  const locale = LC_ALL || LC_CTYPE || LANG || '';
  return TERM === 'dumb' || (locale !== '' && !/utf-?8/i.test(locale));
}
