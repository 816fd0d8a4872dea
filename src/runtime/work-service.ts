/** The service for actors, tasks and objects of a head, with the door for other boxes: its parts from what the head has. Wiring only. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Boxes } from '../actors/boxes/boxes.js';
import { doorService } from '../actors/boxes/door-service.js';
import { INLINE_BYTES, NodeService, type NodeServiceOptions } from '../actors/node-service.js';
import { PYTHON_WORKERS } from '../config/package-root.js';
import type { DeviceChoice } from '../config/types.js';
import type { Native } from '../native/types.js';
import type { Logger } from '../observability/logger.js';
import { ProcessWatcher } from '../supervisor/process-watcher.js';
import { engineEnvironment, maySet } from '../supervisor/rank-environment.js';
import { TemplateLauncher } from '../supervisor/template-launcher.js';
import { openDoor } from '../transport/door.js';
import type { Folders } from './folders.js';
import { activated, openRuntimeEnvs } from './own-environments.js';

/** What workers of a box need, whether or not its head is there. */
export interface WorkerOptions {
  readonly native: Native;
  readonly log: Logger;
  readonly instance: string;
  readonly folders: Pick<Folders, 'sockets' | 'logs' | 'code'>;
  /** What this box offers. */
  readonly devices: readonly DeviceChoice[];
  readonly storeBytes: number;
  readonly inherited: Readonly<Record<string, string | undefined>>;
  readonly logLevel: string;
}

export interface WorkServiceOptions extends WorkerOptions {
  readonly cluster: NodeServiceOptions['cluster'];
  readonly node: string;
  /** Made, and removed, by who opens this. */
  readonly spillFolder: string;
  /** Address of this box at which others reach it; null: no other box joins. */
  readonly host: string | null;
}

/** Where programs join, in the folder of sockets. */
export const WORK_SOCKET = 'work.sock';

/** Workers that wait for work, of each interpreter: one for who comes next, one for who comes right after. */
const SPARE_WORKERS = 2;

/** How workers are started and what they see, for the services of both kinds of boxes. */
export function workerParts(options: WorkerOptions, keepsFolders = false) {
  const { native, folders, inherited, devices, log } = options;
  const watcher = ProcessWatcher.of(native);
  const env = engineEnvironment(inherited, PYTHON_WORKERS, options.logLevel);
  const logs = new Map<string, string>();
  return {
    ...{ socketFolder: folders.sockets, logFolder: folders.logs, spareWorkers: SPARE_WORKERS },
    envs: openRuntimeEnvs(inherited, folders.code, log, keepsFolders),
    launcher: (python: string) => {
      const number = logs.size === 0 ? '' : `-${logs.size + 1}`;
      const path = logs.get(python) ?? join(folders.logs, `template-actors${number}.log`);
      logs.set(python, path);
      const runtime = { python, env: activated(env, python), parentDeathSignal: false };
      return new TemplateLauncher(native, watcher, runtime, { engine: 'actors', models: [], log: path });
    },
    indexOf: ({ uuid, instance: place }: { readonly uuid: string; readonly instance: number }) =>
      String(devices.find((one) => one.uuid === uuid)?.index ?? place),
    mayMask: (variable: string) => maySet(variable, inherited),
  };
}

export interface WorkService extends AsyncDisposable {
  readonly service: NodeService;
  /** Where drivers join. */
  readonly socket: string;
  /** Null: no other box joins. */
  readonly boxes: Boxes | null;
}

/** Open it. */
export async function openWorkService(options: WorkServiceOptions): Promise<WorkService> {
  const { native, folders, instance, cluster, log, node, storeBytes, spillFolder, host } = options;
  const parts = workerParts(options, host !== null);
  let boxes: Boxes | null = null;
  const others: NodeServiceOptions['others'] = {
    reach: (to, path) => boxes?.reach(to, path) ?? path,
    jobEnded: (driver) => boxes?.jobEnded(driver),
    workerEnded: (path) => boxes?.workerEnded(path),
  };
  const service = new NodeService({
    ...{ native, cluster, log, node, instance, storeBytes, spillFolder, ...parts },
    ...(host === null ? {} : { others }),
  });
  const key = randomBytes(32);
  const serve = doorService({
    workerFolder: folders.sockets,
    object: (id) => service.objects.takeOut(id),
    folder: async (one) => parts.envs.folders.zip(one),
  });
  const door = host === null ? null : await openDoor({ host, key, serve });
  if (host !== null && door !== null) {
    const own = { host, port: door.port, key };
    const socketFolder = folders.sockets;
    boxes = new Boxes({ service, node, instance, inlineBytes: INLINE_BYTES, door: own, socketFolder, log });
  }
  const socket = join(folders.sockets, WORK_SOCKET);
  await service.listen(socket);
  return {
    ...{ service, socket, boxes },
    [Symbol.asyncDispose]: async () => {
      await boxes?.[Symbol.asyncDispose]();
      await door?.close();
      await service[Symbol.asyncDispose]();
    },
  };
}
