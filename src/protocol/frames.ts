/**
 * Frames between Node and a rank: one msgpack map per ZeroMQ message, told apart by `t`.
 * Calls have one answer; streams have items under credits and one end; both can fail or be aborted.
 */
import { type Static, Type } from './type.js';
import { EngineStats } from './values.js';

const Int = Type.Integer();
const Str = Type.String();
const Id = Type.Integer({ description: 'chosen by Node, unique within an epoch' });

// ---- rank → Node ----

export const Hello = Type.Object(
  {
    t: Type.Literal('hello'),
    protocol: Int,
    rank: Int,
    epoch: Type.Integer({ description: 'of the gang start this rank belongs to' }),
    pid: Int,
    engine: Str,
    python: Str,
  },
  { $id: 'Hello', description: 'First frame of a rank.' },
);
export type Hello = Static<typeof Hello>;

export const Phase = Type.Object(
  {
    t: Type.Literal('phase'),
    phase: Type.String({ description: 'import | config | tokenizer | weights | warmup | ready | …' }),
    progress: Type.Number({ description: '0 to 1 within the phase' }),
    detail: Str,
  },
  { $id: 'Phase', description: 'The rank entered a phase of its start, or moved on inside it.' },
);
export type Phase = Static<typeof Phase>;

export const Result = Type.Object({ t: Type.Literal('result'), id: Id, value: Type.Unknown() }, { $id: 'Result' });
export type Result = Static<typeof Result>;

export const Failure = Type.Object(
  {
    t: Type.Literal('error'),
    id: Id,
    code: Type.String({ description: 'a code of src/errors.ts' }),
    message: Str,
    param: Type.Union([Str, Type.Null()]),
    traceback: Type.Union([Str, Type.Null()]),
  },
  { $id: 'Failure', description: 'A call or stream failed; nothing more comes for its id.' },
);
export type Failure = Static<typeof Failure>;

export const Items = Type.Object(
  {
    t: Type.Literal('items'),
    items: Type.Array(Type.Tuple([Int, Type.Unknown()]), { description: '(stream id, item)' }),
  },
  { $id: 'Items', description: 'Items of any number of streams: one message per engine step.' },
);
export type Items = Static<typeof Items>;

export const End = Type.Object({ t: Type.Literal('end'), id: Id, value: Type.Unknown() }, { $id: 'End' });
export type End = Static<typeof End>;

export const Beat = Type.Object(
  {
    t: Type.Literal('beat'),
    seq: Int,
    phase: Type.String({ description: 'what the main loop is doing' }),
    busy_ms: Type.Number({ description: 'time since the main loop last turned' }),
    waits: Type.Union([Type.String(), Type.Null()], {
      description: 'what of other processes the main loop waits for in this time; null: it works, or nobody can tell',
    }),
    stats: Type.Union([EngineStats, Type.Null()]),
  },
  { $id: 'Beat', description: 'Sign of life from a thread beside the main loop.' },
);
export type Beat = Static<typeof Beat>;

// ---- Node → rank ----

export const Welcome = Type.Object(
  {
    t: Type.Literal('welcome'),
    protocol: Int,
    epoch: Int,
    beat_ms: Type.Integer({ description: 'interval of beats' }),
  },
  { $id: 'Welcome' },
);
export type Welcome = Static<typeof Welcome>;

export const Refuse = Type.Object(
  { t: Type.Literal('refuse'), reason: Str },
  { $id: 'Refuse', description: 'Answer to a hello of another version, epoch or rank: the rank ends.' },
);
export type Refuse = Static<typeof Refuse>;

export const Call = Type.Object(
  {
    t: Type.Literal('call'),
    id: Id,
    method: Str,
    params: Type.Unknown(),
  },
  { $id: 'Call' },
);
export type Call = Static<typeof Call>;

export const Open = Type.Object(
  {
    t: Type.Literal('open'),
    id: Id,
    method: Str,
    params: Type.Unknown(),
    credits: Type.Integer({
      description: 'items the receiver has room for; the sender merges items when none is left, until the end',
    }),
  },
  { $id: 'Open', description: 'Open a stream.' },
);
export type Open = Static<typeof Open>;

export const Credit = Type.Object(
  { t: Type.Literal('credit'), grants: Type.Array(Type.Tuple([Int, Int]), { description: '(stream id, more items)' }) },
  { $id: 'Credit' },
);
export type Credit = Static<typeof Credit>;

export const Abort = Type.Object({ t: Type.Literal('abort'), ids: Type.Array(Int) }, { $id: 'Abort' });
export type Abort = Static<typeof Abort>;

export const FromRank = Type.Union([Hello, Phase, Result, Failure, Items, End, Beat]);
export type FromRank = Hello | Phase | Result | Failure | Items | End | Beat;

export const ToRank = Type.Union([Welcome, Refuse, Call, Open, Credit, Abort]);
export type ToRank = Welcome | Refuse | Call | Open | Credit | Abort;
