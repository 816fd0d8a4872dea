/** `setup`: makes the Python environment of an engine, or says where it is. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { EngineName } from '../../config/types.js';
import { EXIT, TwinkleError } from '../../errors.js';
import { resolvePython } from '../../python/resolve.js';
import { REQUIREMENTS, wantedFlavour } from '../../runtime/configure.js';
import type { CliContext, Handler } from '../io.js';
import { Reporter } from '../serve/reporter.js';
import { EndSignals } from '../serve/signals.js';

/** See {@link Handler}. */
export const run: Handler = async (command, context) => {
  const { io } = context;
  const flags = command.opts<{ engine: EngineName; wheelhouse?: string; force?: boolean; json?: boolean }>();
  const wheelhouse = flags.wheelhouse === undefined ? null : resolve(io.cwd, flags.wheelhouse);
  if (wheelhouse !== null && !existsSync(wheelhouse)) {
    throw new TwinkleError('USAGE', `expected a folder of wheels for \`--wheelhouse\` but there is no ${wheelhouse}`);
  }
  const signals = new EndSignals(io.signals);
  // Events of `serve --json` are not for `setup --json`, which prints its one line.
  const reporter = new Reporter(io, false);
  try {
    const environment = await resolvePython(
      { interpreter: io.env.TWINKLE_PYTHON || null, mayInstall: true },
      flags.engine,
      {
        env: io.env,
        requirementsDir: REQUIREMENTS,
        flavour: wantedFlavour(flags.engine, await accelerators(context), io.env),
        progress: reporter,
        signal: signals.aborted,
        force: flags.force === true,
        wheelhouse,
      },
    );
    reporter.clear();
    const { engine, python, versions } = environment;
    if (flags.json === true) io.stdout.write(`${JSON.stringify({ engine, python, versions })}\n`);
    else {
      const list = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
      io.stdout.write(`engine ${engine}: ${python}\n  ${list.join(', ')}\n`);
    }
    return EXIT.ok;
  } catch (error) {
    return signals.codeFor(error);
  } finally {
    reporter.clear();
    signals.close();
  }
};

/** Without the addon the drivers' device files answer: setup must work before everything else does. */
async function accelerators({ parts }: CliContext): Promise<('GPU' | 'NPU')[]> {
  try {
    const { devices } = (await parts.native()).devices();
    return devices.map(({ kind }) => (kind === 'gpu' ? 'GPU' : 'NPU'));
  } catch {
    return [
      ...(existsSync('/dev/nvidiactl') ? (['GPU'] as const) : []),
      ...(existsSync('/dev/davinci_manager') ? (['NPU'] as const) : []),
    ];
  }
}
