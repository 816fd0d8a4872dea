/** `print-config`: the file of a Twinkle Server with all that it does not say, in the names of today. */
import { EXIT, TwinkleError } from '../../errors.js';
import { readTwinkle } from '../../runtime/read-twinkle.js';
import type { Handler } from '../io.js';
import { configFile } from '../twinkle/config-file.js';
import { printJson, printYaml } from '../twinkle/print-tree.js';

/** See {@link Handler}. */
export const run: Handler = async (command, { io }) => {
  const { format: flag, origin = false } = command.opts<{ format?: string; origin?: boolean }>();
  const format = flag ?? (io.env.TWINKLE_PRINT_FORMAT || 'yaml');
  if (format !== 'yaml' && format !== 'json') {
    throw new TwinkleError('USAGE', `expected yaml or json for \`TWINKLE_PRINT_FORMAT\` but received "${format}"`);
  }
  const { resolved } = await readTwinkle(configFile(command, io));
  io.stdout.write(format === 'json' ? printJson(resolved, origin) : await printYaml(resolved, origin));
  return EXIT.ok;
};
