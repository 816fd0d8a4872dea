/** The text of a configuration file, or of standard input. */
import { readFile } from 'node:fs/promises';
import { TwinkleError } from '../errors.js';

/**
 * @param file as it was named; `-`: standard input
 * @param path absolute
 * @param expected what should be there, for messages
 * @throws `CONFIG_INVALID`
 */
export async function configText(file: string, path: string, expected: string): Promise<string> {
  if (file === '-') {
    const { text } = await import('node:stream/consumers');
    return await text(process.stdin);
  }
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? `there is no ${file}` : `${file} cannot be read: ${code ?? String(error)}`;
    throw new TwinkleError('CONFIG_INVALID', `expected ${expected}, but ${why}`, { cause: error });
  }
}
