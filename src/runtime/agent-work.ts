/** What an agent runs for its head: the service of its box, and the door where other boxes call it. Wiring only. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { BoxService } from '../actors/boxes/box-service.js';
import { type DoorServiceOptions, doorService } from '../actors/boxes/door-service.js';
import type { AgentAsks, AgentTells, BoxHello, BoxWelcome, Link } from '../actors/boxes/words.js';
import { TwinkleError } from '../errors.js';
import { WORK_PROTOCOL } from '../protocol/work.js';
import { openDoor } from '../transport/door.js';
import { runAll } from '../util/run-all.js';
import { ownName } from './adapters-folder.js';
import type { AgentWork } from './agent-link.js';
import { makeSpillFolder, removeSpillFolder, spillRoot } from './spill-folder.js';
import { WORK_SOCKET, type WorkerOptions, workerParts } from './work-service.js';

export interface AgentWorkOptions extends WorkerOptions {
  readonly home: string;
  /** Id of the node. */
  readonly node: string;
  /** By which other boxes reach this one. */
  readonly host: string;
  /** Folder for objects that memory has no room for; null: in the home. */
  readonly spillParent: string | null;
  /** The service has begun, or (null) ended. */
  opened(service: BoxService | null): void;
}

/** Made before the agent says hello: the head must know the door. The service begins when the head has welcomed it. */
export async function openAgentWork(options: AgentWorkOptions): Promise<AgentWork> {
  const { home, host, node, instance, native, log, folders, storeBytes } = options;
  const key = randomBytes(32);
  let service: BoxService | null = null;
  const here = (): BoxService => {
    if (service !== null) return service;
    throw new TwinkleError('DRAINING', 'the service of this box has not begun, or ends');
  };
  const serve: DoorServiceOptions = {
    workerFolder: folders.sockets,
    object: async (id) => await here().objects.takeOut(id),
    folder: async (one) => {
      throw new TwinkleError('RUNTIME_ENV', `folder ${one} is with the head`);
    },
  };
  const door = await openDoor({ host, key, serve: doorService(serve) });
  const disposals: (() => unknown)[] = [() => door.close()];
  const talk: BoxHello = { protocol: WORK_PROTOCOL, door: { host, port: door.port, key } };
  return {
    talk,
    handlers: {
      call: (method, params) => here().answer(method, params),
      cast: (method, params) => service?.heard(method, params),
    },
    joined: async (agent, welcome) => {
      const spillFolder = makeSpillFolder(home, instance, options.spillParent);
      disposals.push(() => removeSpillFolder(join(spillRoot(home), ownName(instance))));
      const link: Link<AgentAsks, AgentTells> = {
        call: (method, params) => agent.call(method, params),
        cast: (method, params) => agent.cast(method, params),
      };
      const opened = new BoxService({
        ...{ native, log, node, instance, storeBytes, spillFolder, link, welcome: welcome.talk as BoxWelcome },
        ...workerParts(options),
      });
      service = opened;
      disposals.push(async () => {
        options.opened(null);
        await opened[Symbol.asyncDispose]();
        service = null;
      });
      await opened.listen(join(folders.sockets, WORK_SOCKET));
      options.opened(opened);
    },
    [Symbol.asyncDispose]: async () => {
      const errors = await runAll(disposals.splice(0).reverse());
      if (errors.length > 0) throw errors[0];
    },
  };
}
