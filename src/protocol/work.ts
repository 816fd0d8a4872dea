/**
 * What clients of a node service (drivers and workers of actors and tasks) and the service say to each other, and what a caller and the worker
 * that it calls say directly. A frame is `u32 bytes of the rest | u32 bytes of the head | head (msgpack map, told apart by t) | body`, little
 * endian. Values travel in the body, one after another; their heads say how long each part is.
 */
import { type Static, type TSchema, Type } from './type.js';

const Int = Type.Integer();
const Str = Type.String();
const Bool = Type.Boolean();
const Strs = Type.Array(Str);
const orNull = <T extends TSchema>(type: T, options: { readonly description?: string } = {}) =>
  Type.Union([type, Type.Null()], { ...options });

/** Raised when a frame changes in a way that an older side cannot read. */
export const WORK_PROTOCOL = 2;

// ---- values ----

export const Block = Type.Object(
  {
    slab: Type.Integer({ description: 'number of the slab on this node' }),
    offset: Type.Integer({ description: 'bytes from its begin' }),
    size: Type.Integer({ description: 'bytes' }),
  },
  { $id: 'Block', description: 'Where large bytes lie.' },
);
export type Block = Static<typeof Block>;

export const Loan = Type.Object(
  {
    scratch: Type.Integer({ description: 'memory that the caller has lent, by its number' }),
    at: Type.Integer({ description: 'bytes from its begin; each part at a multiple of 64' }),
  },
  {
    $id: 'Loan',
    description: 'Where bytes lie in memory of the caller. They stay what they are until they are `returned`.',
  },
);
export type Loan = Static<typeof Loan>;

/** Parts of a value that lies in memory begin at multiples of so many bytes. */
export const PART_ALIGN = 64;

export const Value = Type.Object(
  {
    f: Type.String({ description: 'format: raw | msgpack | pickle | error' }),
    s: Type.Array(Int, { description: 'bytes of the head and of each buffer' }),
    at: Type.String({
      description:
        'object with whose block the bytes are, each part at a multiple of 64; empty: they are in the body of the frame, one after another',
    }),
    refs: Type.Array(Str, { description: 'ids of the objects and actors inside it' }),
    loan: Type.Optional(Loan),
  },
  { $id: 'Value', description: 'What a value is; its bytes follow, or lie with the node.' },
);
export type Value = Static<typeof Value>;

// ---- calls with an answer, and casts without one, between a client and the service ----

export const Join = Type.Object(
  {
    t: Type.Literal('join'),
    protocol: Int,
    kind: Type.String({ description: 'driver | worker' }),
    pid: Int,
    path: Type.String({ description: 'of a worker: the socket where it is called; else empty' }),
    python: Type.String({
      description: 'of a driver: the interpreter that its workers run on; empty: the service’s choice',
    }),
    sys_path: Type.Array(Str, { description: 'of a driver: where its workers find modules' }),
    cwd: Str,
    namespace: Str,
  },
  { $id: 'Join', description: 'First frame of a client.' },
);
export type Join = Static<typeof Join>;

export const Joined = Type.Object(
  {
    t: Type.Literal('joined'),
    client: Type.Integer({ description: 'its number: never given twice' }),
    node: Type.String({ description: 'id of the node' }),
    instance: Str,
    inline_bytes: Type.Integer({ description: 'values up to so many bytes travel in frames, larger ones in slabs' }),
    settle: Type.Optional(
      Type.Boolean({
        description:
          'seals must be answered before their references are handed on: the service that counts references is on another box',
      }),
    ),
  },
  { $id: 'Joined' },
);
export type Joined = Static<typeof Joined>;

export const Ask = Type.Object(
  { t: Type.Literal('ask'), id: Int, method: Str, params: Type.Unknown() },
  { $id: 'Ask', description: 'Client → service; answered by `answer` or `refusal`.' },
);
export type Ask = Static<typeof Ask>;

