/** Finds a Python on PATH that can make environments, newest supported one first. */
import { TwinkleError } from '../errors.js';
import { isSupported, type ProbeReport, probePython } from './probe.js';
import type { Run } from './types.js';

/** Tried in this order: versions that all pinned packages have wheels for, then what `python3` is. */
export const CANDIDATES = ['python3.13', 'python3.12', 'python3.11', 'python3', 'python3.14', 'python'] as const;

/**
 * A base interpreter for `python -m venv`.
 * @throws `PYTHON_MISSING` that says what was found instead, and what to install
 */
export async function findBasePython(
  run: Run,
  env: Readonly<Record<string, string | undefined>>,
  candidates: readonly string[] = CANDIDATES,
): Promise<ProbeReport> {
  const seen: string[] = [];
  let withoutVenv: ProbeReport | null = null;
  for (const candidate of candidates) {
    let report: ProbeReport;
    try {
      report = await probePython(run, candidate, 'metadata', {}, env);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (!message.includes('no such file')) seen.push(message);
      continue;
    }
    if (!isSupported(report.version)) seen.push(`${candidate} is Python ${report.version.join('.')}`);
    else if (report.venv) return report;
    else withoutVenv ??= report;
  }
  if (withoutVenv !== null) {
    const minor = withoutVenv.version.slice(0, 2).join('.');
    throw new TwinkleError(
      'PYTHON_MISSING',
      `${withoutVenv.executable} (Python ${withoutVenv.version.join('.')}) cannot make environments: its module venv or ensurepip is missing; ` +
        `install it (Debian, Ubuntu: apt install python${minor}-venv), or give --python with an interpreter that has the packages`,
    );
  }
  throw new TwinkleError(
    'PYTHON_MISSING',
    `no Python of at least 3.11 on PATH (tried ${candidates.join(', ')}${seen.length === 0 ? '' : `; found: ${seen.join('; ')}`}); ` +
      'install one (Debian, Ubuntu: apt install python3 python3-venv), or name one with --python or TWINKLE_PYTHON',
  );
}
