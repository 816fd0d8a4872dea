/** `token`: the line by which another box joins the head of this home, again. */
import { join } from 'node:path';
import { EXIT, TwinkleError } from '../../errors.js';
import { joinKeys, knownHeadKeys } from '../../runtime/head-keys.js';
import { runningAgent, runningHead } from '../../runtime/instance-file.js';
import { joinLine, writeToken } from '../../runtime/join-token.js';
import { homeFolder } from '../home.js';
import type { Handler } from '../io.js';

/** See {@link Handler}. */
export const run: Handler = async (command, { io }) => {
  const flags = command.opts<{ home?: string; json?: boolean }>();
  const home = homeFolder(flags.home, io);
  const address = addressOf(home);
  const keys = knownHeadKeys(join(home, 'head'));
  if (keys === null) {
    throw new TwinkleError(
      'CONFIG_INVALID',
      `${join(home, 'head', 'keys.json')} is gone: stop the head and start it again; agents then join with a new token`,
    );
  }
  const token = writeToken(joinKeys(keys));
  const line = joinLine(address, token);
  io.stdout.write(flags.json === true ? `${JSON.stringify({ address, token, join: line })}\n` : `${line}\n`);
  return EXIT.ok;
};

/** `HOST:PORT` of the head that runs there. */
function addressOf(home: string): string {
  const head = runningHead(home);
  if (head?.tcp !== undefined) return head.tcp;
  if (head !== null) {
    throw new TwinkleError(
      'USAGE',
      `the head of ${home} (${head.instance}, pid ${head.pid}) is for this box alone: stop it, and start it with \`twinkle-node start --head --port 6379\``,
    );
  }
  const agent = runningAgent(home);
  throw new TwinkleError(
    'HEAD_UNREACHABLE',
    agent === null
      ? `no head runs in ${home}: start one with \`twinkle-node start --head --port 6379\``
      : `in ${home} runs an agent of the head at ${agent.address}: ask on that box`,
  );
}