export const WithdrawAsk = Type.Object(
  { t: Type.Literal('withdraw-ask'), id: Int },
  { $id: 'WithdrawAsk', description: 'The answer is of no use any more: it may be a refusal.' },
);
export type WithdrawAsk = Static<typeof WithdrawAsk>;

export const Answer = Type.Object({ t: Type.Literal('answer'), id: Int, value: Type.Unknown() }, { $id: 'Answer' });
export type Answer = Static<typeof Answer>;

export const Refusal = Type.Object(
  {
    t: Type.Literal('refusal'),
    id: Type.Integer({ description: '-1: of the join' }),
    code: Type.String({ description: 'a code of src/errors.ts' }),
    message: Str,
    details: Type.Record(Str, Type.Unknown()),
  },
  { $id: 'Refusal' },
);
export type Refusal = Static<typeof Refusal>;

export const Tell = Type.Object(
  { t: Type.Literal('tell'), method: Str, params: Type.Unknown() },
  { $id: 'Tell', description: 'Either way; without an answer.' },
);
export type Tell = Static<typeof Tell>;

export const FromClient = Type.Union([Join, Ask, WithdrawAsk, Tell]);
export type FromClient = Join | Ask | WithdrawAsk | Tell;
export const ToClient = Type.Union([Joined, Answer, Refusal, Tell]);
export type ToClient = Joined | Answer | Refusal | Tell;

// ---- between a caller and a worker ----

export const Dial = Type.Object(
  {
    t: Type.Literal('dial'),
    protocol: Int,
    instance: Type.String({ description: 'of the node service: another one’s clients are refused' }),
    client: Int,
    portable: Type.Boolean({ description: 'answers must be plain data and arrays: the caller is no Python' }),
  },
  { $id: 'Dial', description: 'First frame of a caller.' },
);
export type Dial = Static<typeof Dial>;

export const Lend = Type.Object(
  {
    t: Type.Literal('lend'),
    scratch: Type.Integer({ description: 'its number, never given twice by a caller' }),
    pid: Int,
    fd: Type.Integer({ description: 'descriptor of that process' }),
    inode: Type.Integer({ description: 'of the memory: the descriptor may be another file’s by then' }),
    size: Type.Integer({ description: 'bytes' }),
  },
  { $id: 'Lend', description: 'Memory of the caller that arguments may lie in; before the first of them.' },
);
export type Lend = Static<typeof Lend>;

export const Invoke = Type.Object(
  {
    t: Type.Literal('invoke'),
    id: Type.Integer({ description: 'unique on this connection' }),
    ref: Type.String({ description: 'id of the object that the result becomes' }),
    target: Type.String({ description: 'name of the actor’s method, or key of the function' }),
    args: Value,
    given: Type.Array(Value, { description: 'values of the references among the arguments, in their order' }),
    group: Type.String({ description: 'concurrency group; empty: the method’s own' }),
    returns: Type.Optional(
      Type.Integer({
        description:
          'values that the result is made of, each an object of its own: `<ref>.0`, `<ref>.1`, …, in a reply with `more`; -1: items of whatever is returned, as of a generator; null: one value, or items of a generator function',
      }),
    ),
  },
  { $id: 'Invoke', description: 'Body: bytes of `args`, then of each of `given`.' },
);
export type Invoke = Static<typeof Invoke>;

export const Withdraw = Type.Object(
  { t: Type.Literal('withdraw'), id: Int },
  { $id: 'Withdraw', description: 'Cancel a call that has not begun, or a coroutine that runs.' },
);
export type Withdraw = Static<typeof Withdraw>;

export const Kept = Type.Object(
  { t: Type.Literal('kept'), id: Int },
  { $id: 'Kept', description: 'Answer to a reply with `custody`: the caller holds what is inside by itself now.' },
);
export type Kept = Static<typeof Kept>;

