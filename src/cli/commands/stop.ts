/** `stop`: asks a running server to end, waits for it, forces it when it takes too long, and says what it did. */
import { EXIT, TwinkleError } from '../../errors.js';
import type { Native } from '../../native/types.js';
import { isSameProcess } from '../../runtime/instance-file.js';
import type { InstanceFile } from '../../runtime/types.js';
import { findInstance, homeFolder, runningInstances } from '../home.js';
import type { CliContext, Handler } from '../io.js';
import { waitForProcessEnd } from '../process-end.js';

/** After the second SIGTERM a server closes at once; a process that needs longer is stuck. */
const FORCED_MS = 5000;

type Ending = 'drained' | 'forced' | 'killed';

/** See {@link Handler}. */
export const run: Handler = async (command, context) => {
  const { io } = context;
  const flags = command.opts<{ home?: string; json?: boolean; all?: boolean; timeout: string }>();
  const seconds = Number(flags.timeout);
  if (!Number.isFinite(seconds) || seconds < 0 || flags.timeout.trim() === '') {
    throw new TwinkleError('USAGE', `expected a number of seconds for \`--timeout\` but received "${flags.timeout}"`);
  }
  const home = homeFolder(flags.home, io);
  const targets = choose(home, command.args[0], flags.all === true);
  if (targets.length === 0 && flags.json !== true) io.stdout.write(`nothing runs in ${home}\n`);
  const native = targets.length === 0 ? null : await context.parts.native().catch(() => null);
  for (const target of targets) {
    const ending = await end(target, seconds * 1000, native, context);
    const { instance, pid } = target;
    if (flags.json === true) io.stdout.write(`${JSON.stringify({ instance, pid, ending })}\n`);
    else io.stdout.write(`${instance} (pid ${pid}) ${WORDS[ending]}\n`);
  }
  return EXIT.ok;
};

const WORDS: Readonly<Record<Ending, string>> = {
  drained: 'has ended',
  forced: 'took too long and was told to end at once; it has ended',
  killed: 'did not obey and was killed (SIGKILL)',
};

function choose(home: string, id: string | undefined, all: boolean): InstanceFile[] {
  if (id !== undefined) {
    if (all) throw new TwinkleError('USAGE', 'expected either an INSTANCE or `--all`, not both');
    return [findInstance(home, id).file];
  }
  const running = runningInstances(home).map(({ file }) => file);
  if (all || running.length <= 1) return running;
  const ids = running.map(({ instance }) => instance).join(', ');
  throw new TwinkleError('USAGE', `${running.length} servers run (${ids}); name one, or say --all`);
}

async function end(
  target: InstanceFile,
  timeoutMs: number,
  native: Native | null,
  { io }: CliContext,
): Promise<Ending> {
  send(target, 'SIGTERM');
  if (await waitForProcessEnd(native, target, timeoutMs)) return 'drained';
  io.stderr.write(`${target.instance} still runs after ${timeoutMs / 1000} s: telling it to end at once\n`);
  send(target, 'SIGTERM');
  if (await waitForProcessEnd(native, target, FORCED_MS)) return 'forced';
  send(target, 'SIGKILL');
  if (await waitForProcessEnd(native, target, FORCED_MS)) return 'killed';
  throw new TwinkleError(
    'INTERNAL',
    `pid ${target.pid} does not end even by SIGKILL: it hangs in the kernel (often a device driver)`,
  );
}

/** Only to the very process that wrote the file: pids are used again. */
function send(target: InstanceFile, signal: NodeJS.Signals): void {
  if (!isSameProcess(target)) return;
  try {
    process.kill(target.pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return;
    throw new TwinkleError(
      'USAGE',
      `cannot signal pid ${target.pid}: it belongs to another user; run stop as that user`,
      { cause: error },
    );
  }
}
