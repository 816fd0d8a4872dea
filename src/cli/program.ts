/** The commands and their flags as commander knows them. Loads no command: each is imported when it runs. */
import { Command, Option } from 'commander';
import { OPTION_KEYS, type OptionSpec, optionSpec, SERVE_OPTIONS } from '../config/options.js';
import { ENGINE_ARGS } from '../engines/args.js';
import type { Handler } from './io.js';

/** Command → how to import what runs it. */
const HANDLERS: Readonly<Record<string, () => Promise<{ readonly run: Handler }>>> = {
  setup: () => import('./commands/setup.js'),
  status: () => import('./commands/status.js'),
  logs: () => import('./commands/logs.js'),
  stop: () => import('./commands/stop.js'),
  doctor: () => import('./commands/doctor.js'),
  inspect: () => import('./commands/inspect.js'),
  devices: () => import('./commands/list-devices.js'),
};

/** Called for the command that was chosen. */
export type Chosen = (name: string, command: Command) => void;

/** The handler of a command other than `serve` and `completion`, which need more than their own flags. */
export async function loadHandler(name: string): Promise<Handler> {
  const load = HANDLERS[name];
  if (load === undefined) throw new Error(`no handler for ${name}`);
  return (await load()).run;
}

const JSON_FLAG = ['--json', 'print JSON, one line an object, on stdout'] as const;
const HOME_FLAG = [
  '--home <DIR>',
  'folder of state, logs and sockets (default: TWINKLE_HOME or ~/.twinkle-node)',
] as const;

/** The whole command line. Nothing runs at parsing: `chosen` is told which command it is. */
export function buildProgram(version: string, chosen: Chosen): Command {
  const program = new Command('twinkle-node')
    .description('Serve language models on your own boxes.')
    .version(version, '-V, --version')
    .helpOption('-h, --help', 'show this help')
    .helpCommand(false)
    .showSuggestionAfterError(true)
    .configureHelp({ showGlobalOptions: false });
  const add = (parent: Command, group: string, usage: string, text: string): Command => {
    const command = parent.command(usage).description(text).helpGroup(group);
    return command.action(() => chosen(command.name(), command));
  };
  addServe(add(program, 'Serving:', 'serve', 'serve a model; none named: the built-in demo'));
  add(program, 'Serving:', 'status', 'what runs, and how it is')
    .option(...HOME_FLAG)
    .option(...JSON_FLAG);
  add(program, 'Serving:', 'logs', 'what the ranks wrote')
    .argument('[INSTANCE]', 'id of a running server; none: the newest')
    .option('-f, --follow', 'go on as it grows')
    .option('--rank <N>', 'only this rank')
    .option('--model <NAME>', 'only ranks of this model')
    .option('-n, --lines <N>', 'lines of each file to begin with', '200')
    .option(...HOME_FLAG);
  add(program, 'Serving:', 'stop', 'end a server: running requests finish first')
    .argument('[INSTANCE]', 'id of a running server; none: the only one')
    .option('--all', 'every running server')
    .option('--timeout <SECONDS>', 'time for a clean end before it is forced', '40')
    .option(...HOME_FLAG)
    .option(...JSON_FLAG);
  add(program, 'This machine:', 'setup', 'make the Python environment of an engine')
    .addOption(
      new Option('--engine <NAME>', 'engine').choices([...SERVE_OPTIONS.engine.choices]).default('transformers'),
    )
    .option('--wheelhouse <DIR>', 'take wheels only from this folder (no network)')
    .option('--force', 'make it again although it is there')
    .option(...JSON_FLAG);
  add(program, 'This machine:', 'doctor', 'check this machine; every line says what to do')
    .option('--port <PORT>', 'port that a server would use', '8000')
    .option(...HOME_FLAG)
    .option(...JSON_FLAG);
  const list = program
    .command('list')
    .description('list what this machine has')
    .helpGroup('This machine:')
    .helpCommand(false);
  add(list, 'What:', 'devices', 'GPUs, NPUs and CPUs, and why a vendor library is not in use').option(...JSON_FLAG);
  add(program, 'This machine:', 'inspect', 'facts for a bug report')
    .option(...HOME_FLAG)
    .option(...JSON_FLAG);
  add(program, 'This machine:', 'completion', 'print the completion script of a shell').addArgument(
    program.createArgument('<SHELL>', 'bash, zsh or fish').choices(['bash', 'zsh', 'fish']),
  );
  return program;
}

function addServe(command: Command): void {
  command.argument('[MODEL]', SERVE_OPTIONS.model.help);
  for (const key of OPTION_KEYS) command.addOption(serveOption(key, optionSpec(key)));
  command.addOption(new Option('--config <FILE>', 'YAML file with the same names').helpGroup('Runtime:'));
  command.addOption(new Option('--dry-run', 'print the plan and start nothing').helpGroup('Output:'));
  command.addOption(new Option('--json', 'print events as JSON, one line each, on stdout').helpGroup('Output:'));
  command.addHelpText('after', engineHelp);
}

function serveOption(key: string, spec: OptionSpec): Option {
  const short = spec.short === undefined ? '' : ` (also -${spec.short})`;
  const standard = spec.default === null ? '' : ` (default: ${spec.default})`;
  const choices = spec.choices === undefined ? '' : `: ${spec.choices.join(', ')}`;
  const flag = spec.arg === null ? `--${key}` : `--${key} <${spec.arg}>`;
  const option = new Option(flag, `${spec.help}${choices}${short}${standard}`).helpGroup(`${spec.group}:`);
  if (key === 'api-key')
    option.argParser((value: string, earlier: string[] | undefined) => [...(earlier ?? []), value]);
  return key === 'model' ? option.hideHelp() : option;
}

function engineHelp(): string {
  const lines = Object.entries(ENGINE_ARGS).map(([engine, table]) => {
    const rows = Object.entries(table).map(([name, { help }]) => `  --${name.replaceAll('_', '-').padEnd(32)}${help}`);
    return `\nArguments of engine ${engine} (before or after \`--\`):\n${rows.join('\n')}`;
  });
  return `${lines.join('\n')}\n\nEvery option is also an environment variable (--max-model-len: TWINKLE_MAX_MODEL_LEN) and a key of the YAML file.`;
}
