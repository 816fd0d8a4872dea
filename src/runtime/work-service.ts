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

export interface WorkServiceOptions {
  readonly native: Native;
  readonly cluster: NodeServiceOptions['cluster'];
  readonly log: Logger;
  readonly instance: string;
  readonly node: string;
  readonly folders: Folders;
  /** What this box offers. */
  readonly devices: readonly DeviceChoice[];
  readonly storeBytes: number;
  readonly inherited: Readonly<Record<string, string | undefined>>;
  readonly logLevel: string;
}

/** Workers that wait for work, of each interpreter: one for who comes next, one for who comes right after. */
const SPARE_WORKERS = 2;

/** Open it. Returns it with the path where drivers join. */
export async function openWorkService(options: WorkServiceOptions): Promise<{ service: NodeService; socket: string }> {
  const { native, folders, inherited, devices, instance, cluster, log, node, storeBytes } = options;
  const watcher = ProcessWatcher.of(native);
  const env = engineEnvironment(inherited, PYTHON_WORKERS, options.logLevel);
  let templates = 0;
  const service = new NodeService({
    ...{ native, cluster, log, node, instance, storeBytes },
    ...{ socketFolder: folders.sockets, logFolder: folders.logs, spareWorkers: SPARE_WORKERS },
    launcher: (python) => {
      templates += 1;
      const log = join(folders.logs, `template-actors${templates === 1 ? '' : `-${templates}`}.log`);
      const runtime = { python, env, parentDeathSignal: false };
      return new TemplateLauncher(native, watcher, runtime, { engine: 'actors', models: [], log });
    },
    indexOf: ({ uuid, instance: place }) => String(devices.find((one) => one.uuid === uuid)?.index ?? place),
    mayMask: (variable) => maySet(variable, inherited),
  });
  const socket = join(folders.sockets, 'work.sock');
  await service.listen(socket);
  return { service, socket };
}