export const Reply = Type.Object(
  {
    t: Type.Literal('reply'),
    id: Int,
    value: Value,
    more: Type.Boolean({
      description: 'an item of a generator, or one of several values; the last reply has none of them',
    }),
    custody: Type.Boolean({ description: 'the worker holds the objects inside until it hears `kept`' }),
  },
  { $id: 'Reply', description: 'A value of format `error` is a failure.' },
);
export type Reply = Static<typeof Reply>;

export const Returned = Type.Object(
  { t: Type.Literal('returned'), ids: Type.Array(Int, { description: 'numbers of calls' }) },
  { $id: 'Returned', description: 'What was lent for these calls is not read any more.' },
);
export type Returned = Static<typeof Returned>;

export const ToWorker = Type.Union([Dial, Lend, Invoke, Withdraw, Kept]);
export type ToWorker = Dial | Lend | Invoke | Withdraw | Kept;
export const FromWorker = Type.Union([Reply, Returned]);
export type FromWorker = Reply | Returned;

// ---- parameters ----

export const PlaceInGroup = Type.Object(
  {
    group: Str,
    bundle: Type.Integer({ description: '-1: any that has room' }),
    capture: Type.Optional(Type.Boolean({ description: 'what it starts is placed in the group, too' })),
  },
  { $id: 'PlaceInGroup' },
);
export type PlaceInGroup = Static<typeof PlaceInGroup>;

export const RuntimeEnv = Type.Object(
  {
    packages: Type.Array(Str, {
      description:
        'lines of a requirements file: an environment of its own has them; empty: the driver’s interpreter as it is',
    }),
    options: Type.Array(Str, { description: 'of the installer' }),
    stamp: Type.String({ description: 'what local folders among the packages have to be like; empty: there are none' }),
    folder: Type.String({
      description: 'key of a folder that was put: where the worker runs, and first in its sys.path; empty: none',
    }),
    modules: Type.Array(Str, { description: 'keys of folders that were put, next in its sys.path' }),
  },
  { $id: 'RuntimeEnv', description: 'What a worker finds around it.' },
);
export type RuntimeEnv = Static<typeof RuntimeEnv>;

export const FolderPart = Type.Object(
  {
    key: Type.String({ description: 'SHA-256 of what is in it' }),
    at: Type.Integer({ description: 'bytes that came before; 0 begins anew' }),
    last: Bool,
  },
  { $id: 'FolderPart', description: 'A folder as a zip file, part by part; the bytes are the body.' },
);
export type FolderPart = Static<typeof FolderPart>;

export const Demand = Type.Object(
  {
    resources: Type.Record(Str, Type.Number(), { description: 'like CPU: 1, GPU: 0.5' }),
    strategy: Type.String({ description: 'default | spread | node' }),
    node: Type.String({ description: 'of strategy node: its id' }),
    soft: Bool,
    selectors: Type.Record(Str, Str, { description: 'label → expression' }),
    group: orNull(PlaceInGroup),
    env: Type.Record(Str, Str, { description: 'variables of the worker, over those of the service' }),
    runtime_env: Type.Optional(RuntimeEnv),
  },
  { $id: 'Demand', description: 'What a worker needs. Workers of equal demands can take each other’s tasks.' },
);
export type Demand = Static<typeof Demand>;

export const Lease = Type.Object(
  {
    lease: Int,
    worker: Int,
    pid: Int,
    node: Str,
    path: Type.String({ description: 'socket where it is called' }),
  },
  { $id: 'Lease', description: 'A worker for tasks, until it is released.' },
);
export type Lease = Static<typeof Lease>;

export const ActorBorn = Type.Object(
  {
    actor: Str,
    epoch: Int,
    cause: orNull(Value, { description: 'what its constructor raised; null: it lives' }),
    methods: Type.Optional(Type.Record(Str, Type.Unknown(), { description: 'of a class that its maker only named' })),
    ordered: Type.Optional(Type.Boolean({ description: 'of such a class: calls of one caller run in their order' })),
  },
  { $id: 'ActorBorn', description: 'Worker → service: what became of `assign`. Body: bytes of `cause`.' },
);
export type ActorBorn = Static<typeof ActorBorn>;

