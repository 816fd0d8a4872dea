/** `check-config`: whether the file of a Twinkle Server is right, by the file alone. */
import { EXIT } from '../../errors.js';
import { readTwinkle } from '../../runtime/read-twinkle.js';
import type { Handler } from '../io.js';
import { painter } from '../render/style.js';
import { configFile } from '../twinkle/config-file.js';

/** See {@link Handler}. */
export const run: Handler = async (command, { io }) => {
  const { warnings } = await readTwinkle(configFile(command, io));
  const paint = painter(io.stderr, io.env);
  for (const warning of warnings) io.stderr.write(`${paint('yellow', 'warning')}: ${warning}\n`);
  const json = command.opts<{ json?: boolean }>().json === true;
  io.stdout.write(json ? `${JSON.stringify({ ok: true, warnings })}\n` : 'ok\n');
  return EXIT.ok;
};
