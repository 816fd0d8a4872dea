/** Checks of the engines' Pythons: every environment that is there is imported for real. */

import type { EngineName } from '../../config/types.js';
import { asTwinkleError, EXIT } from '../../errors.js';
import { environmentKey, environmentsFolder, findCached } from '../../python/cache.js';
import { findBasePython } from '../../python/find.js';
import { ENGINE_PACKAGES, importEnvironment, isSupported, probeEnvironment, probePython } from '../../python/probe.js';
import { installCommand, requirementsOf } from '../../python/requirements.js';
import { runProgram } from '../../python/run.js';
import type { Flavour } from '../../python/types.js';
import { REQUIREMENTS } from '../../runtime/configure.js';
import type { CliIo } from '../io.js';
import { type Check, type Finding, fail, ok, warn } from './check.js';

const ENGINES: readonly EngineName[] = ['vllm', 'transformers', 'mock'];

/** The user's own Python when one is named, else the managed environments and the Python that would make them. */
export const checkPython: Check = async ({ io }) => {
  const own = io.env.TWINKLE_PYTHON;
  if (own !== undefined && own !== '') return checkOwn(own, io);
  const engines: Finding[] = [];
  for (const engine of ENGINES) engines.push(await checkManaged(engine, io));
  try {
    const base = await findBasePython(runProgram, io.env);
    return [ok('python', `Python ${base.version.join('.')} (${base.executable}) can make environments`), ...engines];
  } catch (error) {
    const { message } = asTwinkleError(error);
    const usable = engines.some(({ level }) => level === 'ok');
    const finding = usable
      ? warn('python', message, 'needed only to make environments again')
      : fail('python', message, 'install Python', EXIT.usage);
    return [finding, ...engines];
  }
};

async function checkManaged(engine: EngineName, io: CliIo): Promise<Finding> {
  const check = `python-${engine}`;
  const repair = `npx twinkle-node setup --engine ${engine} --force`;
  try {
    const envs = environmentsFolder(io.env);
    const cached = (flavour: Flavour) => findCached(envs, environmentKey(engine, flavour, REQUIREMENTS));
    const found = cached('cpu') ?? cached('cuda');
    if (found === null) {
      return warn(
        check,
        `engine ${engine}: its environment is not made yet`,
        `the first serve makes it, or: npx twinkle-node setup --engine ${engine}`,
      );
    }
    const broken = Object.entries(await probeEnvironment({ python: found.python, engine }, runProgram, io.env));
    if (broken.length > 0) {
      return fail(
        check,
        `engine ${engine}: ${broken.map(([name, why]) => `${name}: ${why}`).join('; ')}`,
        repair,
        EXIT.usage,
      );
    }
    const versions = Object.entries(found.stamp.versions).map(([name, version]) => `${name} ${version}`);
    return ok(check, `engine ${engine}: ${versions.join(', ')}`);
  } catch (error) {
    return fail(check, `engine ${engine}: ${asTwinkleError(error).message}`, repair, EXIT.usage);
  }
}

async function checkOwn(python: string, io: CliIo): Promise<Finding[]> {
  try {
    const reports: Finding[] = [];
    const lacking: ((usable: boolean) => Finding)[] = [];
    for (const engine of ENGINES) {
      const env = importEnvironment(engine, io.env);
      const report = await probePython(runProgram, python, 'import', ENGINE_PACKAGES[engine], env);
      const version = report.version.join('.');
      if (!isSupported(report.version)) {
        return [
          fail('python', `TWINKLE_PYTHON is Python ${version}`, 'name one of at least 3.11, or unset it', EXIT.usage),
        ];
      }
      const broken = Object.entries(report.broken);
      const list = broken.map(([name, why]) => `${name}: ${why}`).join('; ');
      const install = installCommand(report.executable, requirementsOf(engine, 'cpu', REQUIREMENTS), report.broken);
      const check = `python-${engine}`;
      const lacks = `engine ${engine}: ${report.executable} lacks ${list}`;
      if (broken.length === 0) reports.push(ok(check, `engine ${engine}: ${report.executable} (Python ${version})`));
      else lacking.push((usable) => (usable ? warn(check, lacks, install) : fail(check, lacks, install, EXIT.usage)));
    }
    // An interpreter for one engine is enough; the mock engine alone serves nobody.
    const usable = reports.some(({ check }) => check !== 'python-mock');
    return [...reports, ...lacking.map((finding) => finding(usable))];
  } catch (error) {
    return [fail('python', asTwinkleError(error).message, 'correct or unset TWINKLE_PYTHON', EXIT.usage)];
  }
}
