/** docs/twinkle-config.md: the keys of a Twinkle Server's file from its schema, and what `check-config` and `serve` say of known files. */
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ARGS, FILE } from '../dist/config/twinkle/schema.js';
import { modelsOf } from '../dist/config/twinkle/serving.js';
import { readTwinkle } from '../dist/runtime/read-twinkle.js';
import { describeSchema } from '../dist/util/describe-schema.js';

const FIXTURES = fileURLToPath(new URL('../test/fixtures/twinkle/', import.meta.url));
const cell = (text) => text.replaceAll('|', '\\|');
const shown = (value) => (value === undefined ? 'required' : `\`${JSON.stringify(value)}\``);

/** Rows of a block, those of blocks within by their path. */
function rows(schema, path, skip = []) {
  return Object.entries(schema.properties).flatMap(([name, field]) => {
    if (skip.includes(name)) return [];
    const key = `${path}${name}`;
    const block =
      field.properties === undefined ? field.anyOf?.find((branch) => branch.properties !== undefined) : field;
    if (block !== undefined && Object.keys(block.properties).length > 0) return rows(block, `${key}.`);
    return [
      `| \`${key}\` | ${cell(describeSchema(field))} | ${shown(field.default)} | ${cell(field.description ?? '')} |`,
    ];
  });
}

const table = (lines) => `| key | type | default | meaning |\n|---|---|---|---|\n${lines.join('\n')}\n`;

/** Whether `serve` starts by it, or why not. */
function started(config) {
  try {
    const { models, trained } = modelsOf(config, (id) => id);
    return `starts: ${models.length} served, ${trained.length} trained`;
  } catch (error) {
    return cell(error.message.replace(/^application "[^"]*": /gm, '').replaceAll('\n', '; '));
  }
}

async function outcomes() {
  const lines = [];
  const files = readdirSync(FIXTURES).filter((name) => name.endsWith('.yaml'));
  for (const name of files.sort()) {
    const { config, warnings } = await readTwinkle({ file: name, env: {}, cwd: FIXTURES });
    const apps = config.applications.map((app) =>
      app.kind === 'model' ? app.backend : app.kind === 'sampler' ? app.engine : app.kind,
    );
    const said = warnings.map((warning) => cell(warning.replace(/^\S+:(\d+):\d+: /, 'line $1: '))).join('; ');
    lines.push(`| ${name.replace('.yaml', '')} | ok | ${apps.join(', ')} | ${said} | ${started(config)} |`);
  }
  return lines.join('\n');
}

export async function twinklePage(note) {
  const queue = ARGS.model.properties.queue_config;
  const { device_group: group, device_mesh: mesh } = ARGS.model.properties;
  const beside = ['queue_config', 'device_group', 'device_mesh'];
  const kinds = Object.entries(ARGS).map(
    ([kind, schema]) => `### \`import_path: ${kind}\`\n\n${table(rows(schema, '', beside))}`,
  );
  return `# The file of a Twinkle Server\n\n${note}
The YAML of modelscope/twinkle’s server, as its documents and its release 0.5 write it.

\`\`\`sh
npx twinkle-node check-config server_config.yaml            # every mistake with its line and column; looks at the file alone
npx twinkle-node print-config server_config.yaml --origin   # with all defaults, and where each value comes from
npx twinkle-node serve --config server_config.yaml          # starts by it; with --dry-run shows every group and rank, and starts nothing
\`\`\`

Values may be \`\${other.key}\`, \`\${.beside}\` and \`\${oc.env:VARIABLE,default}\`, as OmegaConf reads them; aliases and merge keys of YAML are followed.
Unknown keys are refused. Spellings of before are read, and named in a warning: \`use_megatron\` (\`backend\`), \`telemetry_config\`, \`persistence_config\`,
\`ranks: 0\` of a CPU group (as many as its mesh says).

## What \`serve\` makes of it

Each \`sampler\` becomes a model that is served: \`gpus_per_worker\` (else \`tp_size\`) devices for each process, and as many processes as the ranks
of its device group and its replicas give. Each \`model\` becomes ranks that train it in a placement group of their own, \`NAME/train/0\`, from the start to
the end, whether a sampler of that name is there or not; what no sampler has is trained and not sampled from. What a replica holds beside its devices
(\`ray_actor_options\`) goes to the first bundle of its group.

\`model_id\` is \`ms://org/name\` (looked for in \`MODELSCOPE_CACHE\`, else in \`~/.cache/modelscope/hub\`), \`hf://org/name\`, a folder, \`org/name\`, or \`demo\`.

Flags and variables of the server go with it, and win over what it says of host and port; \`--gpus\` and \`--npus\` say which devices are offered. Refused
beside it are those that describe a model, or say of all models how they are trained. What cannot be started is refused before anything is, with a line for
each application: backend megatron, dimensions other than dp and fsdp for what trains and tp for what samples, devices that are chosen by number, several
replicas of a model that is trained, NPUs for backend transformers and sampler_type torch.

## At the top

${table(rows(FILE, '', ['applications', 'task_queue']))}
\`task_queue\` has the keys of \`queue_config\`: what an application does not say of its own.

## \`applications[]\`

${table(rows(FILE.properties.applications.items, '', ['args']))}
The path that clients build is always there, whatever \`route_prefix\` says: \`/api/v1\`, \`/api/v1/model/NAME\`, \`/api/v1/sampler/NAME\`, \`/api/v1/processor\`. NAME is
what follows \`/model/\` or \`/models/\` in \`route_prefix\`, else the \`model_id\` without its scheme. A file without a server has one with all defaults.

${kinds.join('\n')}
### \`device_group\` and \`device_mesh\`

${table([...rows(group, 'device_group.'), ...rows(mesh, 'device_mesh.')])}
The product of fsdp, pp, dp, cp and tp has to be the number of ranks.

### \`queue_config\`

${table(rows(queue, ''))}
## Known files

Those of the documents (\`seed\`: the older ones), of the peer’s cookbook and of its tests, by \`check-config\` and by \`serve\`:

| file | outcome | runs | warnings | \`serve\` |
|---|---|---|---|---|
${await outcomes()}
`;
}
