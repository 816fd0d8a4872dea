/** The commands and their flags as commander knows them. Loads no command: each is imported when it runs. */
import { Command, Option } from 'commander';
import { SERVE_OPTIONS } from '../config/options.js';
import type { Handler } from './io.js';
import { addListFlags, addWatchFlag } from './list/flags.js';
import {
  ACTOR_STATES,
  DEVICE_STATES,
  GANG_STATES,
  GROUP_STATES,
  NODE_STATES,
  OBJECT_STATES,
  RUN_STATES,
  TASK_STATES,
} from './list/states.js';
import { addPlaceFlags } from './place/flags.js';
import { addLaunchFlags, addServeFlags } from './serve/add-flags.js';
import { addConfigFlag } from './twinkle/config-file.js';

/** Command → how to import what runs it. */
const HANDLERS: Readonly<Record<string, () => Promise<{ readonly run: Handler }>>> = {
  start: () => import('./commands/start.js'),
  token: () => import('./commands/token.js'),
  remove: () => import('./commands/remove.js'),
  setup: () => import('./commands/setup.js'),
  status: () => import('./commands/status.js'),
  runs: () => import('./commands/runs.js'),
  'check-config': () => import('./commands/check-config.js'),
  'print-config': () => import('./commands/print-config.js'),
  logs: () => import('./commands/logs.js'),
  stop: () => import('./commands/stop.js'),
  doctor: () => import('./commands/doctor.js'),
  inspect: () => import('./commands/inspect.js'),
  nodes: () => import('./commands/list-nodes.js'),
  place: () => import('./commands/place.js'),
  'placement-groups': () => import('./commands/list-placement-groups.js'),
  devices: () => import('./commands/list-devices.js'),
  gangs: () => import('./commands/list-gangs.js'),
  actors: () => import('./commands/list-actors.js'),
  tasks: () => import('./commands/list-tasks.js'),
  objects: () => import('./commands/list-objects.js'),
};

/** Called for the command that was chosen. */
export type Chosen = (name: string, command: Command) => void;

/** The handler of a command other than `serve`, `launch` and `completion`, which need more than their own flags. */
export async function loadHandler(name: string): Promise<Handler> {
  const load = HANDLERS[name];
  if (load === undefined) throw new Error(`no handler for ${name}`);
  return (await load()).run;
}

const JSON_FLAG = ['--json', 'print JSON, one line an object, on stdout'] as const;
const LIST_JSON_FLAG = ['--json', 'print one line of JSON, an array unless said otherwise, on stdout'] as const;
const HOME_FLAG = [
  '--home <DIR>',
  'folder of state, logs and sockets (default: TWINKLE_HOME or ~/.twinkle-node)',
] as const;

