/** A file from the door of another box. */
import { open, rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { TwinkleError } from '../../errors.js';
import type { Knocked } from '../../transport/door-knock.js';

/** A stream from the box that has it. */
export type Knock = (want: object) => Promise<Knocked>;

/**
 * Write what is wanted to that path, whose folder is there. When this throws, nothing is left of it.
 * @param want answered with the `size` of what comes, in bytes
 * @throws what the knock rejects with, `STORAGE_FAILED`: it cannot be written, `CHANNEL_CLOSED`: the stream ended early
 */
export async function fetchFile(knock: Knock, want: object, path: string): Promise<void> {
  const { stream, answer } = await knock(want);
  try {
    const file = await open(path, 'w', 0o600);
    const out = file.createWriteStream();
    await pipeline(stream, out);
    if (out.bytesWritten !== answer.size) throw early(out.bytesWritten, answer.size);
  } catch (error) {
    await rm(path, { force: true });
    if (error instanceof TwinkleError) throw error;
    if ((error as NodeJS.ErrnoException).code === 'ERR_STREAM_PREMATURE_CLOSE') throw early('some', answer.size);
    throw new TwinkleError('STORAGE_FAILED', `${path} cannot be written: ${String(error)}`, { cause: error });
  } finally {
    stream.destroy();
  }
}

function early(came: number | string, size: unknown): TwinkleError {
  return new TwinkleError('CHANNEL_CLOSED', `the stream from another box ended after ${came} of ${String(size)} bytes`);
}
