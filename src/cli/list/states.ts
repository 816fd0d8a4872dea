/** The words of `--state`, by listing: read by the command line without loading a listing. */
import type { GroupStatus, NodeStatus } from '../../cluster/api.js';
import type { ListedActor, ListedObject, ListedTask, RunStatus } from '../../runtime/types.js';
import type { ModelState } from '../../serving/types.js';

/** Of nodes. */
export const NODE_STATES = ['alive', 'suspect', 'unknown', 'draining', 'dead'] as const satisfies NodeStatus['state'][];

/** Of placement groups. */
export const GROUP_STATES = ['PENDING', 'CREATED', 'RESCHEDULING', 'REMOVED'] as const satisfies GroupStatus['state'][];

/** Of gangs: the replica's. */
export const GANG_STATES = [
  'starting',
  'ready',
  'restarting',
  'failed',
  'draining',
  'stopped',
] as const satisfies ModelState[];

/** Of runs. */
export const RUN_STATES = ['starting', 'ready', 'parked', 'lost'] as const satisfies RunStatus['state'][];

/** Of actors. */
export const ACTOR_STATES = ['PENDING', 'ALIVE', 'RESTARTING', 'DEAD'] as const satisfies ListedActor['state'][];

/** Of tasks and calls of actors. */
export const TASK_STATES = ['WAITING', 'RUNNING'] as const satisfies ListedTask['state'][];

/** Of objects: their bytes are being written; their value is waited for; it is there; it is an error. */
export const OBJECT_STATES = ['reserved', 'promised', 'sealed', 'failed'] as const satisfies ListedObject['state'][];

/** Of devices, by what placement groups hold of them: nothing, a part, all. */
export const DEVICE_STATES = ['free', 'shared', 'held'] as const;

/** See {@link DEVICE_STATES}. */
export type DeviceState = (typeof DEVICE_STATES)[number];
