/** The package installers as commands: pip of a venv, and uv for the one thing that pip cannot say (which build of torch). */
import { join } from 'node:path';
import { TwinkleError } from '../errors.js';
import { lastLines } from './probe.js';
import type { Requirements } from './requirements.js';
import type { Flavour, Run, RunResult } from './types.js';

type Env = Readonly<Record<string, string | undefined>>;

/** Version that knows `--torch-backend`; from PyPI. */
const UV = 'uv==0.13.9';

/** How the installers are run. */
export interface Installer {
  readonly run: Run;
  readonly env: Env;
  readonly signal?: AbortSignal;
  /** Told what is under way, e.g. `Collecting torch`. */
  readonly onLine: (line: string) => void;
}

/** Environment of the installers: the caller's, without what would lead them into another Python. */
export function installerEnvironment(env: Env): Record<string, string | undefined> {
  const clean: Record<string, string | undefined> = {
    ...env,
    PIP_DISABLE_PIP_VERSION_CHECK: '1',
    PYTHONUNBUFFERED: '1',
  };
  for (const name of [
    'PYTHONPATH',
    'PYTHONHOME',
    'PIP_TARGET',
    'PIP_PREFIX',
    'PIP_USER',
    'VIRTUAL_ENV',
    'PIP_REQUIRE_VIRTUALENV',
  ]) {
    delete clean[name];
  }
  return clean;
}

/** Install a list with the pip of `venv`; `wheelhouse`: only from that folder. */
export async function pipInstall(
  installer: Installer,
  venv: string,
  requirements: Requirements,
  wheelhouse: string | null,
): Promise<void> {
  const source = wheelhouse === null ? [] : ['--no-index', '--find-links', wheelhouse];
  const result = await pip(installer, venv, [
    'install',
    '--no-input',
    ...requirements.args,
    ...source,
    '-r',
    requirements.path,
  ]);
  if (result.code !== 0) throw installFailed('pip install', result, wheelhouse);
}

/**
 * Which torch pip would take: `cpu`, `cuda`, or null when the question has no answer (no torch in the list, pip cannot reach it).
 * Asking honours the user's pip configuration (index, find-links).
 */
export async function torchThatPipTakes(installer: Installer, venv: string, pin: string): Promise<Flavour | null> {
  const quiet = { ...installer, onLine: () => {} };
  const result = await pip(quiet, venv, [
    ...['install', '--dry-run', '--no-deps', '--ignore-installed', '--quiet', '--no-input', '--report', '-', pin],
  ]);
  return result.code === 0 ? flavourOfReport(result.stdout) : null;
}

/** Reads pip's `--report`. A build for CUDA needs NVIDIA's packages; a build for CPUs says `+cpu`, or needs none of them. */
export function flavourOfReport(report: string): Flavour | null {
  const start = report.indexOf('{');
  if (start < 0) return null;
  const { install } = JSON.parse(report.slice(start)) as {
    install?: { metadata?: { version?: string; requires_dist?: string[] } }[];
  };
  const metadata = install?.[0]?.metadata;
  if (metadata?.version === undefined) return null;
  if (/\+cpu\b/.test(metadata.version)) return 'cpu';
  if (/\+cu\d/.test(metadata.version)) return 'cuda';
  const machine = process.arch === 'x64' ? 'x86_64' : 'aarch64';
  const vendor = (metadata.requires_dist ?? []).filter((line) => /^(nvidia|cuda)-/.test(line));
  const here = vendor.filter((line) => !line.includes('platform_machine') || line.includes(machine));
  return here.length > 0 ? 'cuda' : 'cpu';
}

/**
 * Install with uv, which knows PyTorch's own indexes: `cpu` builds, or those that fit the driver here.
 * uv lives in a venv of its own (`uvVenv`), which the caller removes.
 */
export async function uvInstall(
  installer: Installer,
  uvVenv: string,
  venv: string,
  requirements: Requirements,
  flavour: Flavour,
): Promise<void> {
  const fetched = await pip(installer, uvVenv, ['install', '--no-input', UV]);
  if (fetched.code !== 0) throw installFailed('pip install uv', fetched, null);
  const settings = await pip({ ...installer, onLine: () => {} }, uvVenv, ['config', 'list']);
  const args = ['pip', 'install', '--python', join(venv, 'bin', 'python')];
  args.push('--torch-backend', flavour === 'cpu' ? 'cpu' : 'auto', ...requirements.args, '-r', requirements.path);
  const env = { ...installer.env, ...uvSettings(settings.stdout), UV_NO_PROGRESS: '1', UV_NO_CONFIG: '1' };
  const result = await installer.run(join(uvVenv, 'bin', 'uv'), args, { ...installer, env });
  if (result.code !== 0)
    throw installFailed(`uv pip install --torch-backend ${flavour === 'cpu' ? 'cpu' : 'auto'}`, result, null);
}

/** pip's own configuration (`pip config list`), as uv reads it: a mirror that pip uses serves uv, too. */
export function uvSettings(pipConfig: string): Record<string, string> {
  const value = (key: string): string | null => {
    const lines = [...pipConfig.matchAll(/^(?:global|install|:env:)\.([\w-]+)=(['"])(.*)\2$/gm)];
    return lines.filter((line) => line[1] === key).at(-1)?.[3] ?? null;
  };
  const words = (text: string | null): string[] => (text ?? '').split(/\\n|\s+/).filter((word) => word !== '');
  const settings: Record<string, string> = {};
  const index = value('index-url');
  if (index !== null) settings.UV_DEFAULT_INDEX = index;
  const extra = words(value('extra-index-url'));
  if (extra.length > 0) settings.UV_INDEX = extra.join(' ');
  const links = words(value('find-links'));
  if (links.length > 0) settings.UV_FIND_LINKS = links.join(',');
  const cert = value('cert');
  if (cert !== null) settings.SSL_CERT_FILE = cert;
  return settings;
}

function pip(installer: Installer, venv: string, args: readonly string[]): Promise<RunResult> {
  return installer.run(join(venv, 'bin', 'python'), ['-m', 'pip', ...args], installer);
}

function installFailed(what: string, result: RunResult, wheelhouse: string | null): TwinkleError {
  const said = lastLines(result.stderr, 4) || lastLines(result.stdout, 4);
  const full = /No space left on device/i.test(result.stderr);
  const advice = full
    ? 'free some space, or move the cache with TWINKLE_CACHE'
    : wheelhouse === null
      ? 'check the network and pip’s index; without a network use `twinkle-node setup --wheelhouse DIR`, or give your own Python with --python'
      : `put the missing wheels into ${wheelhouse} (for this Python and platform) and run setup again`;
  return new TwinkleError(
    'SETUP_FAILED',
    `${what} failed (${result.signal ?? `code ${result.code}`}): ${said}; ${advice}`,
  );
}
