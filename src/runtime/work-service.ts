/** The service for actors, tasks and objects of a head: its parts from what the head has. Wiring only. */
import { join } from 'node:path';
import { NodeService, type NodeServiceOptions } from '../actors/node-service.js';
import { PYTHON_WORKERS } from '../config/package-root.js';
import type { DeviceChoice } from '../config/types.js';
import type { Native } from '../native/types.js';
import type { Logger } from '../observability/logger.js';
import { ProcessWatcher } from '../supervisor/process-watcher.js';
import { engineEnvironment, maySet } from '../supervisor/rank-environment.js';
import { TemplateLauncher } from '../supervisor/template-launcher.js';
import type { Folders } from './folders.js';
import { activated, openRuntimeEnvs } from './own-environments.js';

export interface WorkServiceOptions {
  readonly native: Native;
  readonly cluster: NodeServiceOptions['cluster'];
  readonly log: Logger;
  readonly instance: string;
  readonly node: string;
  readonly folders: Pick<Folders, 'sockets' | 'logs' | 'code'>;
  /** What this box offers. */
  readonly devices: readonly DeviceChoice[];
  readonly storeBytes: number;
  /** Made, and removed, by who opens this. */
  readonly spillFolder: string;
  readonly inherited: Readonly<Record<string, string | undefined>>;
  readonly logLevel: string;
}

/** Workers that wait for work, of each interpreter: one for who comes next, one for who comes right after. */
const SPARE_WORKERS = 2;

/** Open it. Returns it with the path where drivers join. */
export async function openWorkService(options: WorkServiceOptions): Promise<{ service: NodeService; socket: string }> {
  const { native, folders, inherited, devices, instance, cluster, log, node, storeBytes, spillFolder } = options;
  const watcher = ProcessWatcher.of(native);
  const env = engineEnvironment(inherited, PYTHON_WORKERS, options.logLevel);
  const logs = new Map<string, string>();
  const service = new NodeService({
    ...{ native, cluster, log, node, instance, storeBytes, spillFolder },
    ...{ socketFolder: folders.sockets, logFolder: folders.logs, spareWorkers: SPARE_WORKERS },
    envs: openRuntimeEnvs(inherited, folders.code, log),
    launcher: (python) => {
      const number = logs.size === 0 ? '' : `-${logs.size + 1}`;
      const log = logs.get(python) ?? join(folders.logs, `template-actors${number}.log`);
      logs.set(python, log);
      const runtime = { python, env: activated(env, python), parentDeathSignal: false };
      return new TemplateLauncher(native, watcher, runtime, { engine: 'actors', models: [], log });
    },
    indexOf: ({ uuid, instance: place }) => String(devices.find((one) => one.uuid === uuid)?.index ?? place),
    mayMask: (variable) => maySet(variable, inherited),
  });
  const socket = join(folders.sockets, 'work.sock');
  await service.listen(socket);
  return { service, socket };
}
