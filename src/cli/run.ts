/** The CLI as a function: words in, exit code out. Reads and writes only through its `io`. */
import type { Command } from 'commander';
import { packageVersion } from '../config/package-root.js';
import { EXIT, TwinkleError } from '../errors.js';
import type { CliContext, CliIo, CliParts } from './io.js';
import { buildProgram, loadHandler } from './program.js';
import { reportError } from './render/errors.js';
import { splitServeArgs } from './serve-args.js';

/**
 * Run one command to its end.
 * @param argv the words after the program's name
 * @returns the exit code of errors.ts; 130 or 143 when a signal forced the end
 */
export async function runCli(argv: readonly string[], io: CliIo, parts: CliParts): Promise<number> {
  const json = argv.includes('--json');
  try {
    return await dispatch(argv, { io, parts });
  } catch (error) {
    return reportError(error, io, json);
  }
}

async function dispatch(argv: readonly string[], context: CliContext): Promise<number> {
  const { io } = context;
  const version = packageVersion();
  if (argv[0] === 'complete') {
    const { complete } = await import('./commands/completion.js');
    return complete(
      argv.slice(1),
      buildProgram(version, () => {}),
      io,
    );
  }
  const serving = argv[0] === 'serve' || argv[0] === 'launch';
  const { words, engineArgs } = serving ? splitServeArgs(argv.slice(1)) : { words: argv.slice(1), engineArgs: [] };
  let chosen: { name: string; command: Command } | null = null;
  const program = buildProgram(version, (name, command) => {
    chosen = { name, command };
  });
  const ended = await parse(program, argv.length === 0 ? ['--help'] : [argv[0] as string, ...words], io);
  if (ended !== null) return ended;
  const found = chosen as { name: string; command: Command } | null;
  if (found === null) throw new TwinkleError('USAGE', 'no command was given; run `twinkle-node --help`');
  if (found.name === 'serve') {
    const { serve } = await import('./commands/serve.js');
    return serve(found.command, engineArgs, context);
  }
  if (found.name === 'launch') {
    const { launch } = await import('./commands/launch.js');
    return launch(found.command, engineArgs, context);
  }
  if (found.name === 'completion') {
    const { printScript } = await import('./commands/completion.js');
    return printScript(String(found.command.args[0]), io);
  }
  return (await loadHandler(found.name))(found.command, context);
}

/** Parse with commander; the exit code when that was all (help, version), else null. */
async function parse(program: Command, words: readonly string[], io: CliIo): Promise<number | null> {
  let said = '';
  const settings = {
    writeOut: (text: string) => void io.stdout.write(text),
    writeErr: (text: string) => {
      said += text;
    },
  };
  const everywhere = (command: Command): void => {
    command.exitOverride().configureOutput(settings);
    for (const child of command.commands) everywhere(child);
  };
  everywhere(program);
  try {
    await program.parseAsync([...words], { from: 'user' });
    return null;
  } catch (error) {
    const { code } = error as { code?: string };
    if (typeof code !== 'string' || !code.startsWith('commander.')) throw error;
    if (code === 'commander.helpDisplayed' || code === 'commander.version') return EXIT.ok;
    // Help that was shown because a command is missing (`twinkle-node list`).
    if (code === 'commander.help') {
      io.stderr.write(said);
      return EXIT.usage;
    }
    throw new TwinkleError('USAGE', plain((error as Error).message));
  }
}

/** Commander's words as one sentence of ours. */
function plain(message: string): string {
  return message
    .replace(/^error: /, '')
    .replace(/^option '(-[^\s,]+)[^']*' argument missing$/, 'expected a value after `$1`')
    .replace(/\n\(Did you mean (.*)\?\)$/, '; did you mean `$1`?')
    .trim();
}