export const CodeParams = Type.Object(
  { key: Type.String({ description: 'SHA-256 of the blob' }), name: Str },
  { $id: 'CodeParams', description: 'A function or class; its pickle is the body.' },
);
export type CodeParams = Static<typeof CodeParams>;

export const ActorSpec = Type.Object(
  {
    id: Type.String({ description: 'chosen by who makes it: an object id' }),
    cls: Type.String({ description: 'key of the class; `file:/path.py:Class` and `import:module:Class` name it' }),
    cls_name: Str,
    methods: Type.Record(Str, Type.Unknown(), {
      description: 'method → what its handle must know; empty: its maker only knows its name',
    }),
    args: Value,
    name: Type.String({ description: 'empty: none' }),
    namespace: Str,
    detached: Bool,
    get_if_exists: Bool,
    max_restarts: Type.Integer({ description: '-1: without end' }),
    max_task_retries: Type.Integer({ description: '-1: until it succeeds' }),
    max_concurrency: Type.Integer({ description: 'calls at once; 0: as many as suit the class' }),
    groups: Type.Record(Str, Int, { description: 'concurrency group → calls at once' }),
    demand: Demand,
  },
  { $id: 'ActorSpec', description: 'Body: bytes of `args`.' },
);
export type ActorSpec = Static<typeof ActorSpec>;

export const ActorCard = Type.Object(
  {
    id: Str,
    cls_name: Str,
    name: Str,
    namespace: Str,
    methods: Type.Record(Str, Type.Unknown()),
    max_task_retries: Int,
    ordered: Type.Boolean({ description: 'calls of one caller run in their order' }),
  },
  { $id: 'ActorCard', description: 'What a handle has to know.' },
);
export type ActorCard = Static<typeof ActorCard>;

export const ActorState = Type.Object(
  {
    id: Str,
    state: Type.String({ description: 'PENDING | ALIVE | RESTARTING | DEAD' }),
    epoch: Type.Integer({ description: 'number of this life: grows with each restart' }),
    path: Type.String({ description: 'where it is called; empty: nowhere now' }),
    pid: Int,
    node: Str,
    reason: Type.String({ description: 'why it is not alive, for people' }),
    cause: orNull(Value, { description: 'what its constructor raised; its bytes are the body' }),
    code: Type.Optional(Type.String({ description: 'a code of src/errors.ts: why it could not be started' })),
    ordered: Type.Optional(Type.Boolean({ description: 'of one that lives: calls of one caller run in their order' })),
  },
  { $id: 'ActorState' },
);
export type ActorState = Static<typeof ActorState>;

export const Assign = Type.Object(
  {
    actor: Str,
    spec: ActorSpec,
    epoch: Int,
  },
  { $id: 'Assign', description: 'Service → worker: become this actor. Body: bytes of its arguments.' },
);
export type Assign = Static<typeof Assign>;

export const Within = Type.Object(
  {
    id: Str,
    bundles: Type.Array(Type.Record(Str, Type.Number())),
    capture: Type.Boolean({ description: 'what it starts is placed there, too' }),
  },
  { $id: 'Within', description: 'The placement group that a worker is in.' },
);
export type Within = Static<typeof Within>;

export const Setup = Type.Object(
  {
    sys_path: Strs,
    cwd: Str,
    namespace: Str,
    env: Type.Record(Str, Str),
    devices: Type.Record(Str, Strs, { description: 'resource, like GPU → ids of its devices, as Ray counts them' }),
    first_path: Type.Optional(Type.Array(Str, { description: 'before all else in sys.path' })),
    env_vars: Type.Optional(Type.Record(Str, Str, { description: 'what its own tasks and actors inherit of `env`' })),
    runtime_env: Type.Optional(RuntimeEnv),
    job: Type.Optional(Type.Integer({ description: 'client number of the driver' })),
    resources: Type.Optional(Type.Record(Str, Type.Number(), { description: 'what it holds' })),
    within: Type.Optional(Within),
  },
  {
    $id: 'Setup',
    description: 'Service → worker: for whom it works, and with which devices. Before its first task or its actor.',
  },
);
export type Setup = Static<typeof Setup>;