const DEVICES_TEXT = `GPUs, NPUs and CPUs of this machine, who holds them, and why a vendor library is not in use.
The state of a device is what placement groups hold of it: free, shared (a part) or held. HELD BY has the processes that use
it, however they came; GROUP is there while a cluster runs. --json prints one object {devices, links, libraries, cpu}, where
--state, --filter and --limit choose among the devices; with --cluster it prints one array.`.replaceAll('\n', ' ');

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
  addServeFlags(add(program, 'Serving:', 'serve', 'serve a model; none named: the built-in demo'));
  addWatchFlag(add(program, 'Serving:', 'status', 'what runs, and how it is'))
    .option(...HOME_FLAG)
    .option(...JSON_FLAG);
  const runs = add(program, 'Serving:', 'runs', 'what clients of the Tinker API train, and how it goes');
  addWatchFlag(addListFlags(runs, RUN_STATES, 'model=NAME'))
    .argument('[RUN]', 'its id, the beginning of it, or as the table shows it: that run with the curve of its loss')
    .option(...HOME_FLAG)
    .option('--json', 'print one line of JSON on stdout: an array, or the RUN with its curve');
  add(program, 'Serving:', 'logs', 'what the ranks wrote')
    .argument('[INSTANCE]', 'id of a running server; none: the newest')
    .option('-f, --follow', 'go on as it grows')
    .option('--rank <N>', 'only this rank')
    .option('--model <NAME>', 'only ranks of this model')
    .option('-n, --lines <N>', 'lines of each file to begin with', '200')
    .option(...HOME_FLAG);
  add(program, 'Serving:', 'stop', 'end a server, head or agent: running requests finish first')
    .argument('[INSTANCE]', 'id of what runs; none: the only one')
    .option('--all', 'everything that runs in the home folder')
    .option('--timeout <SECONDS>', 'time for a clean end before it is forced', '40')
    .option(...HOME_FLAG)
    .option(...JSON_FLAG);
  addLaunchFlags(add(program, 'Twinkle Server:', 'launch', 'start the Twinkle Server that a file describes'));
  const check = 'whether the file of a Twinkle Server is right; looks at the file alone';
  addConfigFlag(add(program, 'Twinkle Server:', 'check-config', check)).option(...JSON_FLAG);
  const print = 'the file of a Twinkle Server with all defaults, in the names of today';
  addConfigFlag(add(program, 'Twinkle Server:', 'print-config', print))
    .addOption(new Option('--format <FORM>', 'how (default: TWINKLE_PRINT_FORMAT or yaml)').choices(['yaml', 'json']))
    .option('--origin', 'with where each value comes from');
  add(program, 'Cluster:', 'start', 'start a head, which knows who has which device, or join one from another box')
    .option('--head', 'be the head')
    .option('--port <PORT>', 'with --head: let other boxes join at this TCP port; 0: any free one')
    .option('--address <HOST:PORT>', 'be an agent: this box joins the head there')
    .option('--token <TOKEN>', 'with --address: as the head printed it (also TWINKLE_JOIN_TOKEN)')
    .option(
      '--node-ip-address <IP>',
      'IPv4 address by which other boxes reach this one (default: of the default route, or towards the head)',
    )
    .option('--block', 'stay in the foreground')
    .option('--gpus <LIST>', 'offer exactly these GPUs: 0-3, 0,2 or UUIDs')
    .option('--npus <LIST>', 'offer exactly these NPUs')
    .option('--num-gpus <N>', 'offer the first N free GPUs')
    .option('--num-cpus <N>', 'CPUs to offer (default: those that this process may use)')
    .option('--object-store-memory <BYTES>', 'shared memory for objects, like 10GiB (default: 30 % of the memory)')
    .option('--object-spill-dir <DIR>', 'where objects go that it has no room for (default: in the home folder)')
    .option('--head-grace <SECONDS>', 'time that serving replicas go on when the head is gone', '60')
    .addOption(
      new Option('--log-level <LEVEL>', 'least severe log line')
        .choices([...SERVE_OPTIONS['log-level'].choices])
        .default('info'),
    )
    .option(...HOME_FLAG)
    .option(...JSON_FLAG);
  add(program, 'Cluster:', 'token', 'print the line by which another box joins the head of this one')
    .option(...HOME_FLAG)
    .option(...JSON_FLAG);
  addPlaceFlags(
    add(program, 'Cluster:', 'place', 'where a placement group would go, and why; no cluster is needed'),
  ).option(...JSON_FLAG);
  add(program, 'Cluster:', 'remove', 'remove a placement group of the head: detached ones outlive who made them')
    .argument('<GROUP>', 'its id, the beginning of it, or its name')
    .option('--namespace <NAME>', 'namespace of the name', 'default')
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
    .description('list nodes, placement groups, devices, gangs, actors, tasks or objects')
    .helpGroup('Cluster:')
    .helpCommand(false);
  const addList = (usage: string, text: string, states: readonly string[], example: string): Command =>
    addWatchFlag(addListFlags(add(list, 'What:', usage, text), states, example))
      .option(...HOME_FLAG)
      .option(...LIST_JSON_FLAG);
  const nodes = 'nodes of the clusters of this home: state, resources used and in all, when last heard';
  addList('nodes', nodes, NODE_STATES, 'resources.GPU=8');
  const groups = 'what was reserved, where it is, and why it waits';
  addList('placement-groups', groups, GROUP_STATES, 'bundles.node=ID').option(
    '--detail',
    'each bundle with its node and devices',
  );
  addList('devices', 'GPUs, NPUs and CPUs, and who holds them', DEVICE_STATES, 'heldBy.server=ID')
    .configureHelp({ commandDescription: () => DEVICES_TEXT })
    .option('--cluster', 'instead the devices of every node, as the clusters of this home know them');
  addList('gangs', 'the ranks of every replica of every running server', GANG_STATES, 'ranks.pid=4711');
  addList('actors', 'actors of the head: where each runs, and why one waits or ended', ACTOR_STATES, 'resources.GPU=1');
  addList('tasks', 'calls without a result yet: who runs them, and since when', TASK_STATES, 'callerPid=4711');
  const objects = 'values in shared memory or held by several processes: their size, and who holds them';
  addList('objects', objects, OBJECT_STATES, 'holders=4711');
  add(program, 'This machine:', 'inspect', 'facts for a bug report')
    .option(...HOME_FLAG)
    .option(...JSON_FLAG);
  add(program, 'This machine:', 'completion', 'print the completion script of a shell').addArgument(
    program.createArgument('<SHELL>', 'bash, zsh or fish').choices(['bash', 'zsh', 'fish']),
  );
  return program;
}
