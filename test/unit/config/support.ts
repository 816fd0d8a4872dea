/** Shared by the tests of config: compiling in one call, and device reports. */
import { type CompiledConfig, compileConfig, type WrittenEngineArg } from '../../../src/config/compile.js';
import { isOptionKey, type OptionKey } from '../../../src/config/options.js';
import type { Written } from '../../../src/config/settings.js';
import { parseYamlConfig } from '../../../src/config/yaml-file.js';
import { checkEngineArgs, findEngineArg } from '../../../src/engines/args.js';
import type { DeviceInfo, DeviceReport } from '../../../src/native/types.js';

/** What a test writes. */
export interface Wish {
  readonly flags?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly yaml?: string;
  readonly engineArgs?: readonly WrittenEngineArg[];
  readonly report?: DeviceReport;
  readonly cluster?: ReadonlySet<'GPU' | 'NPU'>;
  readonly cwd?: string;
  readonly mayWrite?: boolean;
  /** Default: the mock engine, which needs no model on disk. */
  readonly engine?: string | null;
}

/** A device of a report. */
export function device(index: number, change: Partial<DeviceInfo> = {}): DeviceInfo {
  return {
    kind: 'gpu',
    vendor: 'fake',
    index,
    uuid: `GPU-${String(index).repeat(4)}-aaaa`,
    name: 'Fake H100',
    pciBusId: null,
    memoryTotalBytes: 80 * 2 ** 30,
    memoryUsedBytes: 0,
    computeCapability: '9.0',
    driverVersion: null,
    numaNode: null,
    health: 'ok',
    processes: [],
    ...change,
  };
}

/** A report of `count` GPUs without links. */
export function gpus(count: number, change: Partial<DeviceInfo> = {}): DeviceReport {
  return { devices: Array.from({ length: count }, (_, index) => device(index, change)), links: [], libraries: [] };
}

/** A machine without accelerators, and the reasons. */
export const NOTHING: DeviceReport = {
  devices: [],
  links: [],
  libraries: [{ library: 'libnvidia-ml.so.1', loaded: false, path: null, reason: 'no such file' }],
};

/** Compile what a test wrote. */
export async function compile(wish: Wish = {}): Promise<CompiledConfig & { readonly deviceCalls: number }> {
  const written = new Map<OptionKey, Written>();
  const flags = { ...(wish.engine === null ? {} : { engine: wish.engine ?? 'mock' }), ...wish.flags };
  for (const [key, value] of Object.entries(flags)) {
    if (!isOptionKey(key)) throw new Error(`no option ${key}`);
    written.set(key, { value, origin: { source: 'flag', name: `--${key}`, at: null } });
  }
  let deviceCalls = 0;
  const compiled = await compileConfig(
    {
      written,
      engineArgs: wish.engineArgs ?? [],
      env: wish.env ?? {},
      yaml: wish.yaml === undefined ? [] : await parseYamlConfig(wish.yaml, 'serve.yaml'),
      cwd: wish.cwd ?? '/nowhere',
      userHome: '/home/somebody',
    },
    {
      devices: async () => {
        deviceCalls++;
        return wish.report ?? NOTHING;
      },
      cluster: async () => wish.cluster ?? null,
      engineArgs: checkEngineArgs,
      isEngineArg: (name) => findEngineArg(name) !== null,
      mayWrite: wish.mayWrite ?? false,
    },
  );
  return { ...compiled, deviceCalls };
}
