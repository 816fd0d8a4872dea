/** `place --replay`: a case a line in, a line out, one by one. */
import { createReadStream } from 'node:fs';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { asTwinkleError, TwinkleError } from '../../errors.js';
import { replayEntries } from '../../scheduler/replay.js';
import { parseCase } from '../../scheduler/replay-case.js';
import type { CliIo } from '../io.js';

/**
 * Replay every line; lines without anything are passed over.
 * @param path of the file; `-`: standard input
 * @throws `PLACEMENT_INVALID` with the number of the line, `USAGE` when the file cannot be read
 */
export async function replayFile(path: string, { stdout, cwd }: CliIo): Promise<void> {
  const input = path === '-' ? process.stdin : createReadStream(resolve(cwd, path));
  const name = path === '-' ? 'standard input' : path;
  // readline alone would never say that the file cannot be read.
  const failed = new Promise<never>((_, reject) => {
    input.once('error', (error: NodeJS.ErrnoException) => reject(unreadable(name, error)));
  });
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
  const all = async (): Promise<void> => {
    let number = 0;
    for await (const line of lines) {
      number++;
      if (line.trim() !== '') stdout.write(`${answerOf(line, `${name}:${number}`)}\n`);
    }
  };
  await Promise.race([all(), failed]);
}

function answerOf(line: string, at: string): string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new TwinkleError('PLACEMENT_INVALID', `${at}: expected a JSON object: ${(error as Error).message}`, {
      cause: error,
    });
  }
  try {
    const parsed = parseCase(value);
    const results = [...replayEntries(parsed)].map(([id, result]) => `${JSON.stringify(id)}:${JSON.stringify(result)}`);
    return `{"case":${JSON.stringify(parsed.name)},"result":{${results.join()}}}`;
  } catch (error) {
    const { code, message } = asTwinkleError(error);
    throw new TwinkleError(code, `${at}: ${message}`, { cause: error });
  }
}

function unreadable(name: string, error: NodeJS.ErrnoException): TwinkleError {
  const why = error.code === 'ENOENT' ? `there is no ${name}` : `${name} cannot be read: ${error.code}`;
  return new TwinkleError('USAGE', `expected a file for \`--replay\` but ${why}`, { cause: error });
}
