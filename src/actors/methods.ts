/** What a client may ask and tell, with the shape of its parameters. Pure. */
import { type Static, Type } from '../protocol/type.js';
import {
  ActorBorn,
  ActorSpec,
  CodeParams,
  Demand,
  FolderPart,
  Ids,
  MakeGroup,
  Printed,
  Publish,
  Report,
  Reserve,
  Seal,
} from '../protocol/work.js';

const Nothing = Type.Object({});
const Id = Type.Object({ id: Type.String() });
/** Of the call with that result, which a worker runs, or an actor; `recursive`: of what it has called, too. */
const Interrupt = Type.Object({
  worker: Type.Integer(),
  actor: Type.Optional(Type.String()),
  ref: Type.String(),
  force: Type.Boolean(),
  recursive: Type.Optional(Type.Boolean()),
});

/** Answered, or refused. */
export const ASKS = {
  lease: Demand,
  'actor.create': ActorSpec,
  'actor.find': Type.Object({ namespace: Type.String(), name: Type.String() }),
  'actor.names': Type.Object({ namespace: Type.Union([Type.String(), Type.Null()]) }),
  'actor.kill': Type.Object({ id: Type.String(), restart: Type.Boolean() }),
  'actor.exit': Nothing,
  'code.put': CodeParams,
  'code.get': Type.Object({ key: Type.String() }),
  'folder.has': Type.Object({ key: Type.String() }),
  'folder.put': FolderPart,
  'object.reserve': Reserve,
  'object.seal': Seal,
  'object.abandon': Id,
  'object.publish': Publish,
  'object.hold': Ids,
  'object.open': Ids,
  'object.look': Id,
  'slab.where': Type.Object({ slab: Type.Integer() }),
  'group.create': MakeGroup,
  'group.ready': Id,
  'group.find': Type.Object({ name: Type.String(), namespace: Type.String() }),
  'group.remove': Id,
  'cluster.snapshot': Nothing,
} as const;
export type Asks = { readonly [M in keyof typeof ASKS]: Static<(typeof ASKS)[M]> };

/** Without an answer. Who tells nonsense is cut off. */
export const TELLS = {
  'object.seal': Seal,
  'object.fulfil': Publish,
  'object.drop': Ids,
  'object.close': Ids,
  'object.let-go': Type.Object({ token: Type.Integer() }),
  'actor.watch': Id,
  'actor.born': ActorBorn,
  release: Type.Object({ lease: Type.Integer() }),
  blocked: Nothing,
  printed: Printed,
  report: Report,
  interrupt: Interrupt,
} as const;
export type Tells = { readonly [M in keyof typeof TELLS]: Static<(typeof TELLS)[M]> };

/** Whether a table has that method of its own: names come from outside. */
export function isMethod<T extends object>(table: T, method: string): method is Extract<keyof T, string> {
  return Object.hasOwn(table, method);
}
