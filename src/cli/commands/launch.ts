/** `launch`: `serve` with a file, which has to be a Twinkle Server's. */
import type { Command } from 'commander';
import type { WrittenEngineArg } from '../../config/compile.js';
import type { CliContext } from '../io.js';
import { configFile } from '../twinkle/config-file.js';
import { serve } from './serve.js';

/**
 * Serve what the file describes until a signal or a fatal error.
 * @returns the exit code
 * @throws `USAGE` when no file is named; `CONFIG_INVALID` for one that is missing, wrong, or of another kind
 */
export async function launch(
  command: Command,
  engineArgs: readonly WrittenEngineArg[],
  context: CliContext,
): Promise<number> {
  const { file } = configFile(command, context.io);
  return await serve(command, engineArgs, context, { configFile: file, onlyTwinkle: true });
}
