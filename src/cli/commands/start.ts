/**
 * `start --head` and `start --address`: a head, or an agent of one, that outlives the command. It runs in a process of its own; the command
 * returns when it is ready (`--block`: stays).
 */
import { asTwinkleError, EXIT, TwinkleError } from '../../errors.js';
import { TOKEN_VARIABLE } from '../../runtime/join-token.js';
import { homeFolder, runningInstances } from '../home.js';
import type { CliContext, CliIo, Handler } from '../io.js';
import { EndSignals } from '../serve/signals.js';
import { detach } from '../start/detach.js';
import { agentReady, headReady, type ReadyMessage, show } from '../start/messages.js';
import { readStart, type StartFlags, type StartRequest } from '../start/request.js';

/** See {@link Handler}. */
export const run: Handler = async (command, context) => {
  const flags = command.opts<StartFlags>();
  const { io } = context;
  const home = homeFolder(flags.home, io);
  const start = readStart(flags, home, io);
  const running = runningInstances(home).find(({ file }) => file.kind !== 'serve');
  if (running !== undefined) {
    const { kind, instance, pid } = running.file;
    const who = kind === 'head' ? 'a head' : 'an agent';
    throw new TwinkleError(
      'USAGE',
      `${who} runs already in ${home}: ${instance}, pid ${pid}; end it with \`twinkle-node stop ${instance}\`, or set another --home`,
    );
  }
  if (flags.block === true) return await stay(start, context, flags);
  const token = start.kind === 'agent' ? start.request.token : null;
  const ready = await detach(command, start.kind, home, io, token);
  say(ready, io, flags, true);
  return EXIT.ok;
};

/** Be the head or the agent, until a signal. */
async function stay(start: StartRequest, context: CliContext, flags: StartFlags): Promise<number> {
  const { io } = context;
  const signals = new EndSignals(io.signals);
  try {
    const { ready, daemon } = await open(start, context, signals.aborted).catch((error: unknown) => {
      const { code, message } = asTwinkleError(error);
      io.tellParent?.({ event: 'failed', code, message });
      throw error;
    });
    try {
      if (io.tellParent !== undefined) io.tellParent(ready);
      else say(ready, io, flags, io.stdout.isTTY === true);
      await signals.first;
    } finally {
      await daemon[Symbol.asyncDispose]();
    }
    return EXIT.ok;
  } finally {
    signals.close();
  }
}

interface Opened {
  readonly ready: ReadyMessage;
  readonly daemon: AsyncDisposable;
}

async function open(start: StartRequest, { io, parts }: CliContext, signal: AbortSignal): Promise<Opened> {
  if (start.kind === 'head') {
    const { startStandaloneHead } = await parts.standaloneHead();
    const daemon = await startStandaloneHead(start.request, await parts.native(), io.env);
    return { ready: headReady(daemon, start.own), daemon };
  }
  const { startAgent } = await parts.agent();
  // Workers inherit the environment, and the token is none of their business.
  const { [TOKEN_VARIABLE]: _, ...env } = io.env;
  const daemon = await startAgent(start.request, await parts.native(), env, signal);
  return { ready: agentReady(daemon), daemon };
}

function say(ready: ReadyMessage, io: CliIo, flags: StartFlags, secrets: boolean): void {
  if (flags.json === true) io.stdout.write(`${JSON.stringify(ready)}\n`);
  else show(ready, io, secrets);
}
