/** `serve`: configuration → Python → head → ready line, and then until the end. Wiring only. */
import { join } from 'node:path';
import type { Command } from 'commander';
import type { CompiledConfig, WrittenEngineArg } from '../../config/compile.js';
import { PYTHON_WORKERS } from '../../config/package-root.js';
import type { Layer, Origin } from '../../config/settings.js';
import type { ServeConfig } from '../../config/types.js';
import { EXIT, TwinkleError } from '../../errors.js';
import { refuseUnplaceable } from '../../runtime/check-placement.js';
import {
  type ConfigureRequest,
  configure,
  REQUIREMENTS,
  resolvePythons,
  wantedFlavour,
} from '../../runtime/configure.js';
import { HeadDoor } from '../../runtime/head-placement.js';
import type { DescribedNode } from '../../scheduler/node-spec.js';
import type { CliContext, CliIo } from '../io.js';
import { flagLayer } from '../serve/flags.js';
import { headListeners, superviseHead } from '../serve/lifetime.js';
import { deviceKinds, readPaperNodes } from '../serve/paper-nodes.js';
import { type ReadyFacts, Reporter } from '../serve/reporter.js';
import { EndSignals } from '../serve/signals.js';

/** Which file, and which files may be it. */
export type ServedFile = Pick<ConfigureRequest, 'configFile' | 'onlyTwinkle'>;

interface Flags {
  readonly config?: string;
  readonly namespace?: string;
  readonly dryRun?: boolean;
  readonly json?: boolean;
  readonly nodes?: string;
}

/**
 * Serve until a signal or a fatal error.
 * @param file none given: that of `--config`, of either kind
 * @returns the exit code
 */
export async function serve(
  command: Command,
  engineArgs: readonly WrittenEngineArg[],
  context: CliContext,
  file?: ServedFile,
): Promise<number> {
  const { io, parts } = context;
  const flags = command.opts<Flags>();
  const dryRun = flags.dryRun === true;
  if (flags.nodes !== undefined && !dryRun) {
    throw new TwinkleError('USAGE', '`--nodes` describes a cluster on paper: nothing can start there; add --dry-run');
  }
  const reporter = new Reporter(io, flags.json === true);
  const signals = new EndSignals(io.signals);
  await using door = new HeadDoor(signals.aborted);
  try {
    const written = flagLayer(command);
    const nodes = flags.nodes === undefined ? null : await paperNodes(flags.nodes, written, io);
    const compiled = await configure({
      written,
      engineArgs,
      env: io.env,
      cwd: io.cwd,
      ...(file ?? { configFile: flags.config ?? null }),
      namespace: flags.namespace === undefined ? null : { value: flags.namespace, origin: NAMESPACE },
      mayWrite: !dryRun,
      devices: async () => (await parts.native()).devices(),
      cluster: async (address, home) => (nodes === null ? await door.kinds(address, home) : deviceKinds(nodes)),
    });
    for (const warning of compiled.warnings) reporter.warn(warning);
    if (dryRun) return await showDryRun(compiled, nodes, context, flags.json === true);
    return await start(compiled, context, { reporter, signals, door });
  } catch (error) {
    return signals.codeFor(error);
  } finally {
    reporter.clear();
    signals.close();
  }
}

const NAMESPACE: Origin = { source: 'flag', name: '--namespace', at: null };

interface Company {
  readonly reporter: Reporter;
  readonly signals: EndSignals;
  readonly door: HeadDoor;
}

async function start(
  compiled: CompiledConfig,
  context: CliContext,
  { reporter, signals, door }: Company,
): Promise<number> {
  const { io, parts } = context;
  const { config } = compiled;
  const placement = await door.placement(compiled, async () => (await parts.native()).devices());
  if (placement === null) refuseUnplaceable(config, (await parts.native()).cpu());
  // The head's modules load while Python is looked for.
  const loading = parts.head();
  loading.catch(() => {});
  const pythons = await resolvePythons(config, { env: io.env, progress: reporter, signal: signals.aborted });
  const startHead = await loading;
  signals.aborted.throwIfAborted();
  const facts = { model: config.models[0]?.servedNames[0] ?? null, ...keyFacts(compiled) };
  const service = io.env.NOTIFY_SOCKET ? await parts.native() : null;
  const notify = (state: string): void => void service?.sdNotify(state);
  const life = { config, facts, reporter, signals, io, notify };
  const options = {
    pythons,
    env: io.env,
    ownProcess: true,
    signal: signals.aborted,
    on: headListeners(life),
    ...(placement === null ? {} : { placement }),
  };
  const head = await startHead(config, options).catch(async (error: unknown) => {
    throw await withPortHolder(error, config);
  });
  return await superviseHead(head, life);
}

function keyFacts({ config, origins }: CompiledConfig): Pick<ReadyFacts, 'keySource' | 'generatedKey'> {
  const { mode, generatedKey } = config.auth;
  if (mode !== 'keys') return { keySource: 'none', generatedKey };
  const { source } = origins['api-key'];
  if (source === 'default') return { keySource: { file: join(config.home, 'api-key') }, generatedKey };
  return { keySource: source === 'env' ? 'variable' : 'owner', generatedKey };
}

/** Who holds the port is not known to whoever failed to bind it. */
async function withPortHolder(error: unknown, config: ServeConfig): Promise<unknown> {
  if (!(error instanceof TwinkleError) || error.code !== 'PORT_IN_USE' || config.http.uds !== null) return error;
  const { describeListener } = await import('../port-holder.js');
  const holder = describeListener(config.http.port);
  if (holder === null) return error;
  return new TwinkleError('PORT_IN_USE', `${error.message}; port ${config.http.port} is held by ${holder}`, {
    cause: error,
  });
}

async function paperNodes(file: string, written: Layer, io: CliIo): Promise<readonly DescribedNode[]> {
  const shaping = (['gpus', 'npus', 'num-cpus'] as const).find((key) => written.has(key));
  if (shaping !== undefined) {
    throw new TwinkleError(
      'USAGE',
      `\`--${shaping}\` says what this machine offers, not the nodes of ${file}; leave one out`,
    );
  }
  return await readPaperNodes(file, io.cwd);
}

async function showDryRun(
  compiled: CompiledConfig,
  nodes: readonly DescribedNode[] | null,
  { io, parts }: CliContext,
  json: boolean,
): Promise<number> {
  const [{ planPlacement }, { planHere }, { showPlan }, { environmentKey, environmentsFolder, findCached }] =
    await Promise.all([
      import('../../runtime/plan.js'),
      import('../../runtime/check-placement.js'),
      import('../serve/plan-view.js'),
      import('../../python/cache.js'),
    ]);
  const { config } = compiled;
  const pythons: Record<string, string> = {};
  for (const { engine, placement } of [...config.models, ...config.trained]) {
    const flavour = wantedFlavour(engine, [placement.accelerator], io.env);
    const cached =
      flavour === 'ascend'
        ? '(of yours: say --python)'
        : findCached(environmentsFolder(io.env), environmentKey(engine, flavour, REQUIREMENTS))?.python;
    pythons[engine] =
      config.python.interpreter ??
      cached ??
      (config.python.mayInstall ? '(would be made)' : '(missing, and --no-setup is said)');
  }
  const plan =
    nodes === null
      ? planHere(config, (await parts.native()).cpu(), io.env)
      : planPlacement(config, { nodes, cpus: null, env: io.env, pythonPath: PYTHON_WORKERS });
  showPlan({ compiled, plan, pythons }, io, json);
  if (plan.refusal !== null) throw plan.refusal;
  return EXIT.ok;
}
