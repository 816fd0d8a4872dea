/** `serve`: configuration → Python → head → ready line, and then until the end. Wiring only. */
import { join } from 'node:path';
import type { Command } from 'commander';
import type { CompiledConfig, WrittenEngineArg } from '../../config/compile.js';
import { PYTHON_WORKERS } from '../../config/package-root.js';
import type { ServeConfig } from '../../config/types.js';
import { EXIT, TwinkleError } from '../../errors.js';
import { configure, REQUIREMENTS, resolvePythons, wantedFlavour } from '../../runtime/configure.js';
import type { CliContext } from '../io.js';
import { flagLayer } from '../serve/flags.js';
import { superviseHead } from '../serve/lifetime.js';
import { type ReadyFacts, Reporter } from '../serve/reporter.js';
import { EndSignals } from '../serve/signals.js';

/**
 * Serve until a signal or a fatal error.
 * @returns the exit code
 */
export async function serve(
  command: Command,
  engineArgs: readonly WrittenEngineArg[],
  context: CliContext,
): Promise<number> {
  const { io, parts } = context;
  const flags = command.opts<{ config?: string; dryRun?: boolean; json?: boolean }>();
  const dryRun = flags.dryRun === true;
  const reporter = new Reporter(io, flags.json === true);
  const signals = new EndSignals(io.signals);
  try {
    const compiled = await configure({
      written: flagLayer(command),
      engineArgs,
      env: io.env,
      cwd: io.cwd,
      configFile: flags.config ?? null,
      mayWrite: !dryRun,
      devices: async () => (await parts.native()).devices(),
    });
    for (const warning of compiled.warnings) reporter.warn(warning);
    if (dryRun) return await showDryRun(compiled, context, flags.json === true);
    return await start(compiled, context, reporter, signals);
  } catch (error) {
    if (signals.aborted.aborted && error === signals.aborted.reason) return signals.forcedCode ?? EXIT.unexpected;
    throw error;
  } finally {
    reporter.clear();
    signals.close();
  }
}

async function start(
  compiled: CompiledConfig,
  context: CliContext,
  reporter: Reporter,
  signals: EndSignals,
): Promise<number> {
  const { io, parts } = context;
  const { config } = compiled;
  // The head's modules load while Python is looked for.
  const loading = parts.head();
  loading.catch(() => {});
  const pythons = await resolvePythons(config, { env: io.env, progress: reporter, signal: signals.aborted });
  const startHead = await loading;
  signals.aborted.throwIfAborted();
  const head = await startHead(config, { pythons, env: io.env, ownProcess: true }).catch(async (error: unknown) => {
    throw await withPortHolder(error, config);
  });
  const facts = { model: config.models[0]?.servedNames[0] ?? '', ...keyFacts(compiled) };
  const service = io.env.NOTIFY_SOCKET ? await parts.native() : null;
  const notify = (state: string): void => void service?.sdNotify(state);
  return await superviseHead(head, { config, facts, reporter, signals, io, notify });
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

async function showDryRun(compiled: CompiledConfig, { io }: CliContext, json: boolean): Promise<number> {
  const [{ planRanks }, { showPlan }, { environmentKey, environmentsFolder, findCached }] = await Promise.all([
    import('../../runtime/plan.js'),
    import('../serve/plan-view.js'),
    import('../../python/cache.js'),
  ]);
  const { config } = compiled;
  const pythons: Record<string, string> = {};
  for (const model of config.models) {
    const flavour = wantedFlavour(
      model.devices.some((device) => device.kind === 'gpu'),
      io.env,
    );
    const key = environmentKey(model.engine, flavour, REQUIREMENTS);
    const cached = findCached(environmentsFolder(io.env), key)?.python;
    pythons[model.engine] =
      config.python.interpreter ??
      cached ??
      (config.python.mayInstall ? '(would be made)' : '(missing, and --no-setup is said)');
  }
  showPlan({ compiled, ranks: planRanks(config, io.env, PYTHON_WORKERS), pythons }, io, json);
  return EXIT.ok;
}
