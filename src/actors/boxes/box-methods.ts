/** What a head and the agents of other boxes may ask and tell each other, with the shape of its parameters: see `words.ts`. Pure. */
import { TwinkleError } from '../../errors.js';
import { type Static, type TSchema, Type } from '../../protocol/type.js';
import { Demand, Join, Seal, WORK_PROTOCOL } from '../../protocol/work.js';
import { isMethod } from '../methods.js';
import { shaped } from '../shape.js';
import type { AgentAsks, AgentTells, BoxHello, HeadAsks, HeadTells } from './words.js';

const Int = Type.Integer();
const Str = Type.String();
/** Looked at by {@link bytesOf}: JSON Schema has no bytes. */
const Bytes = Type.Unknown();
const Client = Type.Object({ client: Int });
const Said = { client: Int, method: Str, params: Type.Unknown(), body: Bytes };
const Job = Type.Object({ driver: Int, python: Str, sysPath: Type.Array(Str), cwd: Str, namespace: Str });
const Device = Type.Object({ resource: Str, instance: Int, quantity: Type.Number(), uuid: Str });
const Seat = Type.Object({ node: Str, held: Type.Array(Device), facts: Type.Object({}) });
const Door = Type.Object({ host: Str, port: Int, key: Bytes });
const Code = Type.Union([Int, Type.Null()]);

type Shapes<T> = { readonly [M in keyof T]: TSchema };

export const AGENT_ASKS: Shapes<AgentAsks> = {
  'work.ask': Type.Object({ ...Said, token: Int }),
  'work.seal': Type.Object({ client: Int, seal: Seal }),
  'work.find': Type.Object({ client: Int, token: Int, id: Str }),
};

export const AGENT_TELLS: Shapes<AgentTells> = {
  'work.joined': Type.Object({
    ...{ client: Int, hello: Join },
    worker: Type.Union([Type.Object({ pid: Int, path: Str }), Type.Null()]),
  }),
  'work.gone': Type.Object({ client: Int, reason: Str }),
  'work.tell': Type.Object(Said),
  'work.withdraw': Type.Object({ token: Int }),
  'work.broken': Type.Object({ node: Str, path: Str, why: Str }),
  'work.ended': Type.Object({
    client: Int,
    end: Type.Object({ code: Code, signal: Code, how: Str, logTail: Type.Array(Str) }),
  }),
};

export const HEAD_ASKS: Shapes<HeadAsks> = {
  'work.take': Type.Object({ job: Job, seat: Seat, demand: Demand }),
};

export const HEAD_TELLS: Shapes<HeadTells> = {
  'work.give-back': Client,
  'work.kill': Client,
  'work.tell': Type.Object(Said),
  'work.close': Type.Object({ client: Int, reason: Str }),
  'work.drop': Type.Object({ ids: Type.Array(Str) }),
  'work.job-ended': Type.Object({ driver: Int }),
  'work.doors': Type.Object({ doors: Type.Record(Str, Door) }),
  'work.worker-ended': Type.Object({ node: Str, path: Str }),
};

type Handlers<T> = { readonly [M in keyof T]: (params: never) => unknown };

/**
 * What the handler of that method returns.
 * @throws `PROTOCOL`: there is no such method; `INVALID_REQUEST`: its parameters are others
 */
export function handle<T>(shapes: Shapes<T>, handlers: Handlers<T>, method: string, params: unknown): unknown {
  if (!isMethod(shapes, method)) {
    throw new TwinkleError('PROTOCOL', `\`${method}\` means nothing here: is the other box of the same version?`);
  }
  return handlers[method](shaped(shapes[method], params, method) as never);
}

/** Those bytes. Throws `PROTOCOL` when they are something else. */
export function bytesOf(body: unknown): Buffer {
  if (body instanceof Uint8Array) return Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  throw new TwinkleError('PROTOCOL', 'expected bytes for `body` but received something else');
}

const Hello = Type.Object({ protocol: Int, door: Door });
const KEY_BYTES = 32;

/** What the agent of a box says of itself. Throws `INVALID_REQUEST`, `PROTOCOL`. */
export function boxHello(talk: unknown): BoxHello {
  const { protocol } = (talk ?? {}) as Partial<BoxHello>; // before all else: the rest of another version may look otherwise
  if (protocol !== WORK_PROTOCOL) {
    const text = `the box speaks protocol ${protocol} of actors and tasks, this head ${WORK_PROTOCOL}`;
    throw new TwinkleError('PROTOCOL', `${text}: install the same release of twinkle-node on both`);
  }
  const { door } = shaped(Hello, talk, 'talk') as Static<typeof Hello>;
  const key = bytesOf(door.key);
  if (key.byteLength === KEY_BYTES) return { protocol, door: { ...door, key } };
  throw new TwinkleError(
    'PROTOCOL',
    `expected a key of ${KEY_BYTES} bytes for \`door\` but received ${key.byteLength}`,
  );
}