export const Reserve = Type.Object(
  { id: Str, bytes: Int },
  { $id: 'Reserve', description: 'Room for an object that nobody can read yet; answered with a Block.' },
);
export type Reserve = Static<typeof Reserve>;

export const Seal = Type.Object(
  {
    id: Str,
    value: Value,
    holders: Type.Array(Int, { description: 'clients that hold it from now on' }),
  },
  { $id: 'Seal', description: 'The bytes of a reserved object are written.' },
);
export type Seal = Static<typeof Seal>;

export const Publish = Type.Object(
  {
    ids: Strs,
    values: Type.Array(orNull(Value), { description: 'by id; null: it will be published again when it is there' }),
  },
  { $id: 'Publish', description: 'Small objects that others will ask for. Body: their bytes.' },
);
export type Publish = Static<typeof Publish>;

export const CallFacts = Type.Object(
  {
    id: Type.String({ description: 'of the object that its result becomes' }),
    name: Type.String({ description: 'for people: `module.function`, `Class.method`' }),
    kind: Type.String({ description: 'task | actor' }),
    state: Type.String({ description: 'WAITING (for a value, a worker, its turn) | RUNNING' }),
    worker: orNull(Int, { description: 'client number of the worker that has it; null: none, or not known' }),
    since: Type.Integer({ description: 'unix ms: when it came into this state' }),
  },
  { $id: 'CallFacts', description: 'A call whose result its caller has not got yet.' },
);
export type CallFacts = Static<typeof CallFacts>;

export const Report = Type.Object(
  {
    token: Type.Integer({ description: 'of the `report {token}` that it answers' }),
    calls: Type.Array(CallFacts),
    more: Type.Optional(Type.Integer({ description: 'calls beyond those: a report of all of them would be too long' })),
  },
  { $id: 'Report', description: 'Client → service: what it has called, in its order.' },
);
export type Report = Static<typeof Report>;

export const Ids = Type.Object({ ids: Strs }, { $id: 'Ids' });
export type Ids = Static<typeof Ids>;

export const Opened = Type.Object(
  { value: Value, block: orNull(Block, { description: 'null: the bytes are in the body' }) },
  { $id: 'Opened', description: 'An object; its block stays where it is until it is closed.' },
);
export type Opened = Static<typeof Opened>;

export const MakeGroup = Type.Object(
  {
    bundles: Type.Array(Type.Record(Str, Type.Number())),
    strategy: Type.String({ description: 'PACK | SPREAD | STRICT_PACK | STRICT_SPREAD' }),
    name: Type.String({ description: 'empty: none' }),
    namespace: Str,
    detached: Bool,
  },
  { $id: 'MakeGroup', description: 'A placement group; answered with its id.' },
);
export type MakeGroup = Static<typeof MakeGroup>;

export const GroupFound = Type.Object(
  { id: Str, bundles: Type.Array(Type.Record(Str, Type.Number())) },
  { $id: 'GroupFound' },
);
export type GroupFound = Static<typeof GroupFound>;

export const Printed = Type.Object(
  {
    name: Type.String({ description: 'class of the actor, or function of the task' }),
    lines: Strs,
    error: Type.Boolean({ description: 'on its stderr' }),
  },
  { $id: 'Printed', description: 'Worker → service → the driver that it works for, with the pid: what it printed.' },
);
export type Printed = Static<typeof Printed>;

export const SlabPlace = Type.Object(
  {
    pid: Int,
    fd: Type.Integer({ description: 'descriptor of that process' }),
    size: Type.Integer({ description: 'bytes' }),
  },
  { $id: 'SlabPlace' },
);
export type SlabPlace = Static<typeof SlabPlace>;
