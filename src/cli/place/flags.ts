/** The flags of `place`. Loads nothing but what reads them. */
import { type Command, Option } from 'commander';
import { TwinkleError } from '../../errors.js';

/** As commander hands them over. */
export interface PlaceFlags {
  readonly bundles?: string;
  readonly actor?: string;
  readonly replay?: string;
  readonly strategy?: string;
  readonly topology?: string;
  readonly labels?: string;
  readonly softTarget?: string;
  readonly tensorParallel?: string;
  readonly nodes?: string;
  readonly busy?: readonly string[];
  readonly explain?: boolean;
  readonly json?: boolean;
}

/** Flags that say something of a group and nothing of an actor. */
const GROUP_ONLY = ['topology', 'labels', 'softTarget', 'tensorParallel', 'explain'] as const;

const EXAMPLES = `
Examples:
  twinkle-node place --bundles '[{"GPU":1}]*4' --nodes nodes.yaml
  twinkle-node place --bundles '[{"GPU":1,"CPU":1}] + [{"GPU":1}]*3' --strategy STRICT_PACK --explain
  twinkle-node place --actor '{"GPU":1}' --strategy SPREAD --nodes nodes.yaml

Ends with 0 when everything is placed, with 3 when it would wait or can never fit.`;

/** Add them to the command. */
export function addPlaceFlags(command: Command): Command {
  const collect = (value: string, earlier: readonly string[] | undefined): readonly string[] => [
    ...(earlier ?? []),
    value,
  ];
  return command
    .option('--bundles <EXPR>', 'bundles of a placement group: JSON, also repeated and added: [{"GPU":1}]*4')
    .option('--actor <JSON>', 'instead of a group: resources of one actor, as {"GPU":1}')
    .option('--replay <FILE>', 'instead: replay recorded operations, a JSON object a line (-: standard input)')
    .option(
      '--strategy <NAME>',
      'PACK (default), SPREAD, STRICT_PACK, STRICT_SPREAD; of an actor: DEFAULT, SPREAD, node:ID',
    )
    .option('--topology <JSON>', 'instead of a strategy: {"ray.io/node-id":"SPREAD","rack":"STRICT_PACK"}')
    .option('--labels <JSON>', 'label selectors, one per bundle: [{"zone":"in(a,b)"},{}]')
    .option('--soft-target <ID>', 'node that a STRICT_PACK group prefers')
    .option('--tensor-parallel <N>', 'so many bundles that follow each other want linked devices')
    .option('--nodes <FILE>', 'the nodes as YAML or JSON (default: this machine)')
    .addOption(
      new Option('--busy <NODE=JSON>', 'what is in use there: node-0={"GPU":2}; may be repeated').argParser(collect),
    )
    .option(
      '--explain',
      'show every choice with its candidates and scores, how devices are linked, and every node by itself',
    )
    .addHelpText('after', EXAMPLES);
}

/**
 * What is asked: exactly one of a group, an actor and a replay, with flags that mean something for it.
 * @throws `USAGE`
 */
export function askedFor(flags: PlaceFlags): 'bundles' | 'actor' | 'replay' {
  const asked = (['bundles', 'actor', 'replay'] as const).filter((name) => flags[name] !== undefined);
  const [only, second] = asked;
  if (only === undefined) {
    throw new TwinkleError('USAGE', 'expected `--bundles`; say what to place, such as --bundles \'[{"GPU":1}]*4\'');
  }
  if (second !== undefined) throw new TwinkleError('USAGE', `expected \`--${only}\` or \`--${second}\`, not both`);
  const others = Object.keys(flags).filter((name) => name !== only);
  const wrong = others.find((name) =>
    only === 'replay' ? name !== 'json' : only === 'actor' && GROUP_ONLY.some((group) => group === name),
  );
  if (wrong !== undefined) {
    throw new TwinkleError('USAGE', `\`--${kebab(wrong)}\` says nothing about \`--${only}\`; leave it out`);
  }
  return only;
}

/** JSON of a flag. @throws `USAGE` */
export function jsonOf(text: string, flag: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new TwinkleError('USAGE', `expected JSON for \`${flag}\` but received ${JSON.stringify(text.slice(0, 80))}`, {
      cause: error,
    });
  }
}

/** The whole number of a flag. @throws `USAGE` */
export function wholeNumberOf(text: string, flag: string): number {
  if (/^\d{1,15}$/.test(text.trim())) return Number(text);
  throw new TwinkleError(
    'USAGE',
    `expected a whole number for \`${flag}\` but received ${JSON.stringify(text.slice(0, 80))}`,
  );
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
