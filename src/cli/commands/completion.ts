/** `completion`: the script of a shell, and the answers that the script asks for. The one place that knows @bomb.sh/tab. */
import tab, { script, type Command as TabCommand } from '@bomb.sh/tab';
import type { Command, Option } from 'commander';
import { isOptionKey, optionSpec } from '../../config/options.js';
import { ENGINE_ARGS } from '../../engines/args.js';
import { EXIT } from '../../errors.js';
import type { CliIo } from '../io.js';
import { bashCompletion } from './bash-completion.js';

const NAME = 'twinkle-node';

/** Print the script of `bash`, `zsh` or `fish`. */
export function printScript(shell: string, io: CliIo): number {
  if (shell === 'bash') io.stdout.write(bashCompletion(NAME));
  else printing(io, () => script(shell, NAME, NAME));
  return EXIT.ok;
}

/**
 * Answer a completion script: `complete -- serve --gp` lists what may follow.
 * @param words the words after `complete`
 */
export function complete(words: readonly string[], program: Command, io: CliIo): number {
  describe(program, '');
  printing(io, () => tab.parse(words.filter((word, index) => !(index === 0 && word === '--'))));
  return EXIT.ok;
}

/** Tell the library every command and flag. */
function describe(parent: Command, path: string): void {
  for (const command of parent.commands) {
    const name = path === '' ? command.name() : `${path} ${command.name()}`;
    const known = tab.command(name, command.description());
    for (const option of command.options) if (!option.hidden) addOption(known, option);
    for (const argument of command.registeredArguments) {
      const choices = argument.argChoices ?? (name === 'serve' ? ['demo'] : []);
      known.argument(argument.name(), offer(choices));
    }
    if (name === 'serve') addEngineArgs(known);
    describe(command, name);
  }
}

function addOption(known: TabCommand, option: Option): void {
  const name = option.long?.slice(2) ?? '';
  if (!option.required) {
    known.option(name, option.description);
    return;
  }
  const choices = option.argChoices ?? optionChoices(name);
  known.option(name, option.description, offer(choices));
}

function optionChoices(name: string): readonly string[] {
  return isOptionKey(name) ? (optionSpec(name).choices ?? []) : [];
}

/** Answers with the choices. */
function offer(choices: readonly string[]): (answer: (value: string, description: string) => void) => void {
  return (answer) => {
    for (const choice of choices) answer(choice, '');
  };
}

function addEngineArgs(known: TabCommand): void {
  for (const [engine, table] of Object.entries(ENGINE_ARGS)) {
    for (const [name, { help, choices = [], refused }] of Object.entries(table)) {
      if (refused === undefined) known.option(name.replaceAll('_', '-'), `${help} (${engine})`, offer(choices));
    }
  }
}

/** The library writes to the console; its words belong to our stdout. */
function printing(io: CliIo, act: () => void): void {
  const original = console.log;
  console.log = (...words: unknown[]) => void io.stdout.write(`${words.join(' ')}\n`);
  try {
    act();
  } finally {
    console.log = original;
  }
}
