/** The flags of `serve` and `launch` as commander knows them, and the help that follows them. */
import { type Command, Option } from 'commander';
import { LAUNCH_KEYS } from '../../config/option-groups.js';
import { OPTION_KEYS, type OptionKey, type OptionSpec, optionSpec, SERVE_OPTIONS } from '../../config/options.js';
import { ENGINE_ARGS } from '../../engines/args.js';

const NAMESPACE = 'namespace of a Twinkle Server, over `ray_namespace` of its file (also TWINKLE_RAY_NAMESPACE)';

/** What `serve` understands. */
export function addServeFlags(command: Command): void {
  command.argument('[MODEL]', SERVE_OPTIONS.model.help);
  const config = 'YAML file with the same names, or that of a Twinkle Server';
  addFlags(command, OPTION_KEYS, config);
  command.addHelpText('after', () => `${engineHelp()}\n\n${EVERYWHERE}`);
}

/** What `launch` understands: that which goes with the file of a Twinkle Server. */
export function addLaunchFlags(command: Command): void {
  command.argument('[FILE]', 'its YAML file; `-`: standard input');
  addFlags(command, LAUNCH_KEYS, 'its YAML file, instead of FILE (also TWINKLE_SERVER_CONFIG)', ['host', 'port']);
  // Heard, and refused by name: the file describes the models.
  for (const key of OPTION_KEYS)
    if (!LAUNCH_KEYS.includes(key)) command.addOption(serveOption(key, optionSpec(key), false).hideHelp());
  command.addHelpText(
    'after',
    '\nEvery option is also an environment variable (--port: TWINKLE_PORT), and both win over the file.',
  );
}

function addFlags(
  command: Command,
  keys: readonly OptionKey[],
  config: string,
  ofFile: readonly OptionKey[] = [],
): void {
  for (const key of keys) command.addOption(serveOption(key, optionSpec(key), ofFile.includes(key)));
  command.addOption(new Option('-c, --config <FILE>', config).helpGroup('Runtime:'));
  command.addOption(new Option('--namespace <NAME>', NAMESPACE).helpGroup('Runtime:'));
  command.addOption(new Option('--dry-run', 'print the plan and start nothing').helpGroup('Output:'));
  command.addOption(
    new Option('--nodes <FILE>', 'with --dry-run: plan for the nodes of this YAML file').helpGroup('Output:'),
  );
  command.addOption(new Option('--json', 'print events as JSON, one line each, on stdout').helpGroup('Output:'));
}

/** @param ofFile the file says it, too */
function serveOption(key: OptionKey, spec: OptionSpec, ofFile: boolean): Option {
  const short = spec.short === undefined ? '' : ` (also -${spec.short})`;
  const usual = ofFile ? 'what the file says' : spec.default;
  const standard = usual === null ? '' : ` (default: ${usual})`;
  const choices = spec.choices === undefined ? '' : `: ${spec.choices.join(', ')}`;
  const flag = spec.arg === null ? `--${key}` : `--${key} <${spec.arg}>`;
  const option = new Option(flag, `${spec.help}${choices}${short}${standard}`).helpGroup(`${spec.group}:`);
  if (key === 'api-key')
    option.argParser((value: string, earlier: string[] | undefined) => [...(earlier ?? []), value]);
  return key === 'model' ? option.hideHelp() : option;
}

const EVERYWHERE =
  'Every option is also an environment variable (--max-model-len: TWINKLE_MAX_MODEL_LEN) and a key of the YAML file.';

/** Its hundreds of arguments are explained by vLLM itself. */
const VLLM_HELP = `
Arguments of engine vllm (before or after \`--\`):
  every one of \`vllm serve\`, by its own name and with its values, such as
  --max-num-seqs 8, --enable-lora, --lora-modules a=PATH b=PATH, --no-enable-prefix-caching,
  --hf-overrides '{"key": 1}', --compilation-config.mode 3, -O3`;

function engineHelp(): string {
  const lines = Object.entries(ENGINE_ARGS).map(([engine, table]) => {
    if (engine === 'vllm') return VLLM_HELP;
    const rows = Object.entries(table).map(([name, { help }]) => `  --${name.replaceAll('_', '-').padEnd(32)}${help}`);
    return `\nArguments of engine ${engine} (before or after \`--\`):\n${rows.join('\n')}`;
  });
  return lines.join('\n');
}
