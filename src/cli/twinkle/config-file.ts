/** Which file a command about a Twinkle Server means. */
import type { Command } from 'commander';
import { TwinkleError } from '../../errors.js';
import type { TwinkleRequest } from '../../runtime/read-twinkle.js';
import type { CliIo } from '../io.js';

/** Flags that say it, and what comes before them. */
export function addConfigFlag(command: Command): Command {
  return command
    .argument('[FILE]', 'its YAML file; `-`: standard input')
    .option('-c, --config <FILE>', 'the same (also TWINKLE_SERVER_CONFIG)');
}

/** @throws `USAGE` when none or two are named */
export function configFile(command: Command, { env, cwd }: CliIo): TwinkleRequest {
  const { config } = command.opts<{ config?: string }>();
  const named = command.args[0];
  if (named !== undefined && config !== undefined) {
    throw new TwinkleError(
      'USAGE',
      `expected one file but received "${named}" and \`--config ${config}\`; leave one out`,
    );
  }
  const file = named ?? config ?? (env.TWINKLE_SERVER_CONFIG || null);
  if (file === null)
    throw new TwinkleError('USAGE', 'expected the YAML file of a server: name it, or set TWINKLE_SERVER_CONFIG');
  return { file, env, cwd };
}
